// SPDX-License-Identifier: Apache-2.0
// The transitions of the model beside those of the commands that servers run (src/protocol): on each transition that the
// model makes, the command is evaluated on the same document, and both must come to the same.
//
// The model keeps less: what a person reads (owners, hosts, notes) is not in it, and ids of readers are numbers. So what is
// compared is who holds the key and until when, by which token and beat, who waits in which order, and what the asker is told.
#include <map>
#include <unordered_map>
#include "evaluate.h"
extern "C" {
#include "protocol/doc.h"
#include "protocol/pipeline.h"
#include "protocol/pipeline_short.h"
}

namespace text {
constexpr int64_t BASE = 1'800'000'000'000, TICK = 1000;
lh_pipelines* pipelines = nullptr;
u64 compared = 0, evaluated = 0;
std::string problem;                                       // of the first difference; the search ends with it

std::string id_text(u8 id) { char t[40]; snprintf(t, sizeof t, "%032x", id); return t; }
std::string holder_text(u8 id) { return id >= SHARED ? "shared:" + id_text(id) : id_text(id); }
int id_number(const char* t) { return t && !strncmp(t, "shared:", 7) ? SHARED : t ? int(strtoul(t, nullptr, 16)) : 0; }
int64_t ms(int ticks) { return BASE + ticks * TICK; }
void put_date(bson_t* to, const char* name, int ticks) { BSON_APPEND_DATE_TIME(to, name, ms(ticks)); }
void put_token(bson_t* to, u8 token) { if (token) BSON_APPEND_INT64(to, "token", token); }

bson_t* document_of(const Doc& d) {
    if (!d.there) return nullptr;
    bson_t* b = bson_new(); bson_t map, entry;
    if (d.foreign) { bson_oid_t oid{}; BSON_APPEND_OID(b, "_id", &oid); } else BSON_APPEND_UTF8(b, "_id", "k");
    BSON_APPEND_UTF8(b, "workspace_id", "k");
    BSON_APPEND_UTF8(b, "id", holder_text(d.id).c_str());
    put_date(b, "expires_at", d.expires);
    put_token(b, d.token);
    if (!d.foreign) BSON_APPEND_UTF8(b, "owner", "o");
    BSON_APPEND_INT64(b, "beat", d.beat);
    put_date(b, "acquired_at", d.acquired); put_date(b, "renewed_at", d.renewed);
    if (d.proc) BSON_APPEND_UTF8(b, "proc", std::to_string(d.proc).c_str());
    if (d.woken) BSON_APPEND_UTF8(b, "wake", "before");
    if (d.released) {
        BSON_APPEND_DOCUMENT_BEGIN(b, "released", &map);
        BSON_APPEND_UTF8(&map, "id", holder_text(d.released).c_str()); put_date(&map, "at", d.released_at);
        bson_append_document_end(b, &map);
    }
    if (d.nshared) {
        BSON_APPEND_DOCUMENT_BEGIN(b, "shared", &map);
        for (int i = 0; i < d.nshared; i++) {
            BSON_APPEND_DOCUMENT_BEGIN(&map, id_text(d.shared[i].id).c_str(), &entry);
            put_token(&entry, d.shared[i].token); put_date(&entry, "expires_at", d.shared[i].expires);
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
int ticks_at(const bson_iter_t* at) { return int((bson_iter_date_time(at) - BASE) / TICK); }
// What is compared, as a text: the same for the model's document and for the one that the command makes.
std::string facts_of(const Doc& d) {
    if (!d.there) return "none";
    std::string t = freed(d) ? "free" : d.id >= SHARED ? "shared" : "held by " + std::to_string(d.id) + " until " + std::to_string(d.expires) + " beat " + std::to_string(d.beat);
    if (cfg.tokens) t += " token " + std::to_string(d.token);
    std::map<int, std::string> readers;
    for (int i = 0; i < d.nshared; i++) readers[d.shared[i].id] = " until " + std::to_string(d.shared[i].expires) + (cfg.tokens ? " token " + std::to_string(d.shared[i].token) : "");
    for (auto& [id, what] : readers) t += "; reader " + std::to_string(id) + what;
    for (int i = 0; i < d.nwaiters; i++) t += "; waits " + std::to_string(d.waiters[i].id) + (d.waiters[i].shared ? " shared" : "") + " beat " + std::to_string(d.waiters[i].beat) + " at " + std::to_string(d.waiters[i].at);
    return t;
}
std::string facts_of(const bson_t* b) {
    if (!b) return "none";
    bson_iter_t in, map, entry; std::string id, end, token, beat, readers, waiters; std::map<int, std::string> shared; bool has_readers = false;
    bson_iter_init(&in, b);
    while (bson_iter_next(&in)) {
        const char* name = bson_iter_key(&in);
        if (!strcmp(name, "id")) id = bson_iter_utf8(&in, nullptr);
        else if (!strcmp(name, "expires_at")) end = std::to_string(ticks_at(&in));
        else if (!strcmp(name, "token")) token = std::to_string(bson_iter_as_int64(&in));
        else if (!strcmp(name, "beat")) beat = std::to_string(bson_iter_as_int64(&in));
        else if (!strcmp(name, "shared") || !strcmp(name, "waiters")) {
            bson_iter_recurse(&in, &map);
            while (bson_iter_next(&map)) {
                int who = id_number(bson_iter_key(&map)); std::string until, at, tok, number, mode;
                bson_iter_recurse(&map, &entry);
                while (bson_iter_next(&entry)) {
                    const char* f = bson_iter_key(&entry);
                    if (!strcmp(f, "expires_at")) until = std::to_string(ticks_at(&entry));
                    if (!strcmp(f, "token")) tok = std::to_string(bson_iter_as_int64(&entry));
                    if (!strcmp(f, "beat")) number = std::to_string(bson_iter_as_int64(&entry));
                    if (!strcmp(f, "beat_at")) at = std::to_string(ticks_at(&entry));
                    if (!strcmp(f, "mode")) mode = bson_iter_utf8(&entry, nullptr);
                }
                if (*name == 's') shared[who] = " until " + until + (cfg.tokens ? " token " + tok : "");
                else waiters += "; waits " + std::to_string(who) + (mode == "shared" ? " shared" : "") + " beat " + number + " at " + at;
            }
            has_readers |= *name == 's';
        }
    }
    bool is_freed = lh_doc_is_freed(b), is_shared = !strncmp(id.c_str(), "shared:", 7);
    std::string t = is_freed ? "free" : is_shared ? "shared" : "held by " + std::to_string(id_number(id.c_str())) + " until " + end + " beat " + beat;
    if (cfg.tokens) t += " token " + (token.empty() ? "0" : token);
    if (is_shared && !is_freed) for (auto& [who, what] : shared) t += "; reader " + std::to_string(who) + what;
    return t + waiters;
}
struct Result { std::string facts; Outcome told; };
std::unordered_map<std::string, Result> known;

lh_do operation_of(const Msg& m) {
    bool shared = cfg.role[m.client] == S;
    switch (m.kind) {
    case ACQUIRE: return m.arg ? shared ? LH_DO_WAIT_SHARED : LH_DO_WAIT_EXCLUSIVE : shared ? LH_DO_ACQUIRE_SHARED : LH_DO_ACQUIRE_EXCLUSIVE;
    case RENEW: return LH_DO_RENEW;
    case RELEASE: case CANCEL: return LH_DO_LEAVE;
    case TRANSFER: return LH_DO_TRANSFER;
    case REAP: return LH_DO_REAP;
    case BREAK: return LH_DO_BREAK;
    default: return LH_DO_COUNT;
    }
}
// The command with the clock that gives tokens as the model has it, a small number.
bson_t* with_clock(const bson_t* command, int clock) {
    bson_t* made = bson_new(); bson_iter_t in, var; bson_t let;
    bson_iter_init(&in, command);
    while (bson_iter_next(&in)) {
        if (strcmp(bson_iter_key(&in), "let")) { bson_append_iter(made, nullptr, 0, &in); continue; }
        BSON_APPEND_DOCUMENT_BEGIN(made, "let", &let); bson_iter_recurse(&in, &var);
        while (bson_iter_next(&var)) if (strcmp(bson_iter_key(&var), "clock")) bson_append_iter(&let, nullptr, 0, &var);
        BSON_APPEND_INT64(&let, "clock", clock); bson_append_document_end(made, &let);
    }
    return made;
}
Result evaluate_it(const Doc& before, const Msg& m, int now, int clock) {
    lh_do what = operation_of(m); std::string me = id_text(m.id), to = id_text(m.arg), dead = std::to_string(m.arg);
    lh_vars v{}; bson_value_t doc_id{}, seen_id{}, seen_token{}; std::string seen = holder_text(m.id);
    v.key = "k"; v.me = me.c_str(); v.owner = "o"; v.host = "h"; v.ttl_ms = cfg.ttl * TICK; v.grace_ms = cfg.grace * TICK; v.max_shared = SHARED_MAX; v.set = true;
    if (what == LH_DO_WAIT_EXCLUSIVE || what == LH_DO_WAIT_SHARED) { v.claim_ms = cfg.claim * TICK; v.beat = cfg.asks_are_beats ? m.token : 0; v.max_waiters = QUEUE; }
    if (what == LH_DO_RENEW) v.token = cfg.tokens && !cfg.renew_by_id_only ? m.token : 0;
    if (what == LH_DO_TRANSFER) v.to = to.c_str(), v.to_owner = "o";
    if (what == LH_DO_REAP) v.dead = dead.c_str(), v.by = v.reason = "r";
    if (what == LH_DO_BREAK) {
        static const std::string breaker = id_text(250);
        v.me = breaker.c_str(); v.by = v.reason = "r";
        doc_id.value_type = BSON_TYPE_UTF8; doc_id.value.v_utf8.str = const_cast<char*>("k"); doc_id.value.v_utf8.len = 1;
        if (before.foreign) { doc_id.value_type = BSON_TYPE_OID; memset(&doc_id.value.v_oid, 0, sizeof doc_id.value.v_oid); }
        seen_id.value_type = BSON_TYPE_UTF8; seen_id.value.v_utf8.str = const_cast<char*>(seen.c_str()); seen_id.value.v_utf8.len = u32(seen.size());
        seen_token.value_type = BSON_TYPE_INT64; seen_token.value.v_int64 = m.token;
        v.seen_doc_id = &doc_id; v.seen_id = &seen_id; v.seen_token = m.token ? &seen_token : nullptr;
    }
    if (cfg.deaths) snprintf(v.proc, sizeof v.proc, "%d", owner(m.id) + 1);
    bool whole = !(m.form && lh_pipeline_has_short(what, &v)); v.own = m.form;
    bson_t raw = BSON_INITIALIZER; lh_pipeline_command(pipelines, what, whole, "c", &v, &raw);
    bson_t *command = with_clock(&raw, clock), *start = document_of(before), *after = nullptr, *shown = nullptr; char why[128] = ""; bson_oid_t oid{};
    evaluate_clock time{ms(now), 0, 0}; Result r{"", MISS};
    bool found = !m.form || (start && !before.foreign);
    if (found ? evaluate_update(command, start, time, &oid, &after, why, sizeof why) != EVALUATE_DONE : !(after = start ? bson_copy(start) : nullptr) && start) { r.facts = std::string("fails: ") + why; }
    else {
        r.facts = facts_of(after); bool changed = after && (!start || !bson_equal(start, after));
        if (what == LH_DO_RENEW || what == LH_DO_LEAVE || what == LH_DO_TRANSFER || what == LH_DO_BREAK || what == LH_DO_REAP) r.told = changed ? OK : MISS;
        else if (evaluate_fields(command, after, time, &shown, why, sizeof why) == EVALUATE_DONE) {
            lh_mine mine; lh_doc_mine(shown, me.c_str(), &mine);
            r.told = mine.holds && mine.written ? OK : m.arg && lh_doc_place(shown) >= 0 ? QUEUED : BUSY;
        } else r.facts = std::string("fails: ") + why;
    }
    for (bson_t* b : {command, start, after, shown}) bson_destroy(b);
    bson_destroy(&raw); evaluated++;
    return r;
}
// On one transition. `told`: what the model tells the asker.
void compare(const Doc& before, const Msg& m, int now, int clock, const Doc& after, Outcome told) {
    if (!problem.empty() || operation_of(m) == LH_DO_COUNT || before.provisional) return;
    Doc plain = before; plain.seq = 0; for (Holder& h : plain.shared) h.seq = 0;
    std::string key(reinterpret_cast<const char*>(&plain), sizeof plain);
    const u8 more[] = {m.kind, m.client, m.id, m.arg, m.token, m.form, u8(now), u8(clock)};
    key.append(reinterpret_cast<const char*>(more), sizeof more);
    auto [at, fresh] = known.try_emplace(key);
    if (fresh) at->second = evaluate_it(before, m, now, clock);
    compared++;
    std::string wanted = facts_of(after); const Result& r = at->second;
    bool heard = m.kind != ACQUIRE || r.told == told || (told == QUEUED && !m.arg);
    if (r.facts == wanted && heard) return;
    problem = std::string("the command's document is not the model's\n    before   ") + facts_of(before) + "\n    message  kind " + std::to_string(m.kind) + " of " + std::to_string(m.id) +
        " arg " + std::to_string(m.arg) + " token " + std::to_string(m.token) + " form " + std::to_string(m.form) + " at " + std::to_string(now) + " clock " + std::to_string(clock) +
        "\n    model    " + wanted + ", told " + std::to_string(told) + "\n    command  " + r.facts + ", told " + std::to_string(r.told);
}
} // namespace text
