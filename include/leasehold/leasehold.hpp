/* SPDX-License-Identifier: Apache-2.0
 *
 * Leasehold for C++17: leases as values that release themselves. This header is a thin layer over
 * leasehold.h, which is the reference.
 *
 *     leasehold::store store{"mongodb://db0,db1,db2/?replicaSet=rs"};
 *     if (auto lease = store.try_acquire("project:42")) { // empty: another holder has it
 *         rebuild(lease->token());                        // check lease->valid() between the steps
 *     }                                                   // released here
 *
 * Errors are exceptions: leasehold::error, with the outcome in code(). try_acquire() throws no
 * exception if the key is busy. A text that contains a NUL is LH_INVALID, because C would cut it
 * there. A lease can be moved but not copied. A destructor does not report the result of its
 * release (a lease that could not be released ends with its ttl); call release() to see it. After a
 * store is closed, its leases can only be destroyed.
 */
#ifndef LEASEHOLD_HPP
#define LEASEHOLD_HPP

#include <leasehold/leasehold.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace leasehold
{

using std::chrono::milliseconds;

/* A value of `wait`: without limit. */
inline constexpr milliseconds forever{LH_FOREVER};

/* Any outcome but LH_OK. what() is the message. */
class error : public std::runtime_error
{
  public:
    explicit error(const lh_error &e)
        : std::runtime_error(e.message), code_(e.code), server_code_(e.server_code),
          lease_id_(e.lease_id)
    {
    }
    int code() const noexcept /* an lh_outcome */
    {
        return code_;
    }
    int server_code() const noexcept /* MongoDB's, or 0 */
    {
        return server_code_;
    }
    const std::string &lease_id()
        const noexcept /* LH_UNKNOWN: the lease in doubt; otherwise empty */
    {
        return lease_id_;
    }

  private:
    int code_, server_code_;
    std::string lease_id_;
};

namespace detail
{
inline void check(int outcome, const lh_error &e)
{
    if (outcome != LH_OK)
        throw error(e);
}
[[noreturn]] inline void fail(int code, const std::string &sentence)
{
    lh_error e = LH_ERROR_INIT;
    e.code = code;
    sentence.copy(e.message, sizeof e.message - 1);
    throw error(e);
}
/* C ends a text at its first NUL. Throws LH_INVALID instead of cutting it. */
inline const char *text(const char *name, const std::string &value)
{
    const auto at = value.find('\0');
    if (at != std::string::npos)
        fail(LH_INVALID, std::string("the ") + name + " has a NUL at byte " + std::to_string(at));
    return value.c_str();
}
inline const char *text_or_default(const char *name, const std::string &value)
{
    return value.empty() ? nullptr : text(name, value);
}
template <auto Free> struct freer {
    template <typename T> void operator()(T *object) const noexcept
    {
        Free(object);
    }
};
} // namespace detail

/* A record; the strings in it belong to it. */
using record = std::unique_ptr<lh_record, detail::freer<lh_record_free>>;

/* "project" and "42" give project:42: see lh_key_join(). */
inline std::string key_join(const std::vector<std::string> &parts)
{
    std::vector<const char *> texts;
    for (const std::string &part : parts)
        texts.push_back(detail::text("part of the key", part));
    char *key = nullptr;
    lh_error e = LH_ERROR_INIT;
    detail::check(lh_key_join(texts.data(), texts.size(), &key, &e), e);
    std::unique_ptr<char, detail::freer<lh_string_free>> owned(key);
    return owned.get();
}

/* As lh_acquire_options; an empty text is the default. */
struct acquire_options {
    milliseconds ttl{LH_TTL_DEFAULT_MS};
    milliseconds wait{0};
    bool shared = false;
    bool by_hand = false; /* true: call renew(); false: the store renews it */
    bool path = false;
    std::string owner{};
    std::string purpose{};
};

class lease
{
  public:
    lease(lease &&) noexcept = default;
    lease &operator=(lease &&other) noexcept
    {
        if (this != &other) {
            end();
            handle_ = std::move(other.handle_);
        }
        return *this;
    }
    ~lease()
    {
        end();
    }

    /* Whether the holder may still work. Once false, it stays false. False after release(), and
     * for a lease that was moved from. */
    bool valid() const noexcept
    {
        return handle_ && lh_lease_valid(handle_.get());
    }
    /* False if the store observes or is off (others may work on the same thing), and after
     * release(). */
    bool enforced() const noexcept
    {
        return handle_ && lh_lease_enforced(handle_.get());
    }
    milliseconds remaining() const noexcept
    {
        return milliseconds(handle_ ? lh_lease_remaining_ms(handle_.get()) : 0);
    }
    /* Only for a lease that was neither released nor moved from: */
    int64_t token() const noexcept
    {
        return lh_lease_token(handle_.get());
    }
    std::string key() const
    {
        return lh_lease_key(handle_.get());
    }
    std::string id() const /* a capability: with it, any process can renew and release */
    {
        return lh_lease_id(handle_.get());
    }
    /* Throws LH_LOST if the lease has ended. 0: its present ttl. */
    void renew(milliseconds ttl = milliseconds{0})
    {
        lh_error e = LH_ERROR_INIT;
        detail::check(lh_lease_renew(handle_.get(), ttl.count(), nullptr, &e), e);
    }
    /* `note` is for the next holder; for `keep` the key stays taken. This lease is empty
     * afterwards, also if the call throws; only after LH_INVALID it is held as before. */
    void release(const std::string &note = {}, milliseconds keep = milliseconds{0})
    {
        lh_error e = LH_ERROR_INIT;
        lh_release_options options = LH_RELEASE_OPTIONS_INIT;
        options.note = detail::text("note", note);
        options.keep_ms = keep.count();
        const int outcome = lh_lease_release_with(handle_.get(), &options, &e);
        if (outcome != LH_INVALID)
            handle_.reset();
        detail::check(outcome, e);
    }
    /* The note of the previous holder. Empty: there is none, and anything may have changed. */
    std::optional<std::string> note()
    {
        lh_error e = LH_ERROR_INIT;
        const lh_note *found = nullptr;
        detail::check(lh_lease_note(handle_.get(), &found, &e), e);
        return found ? std::optional<std::string>(found->text) : std::nullopt;
    }
    /* Hands the lease on, and returns the new id, for attach(). Unless it throws, this lease is
     * empty afterwards. */
    std::string transfer(const std::string &to_owner)
    {
        char id[LH_LEASE_ID_LEN + 1];
        lh_error e = LH_ERROR_INIT;
        detail::check(lh_lease_transfer(handle_.get(), detail::text("new owner", to_owner), id, &e),
                      e);
        handle_.reset();
        return id;
    }
    /* For calls of leasehold.h and mongo.h, such as lh_lease_guard(). This object still owns it. */
    lh_lease *get() const noexcept
    {
        return handle_.get();
    }
    /* Gives the handle to the caller, who must free it; this object does not release the lease. */
    lh_lease *detach() noexcept
    {
        return handle_.release();
    }

  private:
    friend class store;
    explicit lease(lh_lease *handle) noexcept : handle_(handle)
    {
    }
    void end() noexcept
    {
        if (handle_)
            (void)lh_lease_release(handle_.get(), nullptr);
        handle_.reset();
    }
    std::unique_ptr<lh_lease, detail::freer<lh_lease_free>> handle_;
};

class store
{
  public:
    explicit store(const lh_store_options &options)
    {
        lh_store *opened = nullptr;
        lh_error e = LH_ERROR_INIT;
        detail::check(lh_store_open(&options, &opened, &e), e);
        handle_.reset(opened);
    }
    explicit store(const std::string &uri, const std::string &db = {}) : store(options_of(uri, db))
    {
    }

    /* Empty: another holder has the key, or the wait is over; *ret_busy describes the holder. Any
     * other failure throws. */
    std::optional<lease> try_acquire(const std::string &key, const acquire_options &options = {},
                                     record *ret_busy = nullptr)
    {
        lh_acquire_options o = LH_ACQUIRE_OPTIONS_INIT;
        o.ttl_ms = options.ttl.count();
        o.wait_ms = options.wait.count();
        o.mode = options.shared ? LH_SHARED : LH_EXCLUSIVE;
        o.by_hand = options.by_hand;
        o.path = options.path;
        o.owner = detail::text_or_default("owner", options.owner);
        o.purpose = detail::text_or_default("purpose", options.purpose);
        lh_lease *granted = nullptr;
        lh_record *busy = nullptr;
        lh_error e = LH_ERROR_INIT;
        const int outcome = lh_acquire(handle_.get(), detail::text("key", key), &o, &granted,
                                       ret_busy ? &busy : nullptr, &e);
        if (outcome == LH_BUSY) {
            if (ret_busy)
                ret_busy->reset(busy);
            return std::nullopt;
        }
        detail::check(outcome, e);
        return lease(granted);
    }
    /* The same, but a busy key throws too, with LH_BUSY. */
    lease acquire(const std::string &key, const acquire_options &options = {})
    {
        record busy;
        if (auto granted = try_acquire(key, options, &busy))
            return std::move(*granted);
        const lh_holder *holder = busy ? lh_record_holder(busy.get(), 0) : nullptr;
        detail::fail(
            LH_BUSY,
            key + " is busy" +
                (holder && *holder->owner ? std::string(": ") + holder->owner + " holds it" : ""));
    }
    /* A lease that another process acquired: renew() it first. Destroying it releases it. */
    lease attach(const std::string &key, const std::string &lease_id)
    {
        lh_lease *attached = nullptr;
        lh_error e = LH_ERROR_INIT;
        detail::check(lh_lease_attach(handle_.get(), detail::text("key", key),
                                      detail::text("lease id", lease_id), &attached, &e),
                      e);
        return lease(attached);
    }
    record status(const std::string &key)
    {
        lh_record *found = nullptr;
        lh_error e = LH_ERROR_INIT;
        detail::check(lh_status(handle_.get(), detail::text("key", key), &found, &e), e);
        return record(found);
    }
    /* For other calls of leasehold.h. This object still owns it. */
    lh_store *get() const noexcept
    {
        return handle_.get();
    }

  private:
    static lh_store_options options_of(const std::string &uri, const std::string &db)
    {
        lh_store_options options = LH_STORE_OPTIONS_INIT;
        options.uri = detail::text("connection string", uri);
        options.db = detail::text_or_default("database name", db);
        return options;
    }
    std::unique_ptr<lh_store, detail::freer<lh_store_close>> handle_;
};

} // namespace leasehold

#endif
