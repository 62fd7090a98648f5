// SPDX-License-Identifier: Apache-2.0
package leasehold.shedlock;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Optional;
import net.javacrumbs.shedlock.core.ExtensibleLockProvider;
import net.javacrumbs.shedlock.core.SimpleLock;
import net.javacrumbs.shedlock.test.support.AbstractExtensibleLockProviderIntegrationTest;
import org.junit.jupiter.api.Test;

/** ShedLock's own tests of a provider: its contract, extension, and the fuzz test. */
class LeaseholdLockProviderTest extends AbstractExtensibleLockProviderIntegrationTest {
    private static final URI SERVER = URI.create(System.getProperty("leasehold.url"));
    private final ExtensibleLockProvider provider =
            new LeaseholdLockProvider(SERVER, null, "shedlock \"test\"");

    @Override
    protected ExtensibleLockProvider getLockProvider() {
        return provider;
    }

    @Override
    protected void assertUnlocked(String lockName) {
        assertThat(stateOf(lockName)).contains("\"state\":\"free\"");
    }

    @Override
    protected void assertLocked(String lockName) {
        assertThat(stateOf(lockName)).contains("\"state\":\"held\"");
    }

    /** A lease lasts a second at least, and half a second of grace follows. */
    @Override
    @Test
    public void shouldTimeout() throws InterruptedException {
        doTestTimeout(Duration.ofSeconds(1));
    }

    @Test
    void namesMayHaveAnyCharacters() {
        Optional<SimpleLock> lock = provider.lock(lockConfig("a b/c?ü+%"));
        assertThat(lock).isNotEmpty();
        assertThat(provider.lock(lockConfig("a b/c?ü+%"))).isEmpty();
        lock.get().unlock();
    }

    private static String stateOf(String lockName) {
        URI lock = SERVER.resolve("/v1/leases/" + lockName);
        HttpRequest request = HttpRequest.newBuilder(lock).build();
        try {
            return HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body();
        } catch (IOException | InterruptedException why) {
            throw new IllegalStateException(why);
        }
    }
}
