/* SPDX-License-Identifier: Apache-2.0
 * What the C++ wrapper promises, seen through the wrapper and the store itself: wrapper URI DB. */
#include <leasehold/leasehold.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>

static_assert(std::is_nothrow_move_constructible_v<leasehold::lease> &&
              std::is_nothrow_move_assignable_v<leasehold::lease>);
static_assert(!std::is_copy_constructible_v<leasehold::lease> &&
              !std::is_copy_assignable_v<leasehold::lease>);
static_assert(!std::is_copy_constructible_v<leasehold::store>);

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            std::fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what);                        \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

template <typename Call> static int code_of(Call call)
{
    try {
        call();
    } catch (const leasehold::error &e) {
        MUST(*e.what() != '\0');
        return e.code();
    }
    return LH_OK;
}

static bool held(leasehold::store &store, const char *key)
{
    return store.status(key)->state == LH_HELD;
}

static void a_lease_ends_with_its_scope(leasehold::store &store)
{
    int64_t token = 0;
    {
        leasehold::acquire_options options;
        options.owner = "ann";
        options.purpose = "rebuild";
        const auto lease = store.acquire("scope", options);
        token = lease.token();
        MUST(lease.valid() && lease.remaining().count() > 0 && lease.key() == "scope" &&
             held(store, "scope"));
        leasehold::record busy;
        MUST(!store.try_acquire("scope", {}, &busy));
        MUST(std::string("ann") == lh_record_holder(busy.get(), 0)->owner);
        MUST(!store.try_acquire("scope"));
        MUST(code_of([&] { (void)store.acquire("scope"); }) == LH_BUSY);
    }
    MUST(!held(store, "scope"));
    MUST(store.acquire("scope").token() > token);
}

static void a_lease_moves(leasehold::store &store)
{
    auto first = store.acquire("first");
    auto moved = std::move(first);
    MUST(!first.valid() && first.remaining().count() == 0 && moved.valid());
    moved = store.acquire("second"); /* the one before is released */
    MUST(!held(store, "first") && held(store, "second") && moved.key() == "second");
    auto &self = moved;
    moved = std::move(self);
    MUST(moved.valid());
    moved.release();
    MUST(!moved.valid() && !held(store, "second"));
    auto leaves = store.acquire("noted");
    MUST(!leaves.note());
    MUST(code_of([&] { leaves.release(std::string(LH_TEXT_MAX + 1, 'x')); }) == LH_INVALID &&
         leaves.valid());
    leaves.release("v7");
    auto finds = store.acquire("noted");
    MUST(finds.note() == "v7");
}

static void errors_are_thrown(leasehold::store &store)
{
    MUST(code_of([&] { (void)store.acquire(""); }) == LH_INVALID);
    MUST(code_of([] { leasehold::store wrong("nonsense"); }) == LH_CONFIG);
    MUST(code_of([] { (void)leasehold::key_join({}); }) == LH_INVALID);
    auto lease = store.acquire("broken");
    lh_break_options options = LH_BREAK_OPTIONS_INIT;
    options.reason = "a test";
    lh_record *broken = nullptr;
    MUST(lh_break(store.get(), "broken", &options, &broken, nullptr) == LH_OK);
    const leasehold::record owned(broken);
    MUST(code_of([&] { lease.renew(); }) == LH_LOST);
}

static void a_lease_is_handed_on(leasehold::store &store)
{
    auto lease = store.acquire("handed");
    const std::string id = lease.transfer("bob");
    MUST(!lease.valid());
    auto next = store.attach("handed", id);
    MUST(!next.valid());
    next.renew(leasehold::milliseconds(60000));
    MUST(next.valid() && next.id() == id && next.remaining().count() > 50000);
    lh_lease *raw = next.detach();
    MUST(!next.valid() && lh_lease_valid(raw));
    MUST(lh_lease_release(raw, nullptr) == LH_OK);
    lh_lease_free(raw);
}

/* C ends a text at its first NUL: none is cut short, wherever it stands and whoever takes it. */
static void a_text_with_a_nul_is_refused(leasehold::store &store, const char *uri)
{
    using namespace std::string_literals;
    for (const std::string &bad : {"\0"s, "\0k"s, "k\0"s, "k\0l"s, "k\0\0"s}) {
        auto refused = [](auto call) {
            try {
                call();
            } catch (const leasehold::error &e) {
                return e.code() == LH_INVALID &&
                       std::string(e.what()).find("NUL") != std::string::npos;
            }
            return false;
        };
        leasehold::acquire_options named;
        named.owner = bad;
        MUST(refused([&] { (void)store.try_acquire("k", named); }));
        named = {};
        named.purpose = bad;
        MUST(refused([&] { (void)store.acquire("k", named); }));
        MUST(refused([&] { (void)store.try_acquire(bad); }));
        MUST(refused([&] { (void)store.acquire(bad); }));
        MUST(refused([&] { (void)store.status(bad); }));
        MUST(refused([&] { (void)store.attach(bad, std::string(LH_LEASE_ID_LEN, 'a')); }));
        MUST(refused([&] { (void)store.attach("k", std::string(LH_LEASE_ID_LEN, 'a') + bad); }));
        MUST(refused([&] { (void)leasehold::key_join({bad}); }));
        MUST(refused([&] { (void)leasehold::key_join({"a", bad, "b"}); }));
        MUST(refused([&] { leasehold::store wrong(uri + bad); }));
        MUST(refused([&] { leasehold::store wrong(bad); }));
        MUST(refused([&] { leasehold::store wrong(uri, bad); }));
        auto lease = store.acquire("nul");
        MUST(refused([&] { lease.release(bad); }) && lease.valid());
        MUST(refused([&] { (void)lease.transfer(bad); }) && lease.valid());
        lease.release();
        MUST(store.status("k")->token == 0 &&
             store.status("nul")->state == LH_FREE); /* nothing was asked for */
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    lh_store_options options = LH_STORE_OPTIONS_INIT;
    options.uri = argv[1];
    options.db = argv[2];
    options.at_open = LH_AT_OPEN_MIGRATE;
    leasehold::store store(options);
    leasehold::store other(argv[1], argv[2]);
    a_lease_ends_with_its_scope(store);
    a_lease_moves(store);
    errors_are_thrown(other);
    a_lease_is_handed_on(other);
    a_text_with_a_nul_is_refused(other, argv[1]);
    MUST(leasehold::key_join({"root", "a:b"}) == "root:a%3Ab");
    std::puts("done");
    return 0;
}
