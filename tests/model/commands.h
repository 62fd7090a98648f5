// SPDX-License-Identifier: Apache-2.0
// What a server does, in the model: it runs the commands that the library sends, and the library's
// own code reads the answers.
//
// A document of the model becomes a stored document. The library makes the command for it from the
// texts of src/protocol. tests/support/evaluate.c evaluates the command. What comes of it becomes a
// document of the model again. A table keeps each result, because most are needed many times.
//
// This file alone knows both kinds of documents. The model knows less: lease ids are numbers, an
// instant is a number of ticks, and fields that only people read are left out.
#include <dlfcn.h>
#include <map>
#include <unordered_map>
#include "evaluate.h"
extern "C" {
#include "protocol/doc.h"
#include "protocol/pipeline.h"
#include "protocol/pipeline_many.h"
#include "protocol/pipeline_short.h"
}

namespace commands {
constexpr int64_t BASE = 1'800'000'000'000, TICK = 1000;   // the server's now, and a tick, in milliseconds
u64 runs = 0, evaluations = 0;
std::string problem;                                       // why a server would refuse a command: the search ends

// ---- the text: the protocol as it is, or with patches ----------
struct Text {
    lh_pipelines* pipelines;
    decltype(&lh_pipeline_command) make;
    decltype(&lh_pipeline_has_short) has_short;
    decltype(&lh_pipeline_poll) poll;
} text;
std::string library_of(const char* patches) { return std::string("build/model/") + (*patches ? patches : "as-it-is") + ".so"; }
void load(const char* patches) {
    void* library = dlopen(library_of(patches).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) { fprintf(stderr, "leasecheck: %s\n", dlerror()); exit(1); }
    text.make = reinterpret_cast<decltype(text.make)>(dlsym(library, "lh_pipeline_command"));
    text.has_short = reinterpret_cast<decltype(text.has_short)>(dlsym(library, "lh_pipeline_has_short"));
    text.poll = reinterpret_cast<decltype(text.poll)>(dlsym(library, "lh_pipeline_poll"));
    text.pipelines = reinterpret_cast<decltype(&lh_pipelines_new)>(dlsym(library, "lh_pipelines_new"))();
}

// ---- documents ----------
std::string id_text(u8 id) { char t[40]; snprintf(t, sizeof t, "%032x", id); return t; }
std::string holder_text(u8 id) { return id >= SHARED ? "shared:" + id_text(u8(id - SHARED)) : id >= KEPT ? "kept:" + id_text(u8(id - KEPT)) : id_text(id); }
u8 id_number(const char* t) {
    bool shared = !strncmp(t, "shared:", 7), kept = !strncmp(t, "kept:", 5);
    return u8(strtoul(t + (shared ? 7 : kept ? 5 : 0), nullptr, 16) + (shared ? SHARED : kept ? KEPT : 0));
}
void put_date(bson_t* to, const char* name, int ticks) { BSON_APPEND_DATE_TIME(to, name, BASE + ticks * TICK); }
void put_token(bson_t* to, u8 token) { if (token) BSON_APPEND_INT64(to, "token", token); }
const char* const HOW[] = {"", "release", "expire", "transfer", "break"};

bson_t* stored(const Doc& d) {
    if (!d.there) return nullptr;
    bson_t* b = bson_new(); bson_t map, entry;
    if (d.foreign) { bson_oid_t oid{}; BSON_APPEND_OID(b, "_id", &oid); } else BSON_APPEND_UTF8(b, "_id", "k");
    BSON_APPEND_UTF8(b, "workspace_id", "k");
    BSON_APPEND_UTF8(b, "id", holder_text(d.id).c_str());
    put_date(b, "expires_at", d.expires);
    put_token(b, d.token);
    if (!d.foreign) BSON_APPEND_UTF8(b, "owner", "o"), BSON_APPEND_INT64(b, "ttl_ms", cfg.ttl * TICK);
    BSON_APPEND_INT64(b, "beat", d.beat);
    put_date(b, "acquired_at", d.acquired); put_date(b, "renewed_at", d.renewed);
    if (d.proc) BSON_APPEND_UTF8(b, "proc", std::to_string(d.proc).c_str());
    if (d.woken) BSON_APPEND_UTF8(b, "wake", (id_text(d.id) + ":" + std::to_string(d.beat)).c_str());
    if (d.provisional) BSON_APPEND_BOOL(b, "provisional", true);
    if (d.released) {
        BSON_APPEND_DOCUMENT_BEGIN(b, "released", &map);
        BSON_APPEND_UTF8(&map, "id", holder_text(d.released).c_str()); put_date(&map, "at", d.released_at);
        BSON_APPEND_UTF8(&map, "how", HOW[d.how]);
        bson_append_document_end(b, &map);
    }
    if (d.nshared) {
        BSON_APPEND_DOCUMENT_BEGIN(b, "shared", &map);
        for (int i = 0; i < d.nshared; i++) {
            BSON_APPEND_DOCUMENT_BEGIN(&map, id_text(d.shared[i].id).c_str(), &entry);
            put_token(&entry, d.shared[i].token); put_date(&entry, "expires_at", d.shared[i].expires); BSON_APPEND_INT64(&entry, "ttl_ms", cfg.ttl * TICK);
            bson_append_document_end(&map, &entry);
        }
        bson_append_document_end(b, &map);
    }
    if (d.nwaiters) {
        BSON_APPEND_DOCUMENT_BEGIN(b, "waiters", &map);
        for (int i = 0; i < d.nwaiters; i++) {
            const Waiter& w = d.waiters[i];
            BSON_APPEND_DOCUMENT_BEGIN(&map, id_text(w.id).c_str(), &entry);
            BSON_APPEND_UTF8(&entry, "mode", w.shared ? "shared" : "exclusive"); BSON_APPEND_UTF8(&entry, "owner", "o");
            BSON_APPEND_INT64(&entry, "beat", w.beat); put_date(&entry, "beat_at", w.at);
            BSON_APPEND_INT64(&entry, "ttl_ms", cfg.ttl * TICK); BSON_APPEND_INT64(&entry, "claim_ms", cfg.claim * TICK);
            bson_append_document_end(&map, &entry);
        }
        bson_append_document_end(b, &map);
    }
    return b;
}
// The fields of an object by name, read one after the other.
struct Fields {
    bson_iter_t at; const char* name;
    explicit Fields(const bson_t* of) { bson_iter_init(&at, of); }
    explicit Fields(const bson_iter_t& of) { bson_iter_recurse(&of, &at); }
    bool next() { return bson_iter_next(&at) && (name = bson_iter_key(&at)); }
    bool is(const char* wanted) const { return !strcmp(name, wanted); }
    u8 number() const { return u8(bson_iter_as_int64(&at)); }
    u8 token() const { return cfg.tokens ? number() : 1; }
    i8 ticks() const { return i8((bson_iter_date_time(&at) - BASE) / TICK); }
    const char* words() const { const char* t = bson_iter_utf8(&at, nullptr); return t ? t : ""; }
};
Doc modelled(const bson_t* b) {
    Doc d{};
    if (!b) return d;
    d.there = 1;
    for (Fields f(b); f.next();) {
        if (f.is("_id")) d.foreign = BSON_ITER_HOLDS_OID(&f.at);
        else if (f.is("id")) d.id = id_number(f.words());
        else if (f.is("expires_at")) d.expires = f.ticks();
        else if (f.is("token")) d.token = f.token();
        else if (f.is("beat")) d.beat = f.number();
        else if (f.is("acquired_at") && cfg.insert_believed >= 0) d.acquired = f.ticks();
        else if (f.is("renewed_at")) d.renewed = f.ticks();
        else if (f.is("proc")) d.proc = u8(atoi(f.words()));
        else if (f.is("provisional")) d.provisional = bson_iter_bool(&f.at);
        else if (f.is("released")) {
            for (Fields r(f.at); r.next();)
                if (r.is("id")) d.released = id_number(r.words());
                else if (r.is("at")) d.released_at = r.ticks();
                else if (r.is("how") && cfg.told) for (u8 i = 0; i < 5; i++) if (!strcmp(HOW[i], r.words())) d.how = i;
        } else if (f.is("shared")) {
            for (Fields readers(f.at); readers.next();) {
                Holder& h = d.shared[int(d.nshared++)]; h.id = id_number(readers.name);
                for (Fields r(readers.at); r.next();) if (r.is("token")) h.token = r.token(); else if (r.is("expires_at")) h.expires = r.ticks();
            }
        } else if (f.is("waiters")) {
            for (Fields waiters(f.at); waiters.next();) {
                Waiter& w = d.waiters[int(d.nwaiters++)]; w.id = id_number(waiters.name);
                for (Fields e(waiters.at); e.next();)
                    if (e.is("beat")) w.beat = e.number(); else if (e.is("beat_at")) w.at = e.ticks(); else if (e.is("mode")) w.shared = *e.words() == 's';
            }
        }
    }
    if (d.id >= KEPT || freed(d)) d.beat = d.proc = 0, d.acquired = 0;   // what nobody reads there
    return d;
}

// ---- commands ----------
struct Woken { u8 id, beat; };
struct Result {
    Doc after;
    bool changed;                                          // else it was a no-op: also a deposed primary answers that
    Outcome told; u8 token, age;                           // what the library reads in the answer; how old a first grant is (64 + ticks)
    Woken woken[SHARED_MAX]; u8 n_woken;                   // whom the change stream names
};
struct Asked {                                             // bytes without gaps: the table goes by them
    Doc before; u8 kind, shared, me, arg, token, form, clock;
    bool operator==(const Asked& o) const { return !memcmp(this, &o, sizeof o); }
};
u64 fingerprint(const void* of, size_t n) {
    const u8* p = static_cast<const u8*>(of); u64 h = 0x9E3779B97F4A7C15ull;
    for (; n >= 8; n -= 8, p += 8) { u64 v; memcpy(&v, p, 8); h = (h ^ v) * 0xD6E8FEB86659FD93ull; h ^= h >> 32; }
    u64 v = 0; memcpy(&v, p, n); h = (h ^ v) * 0xD6E8FEB86659FD93ull; h ^= h >> 29; h *= 0x94D049BB133111EBull; h ^= h >> 32;
    return h ? h : 1;
}
struct Hash { size_t operator()(const Asked& a) const { return fingerprint(&a, sizeof a); } };
std::unordered_map<Asked, Result, Hash>* known;            // of all scenarios that mean the same by a command
void use_table() {
    static std::map<std::string, std::unordered_map<Asked, Result, Hash>> all;
    std::string means = cfg.text;
    for (int n : {cfg.ttl, cfg.claim, cfg.grace, int(cfg.tokens), int(cfg.told), int(cfg.polls), cfg.deaths, cfg.keep, int(cfg.insert_believed >= 0),
                  int(cfg.found_is_done), int(cfg.matched_is_renewed)}) means += " " + std::to_string(n);
    known = &all[means];
}

lh_op operation_of(const Asked& a) {
    switch (a.kind) {
    case ACQUIRE: return a.arg ? a.shared ? LH_OP_WAIT_SHARED : LH_OP_WAIT_EXCLUSIVE : a.shared ? LH_OP_ACQUIRE_SHARED : LH_OP_ACQUIRE_EXCLUSIVE;
    case RENEW: return LH_OP_RENEW;
    case RELEASE: case CANCEL: return LH_OP_RELEASE;
    case LEAVE_KEPT: return LH_OP_RELEASE_KEPT;
    case TRANSFER: return LH_OP_TRANSFER;
    case REAP: return LH_OP_REAP;
    case BREAK: return LH_OP_BREAK;
    default: return LH_OP_SETTLE;
    }
}
bson_value_t value_of(const std::string& t) { bson_value_t v{}; v.value_type = BSON_TYPE_UTF8; v.value.v_utf8.str = const_cast<char*>(t.c_str()); v.value.v_utf8.len = u32(t.size()); return v; }
bson_value_t value_of(u8 number) { bson_value_t v{}; v.value_type = BSON_TYPE_INT64; v.value.v_int64 = number; return v; }
bson_t* command_of(const Asked& a) {
    lh_op what = operation_of(a);
    std::string me = id_text(what == LH_OP_BREAK ? NOBODY : a.me), to = id_text(a.arg), dead = std::to_string(a.arg), seen = holder_text(a.me), key = "k";
    lh_vars v{}; bson_value_t doc_id = value_of(key), seen_id = value_of(seen), seen_token = value_of(a.token);
    if (a.before.foreign) doc_id.value_type = BSON_TYPE_OID, memset(&doc_id.value.v_oid, 0, sizeof doc_id.value.v_oid);
    v.key = "k"; v.me = me.c_str(); v.owner = "o"; v.host = "h"; v.ttl_ms = cfg.ttl * TICK; v.grace_ms = cfg.grace * TICK; v.max_shared = SHARED_MAX; v.set = true;
    if (what == LH_OP_WAIT_EXCLUSIVE || what == LH_OP_WAIT_SHARED) { v.claim_ms = cfg.claim * TICK; v.beat = a.token; v.max_waiters = QUEUE; }
    if (what == LH_OP_RENEW) v.token = a.token;
    if (what == LH_OP_RELEASE_KEPT) v.keep_ms = cfg.keep * TICK;
    if (what == LH_OP_TRANSFER) v.to = to.c_str(), v.to_owner = "o";
    if (what == LH_OP_REAP) v.dead = dead.c_str();
    if (what == LH_OP_REAP || what == LH_OP_BREAK) v.by = v.reason = "r";
    if (what == LH_OP_BREAK) v.seen_doc_id = &doc_id, v.seen_id = &seen_id, v.seen_token = a.token ? &seen_token : nullptr;
    if (cfg.deaths) snprintf(v.proc, sizeof v.proc, "%d", owner(a.me) + 1);
    v.own = a.form;
    bson_t* command = bson_new(); text.make(text.pipelines, what, !(a.form && text.has_short(what, &v)), "c", &v, command);
    return command;
}
// What the library reads in the answer.
void read_reply(const Asked& a, const bson_t* shown, bool inserted, Result* r) {
    lh_mine mine{};
    if (shown) lh_doc_mine(shown, id_text(a.me).c_str(), &mine);
    r->token = cfg.tokens ? u8(mine.token) : 1;
    bool held = mine.holds && mine.written;
    switch (a.kind) {
    case ACQUIRE:
        r->told = held ? OK : a.arg && lh_doc_place(shown) >= 0 ? QUEUED : BUSY;
        if (held && cfg.insert_believed >= 0) {
            int age = int((mine.now_ms - mine.acquired_at_ms) / TICK);
            r->age = inserted ? 64 : age ? u8(64 + std::clamp(age, -20, 20)) : 0;
        }
        break;
    case RENEW: r->told = held || (cfg.matched_is_renewed && (mine.holds || mine.lapsed)) ? OK : MISS; break;
    case RELEASE: r->told = mine.ended ? OK : MISS; break;
    default: r->told = r->changed ? OK : MISS;             // nobody hears of these
    }
}
void read_wake(const bson_t* after, const bson_t* before, Result* r) {
    bson_iter_t is, was;
    if (!after || !bson_iter_init_find(&is, after, "wake") || !BSON_ITER_HOLDS_UTF8(&is)) return;
    std::string words = bson_iter_utf8(&is, nullptr); bool at_top = words.find(holder_text(r->after.id) + ":") != std::string::npos;
    if (cfg.polls && r->after.id < SHARED && !freed(r->after)) r->after.woken = at_top;
    if (before && bson_iter_init_find(&was, before, "wake") && words == bson_iter_utf8(&was, nullptr)) return;
    for (size_t at = 0; at < words.size() && r->n_woken < SHARED_MAX; at = words.find(' ', at) == std::string::npos ? words.size() : words.find(' ', at) + 1)
        r->woken[r->n_woken++] = {id_number(words.substr(at, 32).c_str()), u8(atoi(words.c_str() + at + 33))};
}
// A look at the document: is this lease id granted the key, by which beat, and does `wake` name it?
Result look(const Asked& a) {
    char why[128] = ""; Result r{}; std::string me = id_text(a.me);
    bson_t *document = stored(a.before), *keys = bson_new(), *ids = bson_new(), *command = bson_new(), *shown = nullptr; bson_iter_t wake;
    BSON_APPEND_UTF8(keys, "0", "k"); BSON_APPEND_UTF8(ids, "0", me.c_str());
    text.poll(text.pipelines, "c", keys, ids, command);
    if (evaluate_fields(command, document, {BASE, 0, 0}, &shown, why, sizeof why) != EVALUATE_DONE) problem = why;
    else {
        lh_doc_each_grant(shown, [](void* to, const lh_grant* g) {
            Result& r = *static_cast<Result*>(to);
            if (g->beat < 0) return;                       // not told: it asks again
            r.told = OK; r.token = cfg.tokens ? u8(g->token) : 1; r.woken[0] = {id_number(g->id), u8(g->beat)};
        }, &r);
        r.n_woken = bson_iter_init_find(&wake, shown, "wake") && BSON_ITER_HOLDS_UTF8(&wake) && strstr(bson_iter_utf8(&wake, nullptr), me.c_str());
    }
    for (bson_t* b : {document, keys, ids, command, shown}) bson_destroy(b);
    evaluations++;
    return r;
}
Result evaluate(const Asked& a) {
    if (a.kind == LOOK) return look(a);
    char why[128] = ""; bson_oid_t oid{}; Result r{};
    evaluate_clock time{BASE, 0, a.clock};
    bson_t *command = command_of(a), *before = stored(a.before), *after = nullptr, *shown = nullptr;
    bool found = !a.form || (before && !a.before.foreign);  // a short form looks for the _id
    if (!found) r.after = a.before;
    else if (evaluate_update(command, before, time, &oid, &after, why, sizeof why) != EVALUATE_DONE ||
             (after && !a.form && evaluate_fields(command, after, time, &shown, why, sizeof why) != EVALUATE_DONE)) problem = why;
    else {
        Doc was = modelled(before); r.after = modelled(after);
        r.changed = after && (!before || (!bson_equal(before, after) && memcmp(&was, &r.after, sizeof was)));
        read_reply(a, shown, !before, &r); read_wake(after, before, &r);
        if (a.form) r.told = r.changed || cfg.found_is_done ? OK : MISS, r.token = a.token;   // nModified
    }
    for (bson_t* b : {command, before, after, shown}) bson_destroy(b);
    evaluations++;
    return r;
}
// Instants are relative to the command's own now, so that a command at any time has one result.
Doc shifted(Doc d, int by) {
    if (!d.there || !by) return d;
    d.expires = i8(d.expires + by); d.renewed = i8(d.renewed + by);
    if (d.released) d.released_at = i8(d.released_at + by);
    if (cfg.insert_believed >= 0) d.acquired = i8(d.acquired + by);
    for (int i = 0; i < d.nshared; i++) d.shared[i].expires = i8(d.shared[i].expires + by);
    for (int i = 0; i < d.nwaiters; i++) d.waiters[i].at = i8(d.waiters[i].at + by);
    return d;
}
void use(const char* patches) { load(patches); use_table(); }
const Result& result_of(Asked& a) {
    a.before.seq = 0; for (Holder& h : a.before.shared) h.seq = 0;
    runs++;
    auto [at, fresh] = known->try_emplace(a);
    if (fresh) at->second = evaluate(a);
    return at->second;
}
const Result& look_at(const Doc& d, u8 id) { Asked a{}; a.before = d; a.kind = LOOK; a.me = id; return result_of(a); }
Result run(const Doc& before, const Msg& m, int now, int clock) {
    Asked a{}; a.before = shifted(before, -now);
    a.kind = m.kind; a.shared = cfg.role[m.client] == S; a.me = m.id; a.arg = m.arg; a.form = m.form; a.clock = u8(clock);
    a.token = m.kind == RENEW && (!cfg.tokens || cfg.renew_by_id_only) ? 0 : m.kind == ACQUIRE && !cfg.asks_are_beats ? 0 : m.token;
    Result r = result_of(a); r.after = shifted(r.after, now);
    return r;
}
} // namespace commands
