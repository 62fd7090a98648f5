// SPDX-License-Identifier: Apache-2.0
package leasehold.shedlock;

import static java.util.concurrent.TimeUnit.SECONDS;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.javacrumbs.shedlock.core.AbstractSimpleLock;
import net.javacrumbs.shedlock.core.ClockProvider;
import net.javacrumbs.shedlock.core.ExtensibleLockProvider;
import net.javacrumbs.shedlock.core.LockConfiguration;
import net.javacrumbs.shedlock.core.SimpleLock;
import net.javacrumbs.shedlock.support.LockException;

/**
 * Locks of ShedLock as leases of `leasehold serve`. The server decides by its clock when a lock
 * ends. A lock is free lockAtMostFor plus the server's grace (half a second) after its start,
 * and a lockAtMostFor below a second counts as a second.
 */
public final class LeaseholdLockProvider implements ExtensibleLockProvider {
    private static final Pattern LEASE = Pattern.compile("\"lease\":\"([0-9a-f]{32})\"");
    private static final Duration TIMEOUT = Duration.ofSeconds(15);

    private final HttpClient http = HttpClient.newHttpClient();
    private final String url;
    private final String token;
    private final String owner;

    /** The token is one of the server's token file, or null. The owner is shown to others. */
    public LeaseholdLockProvider(URI server, String token, String owner) {
        this.url = server.resolve("/v1/leases/").toString();
        this.token = token;
        this.owner = owner;
    }

    @Override
    public Optional<SimpleLock> lock(LockConfiguration configuration) {
        String body = "{\"owner\":" + quoted(owner) + ",\"ttl_ms\":" + ttl(configuration) + "}";
        HttpResponse<String> reply = send("POST", configuration, null, body);
        if (reply.statusCode() == 423) return Optional.empty();
        Matcher lease = LEASE.matcher(expected(reply, 201).body());
        if (!lease.find()) throw new LockException("no lease in " + reply.body());
        return Optional.of(new Lock(configuration, lease.group(1)));
    }

    private final class Lock extends AbstractSimpleLock {
        private final String lease;

        Lock(LockConfiguration configuration, String lease) {
            super(configuration);
            this.lease = lease;
        }

        /** The key stays taken until lockAtLeastFor is over, even if this process ends now. */
        @Override
        protected void doUnlock() {
            Instant now = ClockProvider.now();
            long keep = Duration.between(now, lockConfiguration.getLockAtLeastUntil()).toMillis();
            release("{\"keep_ms\":" + Math.max(0, keep) + "}");
        }

        @Override
        protected Optional<SimpleLock> doExtend(LockConfiguration extended) {
            if (ClockProvider.now().isAfter(lockConfiguration.getLockAtMostUntil())) {
                release("{}"); // it may still be held for a part of a second
                return Optional.empty();
            }
            String body = "{\"ttl_ms\":" + ttl(extended) + "}";
            HttpResponse<String> reply = send("PATCH", extended, lease, body);
            if (reply.statusCode() == 410) return Optional.empty();
            expected(reply, 200);
            return Optional.of(new Lock(extended, lease));
        }

        private void release(String body) {
            HttpResponse<String> reply = send("DELETE", lockConfiguration, lease, body);
            if (reply.statusCode() != 410) expected(reply, 200); // 410: it has ended, or was broken
        }
    }

    private HttpResponse<String> send(
            String method, LockConfiguration lock, String lease, String body) {
        String key = URLEncoder.encode(lock.getName(), StandardCharsets.UTF_8).replace("+", "%20");
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + key))
                .method(method, BodyPublishers.ofString(body))
                .header("Content-Type", "application/json")
                .timeout(TIMEOUT);
        if (lease != null) request.header("Lease-Id", lease);
        if (token != null) request.header("Authorization", "Bearer " + token);
        try {
            return http.send(request.build(), BodyHandlers.ofString());
        } catch (IOException why) {
            throw new LockException("leasehold serve does not answer", why);
        } catch (InterruptedException why) {
            Thread.currentThread().interrupt();
            throw new LockException("interrupted", why);
        }
    }

    private static HttpResponse<String> expected(HttpResponse<String> reply, int status) {
        if (reply.statusCode() != status) throw new LockException(reply.body());
        return reply;
    }

    private static long ttl(LockConfiguration configuration) {
        return Math.max(SECONDS.toMillis(1), configuration.getLockAtMostFor().toMillis());
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
