// SPDX-License-Identifier: Apache-2.0
// Explicit-state model checker for the lease protocol (tests/model/README.md). scripts/model builds
// and runs it.
//
// One key, its lock document and its fence document; up to three clients; a current primary and,
// after a failover, a deposed one that still answers no-ops from its stale state. Every write below
// is a majority-committed write: a write that a failover rolls back was never acknowledged to
// anybody, which is the same as a lost command. Time is in integer ticks and relative to the real
// "now" (0), so that a run of any length has finitely many states; what is older than FLOOR is
// "long ago". Breadth first, so that the first counterexample is a shortest one. Visited states are
// kept as 64-bit fingerprints.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>
#include <sys/resource.h>
using u8 = uint8_t; using i8 = int8_t; using u32 = uint32_t; using u64 = uint64_t;

constexpr int CLIENTS = 3, SHARED_MAX = 3, QUEUE = 3, FLIGHT = 5, BEATS = 4, FLOOR = -12, NEVER = -100;
constexpr u8 SETTLED = 2;                                  // of a token that was provisional: by this very command
constexpr u8 NOBODY = 100, KEPT = 150, SHARED = 200;       // ids that are no lease id: nobody's any more; KEPT + n stands for "kept:n", SHARED + n for "shared:n"
enum Role : u8 { NONE, X, S, LEGACY };        // what a client is: exclusive, shared or an old program
enum Phase : u8 { IDLE, ASK, WAIT, HOLD, ATTACH, LEAVE, DEAD };   // ASK: outcome of an acquire unknown; ATTACH: was given a lease id; LEAVE: of a release
enum Kind : u8 { NIL, ACQUIRE, BEAT, RENEW, RELEASE, CANCEL, BREAK, FENCED, UPSERT, DELETE, EXTEND, TRANSFER, REAP, SETTLE, LEAVE_KEPT, LOOK, REPLY = 64 };
enum Outcome : u8 { MISS, OK, QUEUED, BUSY };
enum Bad : u8 { FINE, OVERLAP = 1, TOKEN = 2, TOLD = 3, STALE = 4, TWO = 5, STUCK = 7, WRONG_BREAK = 8, ORDER = 10, PASSED = 11, SOONER = 12 };
const char* BAD[] = {"", "1 two holders overlap", "2 token not increasing", "3 told what is not so", "4 a stale command changed something / renew shortened",
    "5 one lease id, two believed grants", "", "7 live waiter never granted", "B break hit a grant the operator never saw", "",
    "10 guarded write out of token order", "10g guard passed though superseded before its snapshot", "K a key that is kept was granted, or changed"};

// ---- the model's parameters: a scenario is a setting of these ----------
struct State;
struct Config {
    const char* name = ""; u8 expect = FINE; bool ignore_overlap = false, ignore_tokens = false;
    Role role[CLIENTS] = {X, X, NONE};
    int ttl = 3, claim = 2, grace = 1, drift = 0, retention = 6, freeze_max = 4, client_claim = 0, legacy_fast = 0;
    int leases = 1, asks = 2, beats = 2, renews = 1, flight = 3;                   // budgets per lease or client
    int timeouts = 2, failovers = 0, freezes = 1, breaks = 0, guards = 0, fenced = 0, cleanups = 0, skew = 1, skew_total = 1;
    bool wait = true, slow_replies = false, liveness = false, tokens = false;
    const char* text = "";                                 // patches of the protocol's text, with + between (patches.toml); "": as it is
    // readings: of what a client believes, and of what it sends
    bool past_expiry_asks = true, beat0_is_last_ask = false, beats_restart = false, matched_is_renewed = false, late_renewal_revives = false,
         anchor_first_ask = false, renew_by_id_only = false;
    // what clients, operators and old programs do
    int marks = 0, extends = 0, transfers = 0;             // cleanup marks who has ended; old programs extend by their id; hand-overs
    int insert_believed = -1;                              // a first grant answered later than this is given back; -1: always believed
    bool insert_no_grace = false;                          // reading: how old it is, by two servers' clocks, taken as it is
    bool insert_seen_by_time = false;                      // reading: a repeated ask finds its own first grant by acquired_at != now alone
    bool insert_own_answer_only = false;                   // reading: the age counts only for the insert's own answer, not for a repeated ask
    bool judge_believed = false;                           // tokens: only of grants that somebody believed
    bool transfer_believed = false;                        // reading: the receiver believes the hand-over itself
    bool queued_judged = false;                            // how old a first grant is counts for who was queued, too
    bool asks_are_beats = false;                           // a question that waits has the next number
    bool polls = false;                                    // a look at the document tells a waiter of its grant
    bool polls_any = false;                                // reading: of any grant; else of one that `wake` names: a direct one
    bool own_id = false;                                   // the caller's lease id: asked without waiting (as number 0), then waits under it, from 0
    bool told = false;                                     // releases are answered, and what is told must be so
    bool short_forms = false;                              // first an update by the _id, whose answer is "found" and "changed"
    bool found_is_done = false;                            // reading: "found" is enough
    bool refusal_is_final = false;                         // reading: the whole form is not asked
    bool attempts_forgotten = false;                       // reading: that an attempt of a release was not answered is forgotten
    bool old_primary_again = false;                        // reading: the driver goes back to a primary that it knows to be deposed
    int deaths = 0, reaps = 0;                             // processes that die; what they held is let go of by the process in it
    bool reap_any_id = false;                              // reading: for whatever lease id
    int keep = 0;                                          // a release may keep the key so long
    int patience = 0, slow_poll = 0;                       // liveness: so long after the end that is stored; waiters look so often
    // what the checker must know of a patched text
    bool end_has_grace = false, release_any = false;
    // mutants of what is not in the text
    bool anchor_at_reply = false, anchor_at_still = false, token_from_now = false, id_reused = false, guard_blind = false, guard_unfenced = false,
         beat_noop = false, w1 = false;
    void (*begin)(State&) = nullptr;                // where it begins, if not with nothing: a state that can be reached
    u64 cap = 10000000; double seconds = 40;
    bool legacy_used() const { for (Role r : role) if (r == LEGACY) return true; return false; }
} cfg;

// ---- the state ----------
struct Waiter { u8 id, shared, beat; i8 at; };
struct Holder { u8 id, token, seq; i8 expires; };
struct Doc {                                               // `seq` is history: the real order of grants
    u8 there, id, token, seq, beat, provisional, nshared, nwaiters, released, how, woken, foreign, proc; i8 expires, renewed, released_at, acquired;
    Holder shared[SHARED_MAX]; Waiter waiters[QUEUE];
};
struct Msg { u8 kind, client, id, arg, orphan, frozen, cluster, token, seq, prov, form, newer, kept; i8 sent, now; };   // form: 0 whole, 1 short, by the _id
struct Client {
    Phase phase; u8 lease, starts, out, asks, beats, renews, guards, fenced, token, seq, provisional, broken, ev_id, ev_beat, ev_token, ev_seq, ev_prov;
    u8 whole, maybe, left, newer;                          // the short form, or question, was refused; an attempt may be applied still; (history) it was
    u8 txn, txn_version, txn_stale; i8 lag, deadline, timer, still, beat_at[BEATS];
};
struct State {
    Doc doc, old; u8 has_old, failovers, freezes, breaks, cleanups, marks, timeouts, cluster, last_token, seq, tick, fence, fence_version, deaths, reaps, data_token, data_seq,
        believed_token, believed_seq, bad; i8 offset, old_offset, low, high;
    Client c[CLIENTS]; Msg m[FLIGHT];
};
static_assert(sizeof(State) < 352, "keep states small");

u8 lease_id(int c, int n) { return u8(1 + c * 4 + n); }
int owner(u8 id) { return (id - 1) / 4; }
int min_claim() { return std::min(cfg.ttl, cfg.claim); }
bool believes(const State& s, int c) {
    const Client& k = s.c[c];
    return k.phase == HOLD && (cfg.role[c] == LEGACY ? cfg.legacy_fast : -k.lag) < k.deadline;
}
const Holder* shared_holder(const Doc& d, u8 id) {
    for (int i = 0; i < d.nshared; i++) if (d.shared[i].id == id) return &d.shared[i];
    return nullptr;
}
int place(const Doc& d, u8 id) { for (int i = 0; i < d.nwaiters; i++) if (d.waiters[i].id == id) return i; return -1; }
bool kept(const Doc& d) { return d.id >= KEPT && d.id < SHARED; }                       // also after its end
bool freed(const Doc& d) { return d.id == d.released && d.expires <= d.released_at; }
bool exclusive(const Doc& d) { return d.there && !freed(d) && d.id < KEPT; }
bool is_lease(u8 id) { return id > 0 && owner(id) < CLIENTS; }

#include "commands.h"

// ---- the server: what each command does to the document, with its own NOW and cluster time
// The protocol's commands are run as they are. What other programs send is written out here, and so
// is a beat: a classic update.
struct Server {
    State& s; Doc& d; int now, cluster;                    // both may have been frozen before the command applied
    bool changed = false;

    Outcome run(const Msg& m, Msg& r, int wall) {
        Doc before = d; Outcome o = MISS;
        switch (m.kind) {
        case BEAT: o = beat(m.id, m.arg, wall); break;
        case UPSERT:                                                               // $setOnInsert by an old program: no token
            if (!d.there) { d = Doc{}; d.there = 1; d.id = m.id; d.foreign = cfg.short_forms; d.expires = i8(m.sent + cfg.ttl); if (cfg.tokens) d.seq = ++s.seq; }
            r.arg = d.id; r.now = d.expires; o = OK;
            break;
        case DELETE: if (d.there && d.id == m.arg) d = Doc{}, s.cluster += cfg.tokens, o = OK; break;
        case EXTEND: if (d.there && d.id == m.id) d.expires = i8(m.sent + cfg.ttl), o = OK; break;   // by an old program
        case FENCED:                                                               // the fenced write without transactions
            if (s.data_token > m.token) break;
            if (s.data_seq > m.seq) s.bad = ORDER;
            s.data_token = m.token; s.data_seq = m.seq; o = OK;
            break;
        default: return run_command(m, r);
        }
        changed = memcmp(&before, &d, sizeof d) != 0;
        return o;
    }
    Outcome beat(u8 me, u8 number, int wall) {                                     // $currentDate is not frozen
        int i = d.there ? place(d, me) : -1;
        if (i < 0) return MISS;
        if (!cfg.beat_noop) d.waiters[i].beat = number, d.waiters[i].at = i8(wall);
        return OK;
    }
    Outcome run_command(const Msg& m, Msg& r) {
        Doc before = d;
        commands::Result did = commands::run(before, m, now, !cfg.tokens ? 0 : cfg.token_from_now ? 30 + s.tick + now : cluster);
        d = did.after; changed = did.changed;
        note_kept(before, m);
        note_grants(before);
        note_wakes(did);
        if (m.kind == RENEW) note_renewal(before, m.id);
        if (m.kind == BREAK && changed) note_break(before, m.id);
        if (cfg.told && has(before, m.id) && !has(d, m.id) && (m.kind == RELEASE || m.kind == CANCEL)) {
            Client& k = s.c[owner(m.id)];
            if (k.phase == LEAVE && lease_id(owner(m.id), k.lease) == m.id) k.left = 1;
        }
        const Holder* h = shared_holder(d, m.id);
        r.arg = m.kind == ACQUIRE ? did.age : 0; r.token = did.token; r.seq = h ? h->seq : d.seq; r.prov = before.provisional && !d.provisional ? SETTLED : d.provisional;
        if (m.kind == ACQUIRE) r.now = d.expires, r.kept = kept(d);
        if (cfg.insert_own_answer_only && r.arg != 64) r.arg = 0;
        return did.told;
    }
    // Until the end of its keeping a key is nobody's, and only a break or the end of that time
    // changes that.
    void note_kept(const Doc& before, const Msg& m) {
        if (!before.there || !kept(before) || before.expires <= now || m.kind == BREAK) return;
        if (d.id != before.id || d.expires != before.expires || d.released_at != before.released_at) s.bad = SOONER;
    }
    static bool has(const Doc& d, u8 id) { return (exclusive(d) && d.id == id) || shared_holder(d, id); }
    // History: the order of grants. However many it grants, the command is one write: one step of
    // the cluster time.
    void note_grants(const Doc& before) {
        bool wrote = false;
        d.seq = before.seq;
        auto granted = [&](u8 token, u8& seq) {
            if (!cfg.tokens) return;
            seq = d.seq = ++s.seq; s.cluster += !wrote; wrote = true;
            if (d.provisional) return;
            if (!cfg.ignore_tokens && token <= s.last_token) s.bad = TOKEN;
            s.last_token = std::max(s.last_token, token);
        };
        for (int i = 0; i < d.nshared; i++)
            if (const Holder* h = shared_holder(before, d.shared[i].id)) d.shared[i].seq = h->seq; else granted(d.shared[i].token, d.shared[i].seq);
        if (exclusive(d) && !(exclusive(before) && before.id == d.id)) granted(d.token, d.seq);
    }
    void note_wakes(const commands::Result& did) {
        for (int i = 0; i < did.n_woken; i++) {
            u8 id = did.woken[i].id; Client& k = s.c[owner(id)]; const Holder* h = shared_holder(d, id);
            k.ev_id = id; k.ev_beat = did.woken[i].beat; k.ev_token = h ? h->token : d.token; k.ev_seq = h ? h->seq : d.seq; k.ev_prov = d.provisional;
        }
    }
    void note_renewal(const Doc& before, u8 me) {
        if (!has(before, me)) { if (changed) s.bad = STALE; return; }
        const Holder *was = shared_holder(before, me), *is = shared_holder(d, me);
        if ((is ? is->expires : d.expires) < (was ? was->expires : before.expires)) s.bad = STALE;
        if (before.provisional && !d.provisional) s.cluster++, s.last_token = std::max(s.last_token, d.token);   // amendment: the first renewal settles the token
        else if (d.token != before.token || (is && was && is->token != was->token)) s.bad = STALE;
    }
    void note_break(const Doc& before, u8 seen) {
        if (before.id != seen) s.bad = WRONG_BREAK;
        auto waive = [&](u8 id) { Client& k = s.c[owner(id)]; if (k.phase != IDLE && lease_id(owner(id), k.lease) == id) k.broken = 1; };
        if (exclusive(before)) waive(before.id);
        for (int i = 0; i < before.nshared; i++) waive(before.shared[i].id);
    }
};

// ---- the clients ----------
void put(State& s, const Msg& m) { for (int i = 0; i < cfg.flight; i++) if (!s.m[i].kind) { s.m[i] = m; return; } }
bool room(const State& s) { for (int i = 0; i < cfg.flight; i++) if (!s.m[i].kind) return true; return false; }
Msg request(const State& s, int c, Kind kind, int arg = 0, bool orphan = false) {
    Msg m{}; m.kind = kind; m.client = u8(c); m.id = lease_id(c, s.c[c].lease); m.arg = u8(arg); m.orphan = orphan; m.sent = i8(-s.c[c].lag); m.newer = s.c[c].newer;
    m.form = cfg.short_forms && ((kind == RENEW && s.c[c].phase == HOLD) || kind == RELEASE) && !s.c[c].whole;
    return m;
}
void stop_listening(State& s, int c) {                     // a timeout: what is under way may still land, nobody hears the answer
    s.c[c].out = 0;
    for (Msg& m : s.m) if (m.kind && m.client == c) { if (m.kind & REPLY) m = Msg{}; else m.orphan = 1; }
}
void go_idle(State& s, int c) {
    stop_listening(s, c);
    Client &k = s.c[c], fresh{};
    fresh.starts = k.starts; fresh.lag = k.lag; fresh.guards = k.guards; fresh.fenced = k.fenced; fresh.lease = k.lease; fresh.newer = k.newer; fresh.timer = NEVER;
    fresh.deadline = fresh.still = FLOOR; std::fill(fresh.beat_at, fresh.beat_at + BEATS, i8(FLOOR));
    k = fresh;
}
void undo(State& s, int c) {                               // "not a grant": give back what may be mine, never ask with this id again
    Msg m = request(s, c, CANCEL, 0, true); bool r = room(s);
    go_idle(s, c); if (r) put(s, m);
}
void believe(State& s, int c, int deadline, u8 token, u8 seq, bool provisional) {
    Client& k = s.c[c];
    if (-k.lag >= deadline) { undo(s, c); return; }
    if (cfg.judge_believed) {
        if (seq > s.believed_seq ? token <= s.believed_token : seq < s.believed_seq && token >= s.believed_token) s.bad = TOKEN;
        if (seq > s.believed_seq) s.believed_seq = seq, s.believed_token = token;
    }
    stop_listening(s, c);
    k.phase = HOLD; k.deadline = i8(deadline); k.whole = 0; k.token = token; k.provisional = provisional; k.seq = seq; k.renews = 0;
    k.timer = NEVER; k.still = FLOOR; std::fill(k.beat_at, k.beat_at + BEATS, i8(FLOOR)); k.ev_id = k.ev_beat = k.ev_token = k.ev_seq = k.ev_prov = 0;
}
bool holds(const State& s, u8 id) { return s.doc.there && s.doc.id == id && !freed(s.doc); }
void tell(State& s, const Msg& m, bool done) {             // what a release came to
    if (done ? holds(s, m.id) : s.c[m.client].left) s.bad = TOLD;
    go_idle(s, m.client);
}
void heard(State& s, const Msg& m) {                       // a reply reaches its client
    int c = m.client, now = -s.c[c].lag; Client& k = s.c[c]; u8 outcome = m.frozen;
    k.out = 0;
    switch (m.kind & ~REPLY) {
    case ACQUIRE:
        if (outcome == OK) {
            bool inserted = m.arg == 64, earlier = !cfg.insert_own_answer_only && !inserted && (m.arg > 0 || (!cfg.insert_seen_by_time && k.asks > 1));
            int age = (now - m.sent) + (m.arg ? m.arg - 64 : 0) + (earlier && !cfg.insert_no_grace ? cfg.grace : 0);
            if (cfg.insert_believed >= 0 && (inserted || (earlier && (k.phase != WAIT || cfg.queued_judged))) && age > cfg.insert_believed) { undo(s, c); break; }
            int anchor = cfg.anchor_at_reply ? now : cfg.anchor_first_ask ? k.beat_at[0] : m.sent;
            believe(s, c, anchor + cfg.ttl - cfg.drift, m.token, m.seq, m.prov);
        } else if (outcome == QUEUED) {
            k.phase = WAIT; k.still = std::max(k.still, m.sent);
            int grace = cfg.end_has_grace || m.kept ? 0 : cfg.grace;
            bool future = m.now + cfg.grace > s.offset;
            k.timer = future || cfg.past_expiry_asks ? i8(std::max(m.now + grace, FLOOR)) : i8(NEVER);
        } else if (cfg.own_id && k.phase == ASK && !k.whole) k.whole = 1;              // busy: from here on it waits
        else go_idle(s, c);
        break;
    case RELEASE:
        if (outcome == MISS && m.form && !cfg.refusal_is_final) k.whole = 1;
        else tell(s, m, outcome == OK || (k.maybe && !cfg.attempts_forgotten));
        break;
    case BEAT:
        if (outcome == MISS) k.phase = ASK, k.timer = NEVER; else if (cfg.beat_noop) k.still = std::max(k.still, m.sent);
        break;
    case RENEW:
        if (outcome == MISS && m.form && !cfg.refusal_is_final) { k.whole = 1; break; }
        if (outcome == OK && cfg.told && !s.has_old && !holds(s, m.id)) s.bad = TOLD;
        if (outcome == MISS && cfg.told && !s.has_old && holds(s, m.id) && s.doc.token == k.token && s.doc.expires > s.offset) s.bad = TOLD;
        // The answer may show a later grant of the same id, of this very instant: the token tells.
        if (cfg.tokens && !cfg.renew_by_id_only && k.phase == HOLD && m.prov != SETTLED && m.token != k.token) outcome = MISS;
        if (outcome == MISS || (k.phase != ATTACH && now >= k.deadline && !cfg.late_renewal_revives) || now >= m.sent + cfg.ttl - cfg.drift) { undo(s, c); break; }
        if (k.phase == ATTACH) { believe(s, c, m.sent + cfg.ttl - cfg.drift, m.token, m.seq, 0); break; }
        if (m.seq != k.seq) s.bad = TWO;
        k.deadline = std::max(k.deadline, i8(m.sent + cfg.ttl - cfg.drift));
        if (m.prov == SETTLED) k.token = m.token, k.provisional = 0;
        break;
    case EXTEND:
        if (outcome == OK && k.phase == HOLD) k.deadline = i8(std::max<int>(k.deadline, m.sent + cfg.ttl));
        break;
    case UPSERT:
        if (m.arg == m.id) { k.phase = HOLD; k.deadline = i8(m.sent + cfg.ttl); }  // an old program: until its own expires_at
        else { bool passed = m.now <= cfg.legacy_fast; u8 id = m.arg, mine = m.id; go_idle(s, c);
               if (passed && room(s)) { Msg d = request(s, c, DELETE, id, true); d.id = mine; put(s, d); } }
        break;
    }
}

// ---- invariants on states ----------
bool is_shared(int c) { return cfg.role[c] == S; }
void judge(State& s) {
    for (int a = 0; a < CLIENTS; a++) for (int b = a + 1; b < CLIENTS; b++)
        if (!cfg.ignore_overlap && believes(s, a) && believes(s, b) && !(is_shared(a) && is_shared(b)) && !s.c[a].broken && !s.c[b].broken) s.bad = OVERLAP;
}
// Invariant 7: from here on nothing fails, everybody but `c` is dead and mute; do its own timers
// alone get it the key in time?
bool starves(State s, int c) {
    memset(s.m, 0, sizeof s.m); s.has_old = 0; Client& k = s.c[c]; k.out = 0;
    int grace = kept(s.doc) ? 0 : cfg.grace;
    int bound = cfg.patience ? std::max(s.doc.expires - s.offset, 0) + grace + cfg.patience : 2 * (cfg.ttl + cfg.grace + cfg.claim) + 6;
    for (int t = 0; t < bound; t++) {
        if (cfg.slow_poll && k.phase == WAIT && t % cfg.slow_poll == cfg.slow_poll - 1) k.timer = i8(s.doc.expires + grace);
        for (int step = 0; step < 2 && (k.phase == ASK || k.phase == WAIT); step++) {
            bool ask = k.phase == ASK || (k.phase == WAIT && k.timer != NEVER && k.timer <= s.offset);
            Msg m = request(s, c, ask ? ACQUIRE : BEAT, ask ? 1 : k.beats), r = m;
            Server sv{s, s.doc, s.offset, s.cluster};
            r.kind |= REPLY; r.frozen = sv.run(m, r, s.offset); heard(s, r);
        }
        if (k.phase == HOLD) return false;
        if (k.phase == IDLE) return cfg.anchor_first_ask;  // asks with a new id, if the place in the queue was not lost for nothing
        s.offset++; k.lag--;                               // time passes: only differences matter here
    }
    return true;
}

// ---- successors ----------
bool tracing = false;
using Emit = std::function<void(State&, const std::string&)>;
const char* KIND[] = {"", "acquire", "beat", "renew", "release", "cancel", "break", "fenced write", "old upsert", "old delete", "old extension", "transfer", "reap", "settle", "release that keeps the key", ""};
const char* OUT[] = {"no match", "ok", "queued", "busy"};
std::string name(int c) { return std::string(cfg.role[c] == LEGACY ? "Legacy" : cfg.role[c] == S ? "Reader" : "Client") + char('A' + c); }
std::string show(const Doc& d, int off) {
    if (!d.there) return "[no document]";
    std::string t = "[id=" + (freed(d) ? std::string("free") : d.id >= SHARED ? "shared" : kept(d) ? "kept" : name(owner(d.id)) + "#" + std::to_string((d.id - 1) % 4));
    t += " token=" + std::to_string(d.token) + " expires in " + std::to_string(d.expires - off);
    for (int i = 0; i < d.nshared; i++) t += " +" + name(owner(d.shared[i].id)) + "(" + std::to_string(d.shared[i].expires - off) + ")";
    for (int i = 0; i < d.nwaiters; i++) t += " w:" + name(owner(d.waiters[i].id)) + " beat " + std::to_string(d.waiters[i].beat);
    return t + "]";
}
i8 older(i8 t) { return t == NEVER ? t : t > FLOOR ? i8(t - 1) : i8(FLOOR); }
void age(Doc& d) {
    if (!d.there) return;
    d.expires = older(d.expires); d.renewed = older(d.renewed); d.released_at = older(d.released_at); d.acquired = older(d.acquired);
    for (int i = 0; i < d.nshared; i++) d.shared[i].expires = older(d.shared[i].expires);
    for (int i = 0; i < d.nwaiters; i++) d.waiters[i].at = older(d.waiters[i].at);
}
void send(const State& s, int c, Msg m, const Emit& emit, const std::function<void(State&)>& also, const char* why = "") {
    if (!room(s)) return;
    State t = s; t.c[c].out = !m.orphan; put(t, m); also(t);
    emit(t, tracing ? name(c) + " sends " + KIND[m.kind] + (m.kind == BEAT ? " " + std::to_string(m.arg) : "") + why : "");
}
void client_steps(const State& s, int c, const Emit& emit) {
    const Client& k = s.c[c];
    if (k.out && s.timeouts < cfg.timeouts) { State t = s; t.timeouts++; stop_listening(t, c); t.c[c].maybe = cfg.told && k.phase == LEAVE; if (t.c[c].phase == IDLE) go_idle(t, c); emit(t, tracing ? name(c) + " gives up waiting for the reply" : ""); }
    if (k.phase == HOLD && !believes(s, c)) {
        State t = s;
        if (cfg.role[c] == LEGACY) go_idle(t, c); else undo(t, c);
        emit(t, tracing ? name(c) + " notices that its lease is over" : "");
    }
    bool turn = true;                                      // equal clients are interchangeable: the first of them starts first
    for (int b = 0; b < c; b++) turn &= cfg.role[b] != cfg.role[c] || s.c[b].starts;
    if (k.phase == IDLE && !k.out && k.starts < cfg.leases && turn) {
        u8 n = cfg.id_reused ? 0 : k.starts;
        State t = s; t.c[c].lease = n;
        if (cfg.role[c] == LEGACY) {
            Msg m = request(t, c, UPSERT); m.sent = i8(cfg.legacy_fast);
            send(t, c, m, emit, [&](State& t) { t.c[c].starts++; });
        } else send(t, c, request(t, c, ACQUIRE, cfg.wait && !cfg.own_id), emit, [&](State& t) {
            Client& k = t.c[c]; k.starts++; k.phase = ASK; k.asks = 1; k.beat_at[0] = i8(-k.lag); }, " (new lease id)");
    }
    if (cfg.role[c] == LEGACY) {
        if (k.phase == HOLD && !k.out && k.renews < cfg.extends) {                // also when it is late: it does not look at the clock
            Msg m = request(s, c, EXTEND); m.sent = i8(cfg.legacy_fast);
            send(s, c, m, emit, [&](State& t) { t.c[c].renews++; });
        }
        if (k.phase == HOLD) {
            Msg m = request(s, c, DELETE, lease_id(c, k.lease), true);
            send(s, c, m, emit, [&](State& t) { go_idle(t, c); }, " (its release)");
        }
        return;
    }
    if ((k.phase == ASK || k.phase == WAIT) && !k.out && k.asks < cfg.asks) {
        bool waits = cfg.wait && (!cfg.own_id || k.whole), begins = waits && cfg.own_id && k.whole == 1;
        u8 number = !cfg.asks_are_beats || !waits || (begins) ? 0 : u8(k.beats + 1);
        Msg m = request(s, c, ACQUIRE, waits); m.token = number;
        send(s, c, m, emit, [&](State& t) {
            Client& k = t.c[c]; k.asks++;
            if (begins) k.whole = 2;
            if (cfg.asks_are_beats && waits) k.beats = number, k.beat_at[number] = i8(-k.lag);
            if (cfg.beats_restart && k.phase == ASK) k.beats = 0;
            if (cfg.beat0_is_last_ask || (cfg.beats_restart && k.phase == ASK)) k.beat_at[0] = i8(-k.lag); }, " again");
    }
    if ((k.phase == ASK || k.phase == WAIT) && !k.out) {
        State t = s; undo(t, c); emit(t, tracing ? name(c) + " stops waiting, sends cancel" : "");
    }
    if (k.phase == WAIT && !k.out && k.beats < cfg.beats + (cfg.asks_are_beats ? k.asks - 1 : 0))
        send(s, c, request(s, c, BEAT, k.beats + 1), emit, [&](State& t) { Client& k = t.c[c]; k.beat_at[++k.beats] = i8(-k.lag); });
    if ((k.phase == ASK || k.phase == WAIT) && k.ev_id == lease_id(c, k.lease)) {  // event or in-process hint: told of a direct grant
        State t = s; int claim = cfg.client_claim ? cfg.client_claim : min_claim();
        bool known = k.ev_beat <= k.beats;
        int anchor = cfg.anchor_at_still || cfg.beat_noop ? k.still : known ? k.beat_at[k.ev_beat] : FLOOR;
        if (cfg.anchor_at_reply) anchor = -k.lag;
        t.c[c].newer = cfg.told && s.has_old;              // from a server that this client's driver knows as the primary
        believe(t, c, anchor + claim - cfg.drift, k.ev_token, k.ev_seq, k.ev_prov);
        emit(t, tracing ? name(c) + " hears of its direct grant (beat " + std::to_string(k.ev_beat) + ")" : "");
    }
    for (const Doc* d : {&s.doc, &s.old}) {                // a read at majority, perhaps of the deposed primary
        if (!cfg.polls || (k.phase != ASK && k.phase != WAIT) || !d->there) continue;
        commands::Result seen = commands::look_at(*d, lease_id(c, k.lease));
        if (seen.told != OK || !(seen.n_woken || cfg.polls_any)) continue;
        State t = s; u8 number = seen.woken[0].beat;
        believe(t, c, (number <= k.beats ? k.beat_at[number] : FLOOR) + min_claim() - cfg.drift, seen.token, d->seq, d->provisional);
        emit(t, tracing ? name(c) + " sees in the document that it was granted (beat " + std::to_string(number) + ")" : "");
    }
    if (k.phase == LEAVE && !k.out) {
        send(s, c, request(s, c, RELEASE), emit, [](State&) {}, " again");
        State t = s; go_idle(t, c); emit(t, tracing ? name(c) + " is told that its release is unknown" : "");
    }
    if (cfg.deaths > s.deaths && k.starts && k.phase != DEAD) {
        State t = s; t.deaths++; go_idle(t, c); t.c[c].phase = DEAD; emit(t, tracing ? name(c) + "'s process dies" : "");
    }
    if (k.phase == ATTACH && !k.out) {
        if (k.renews < cfg.renews + 1) send(s, c, request(s, c, RENEW), emit, [&](State& t) { t.c[c].renews++; }, " (it was handed on)");
        State t = s; undo(t, c); emit(t, tracing ? name(c) + " does not want what it was handed" : "");
    }
    if (k.phase != HOLD) return;
    if (believes(s, c) && !k.out && (k.renews < cfg.renews || k.whole)) {
        Msg m = request(s, c, RENEW); m.token = k.token;
        send(s, c, m, emit, [&](State& t) { t.c[c].renews += !t.c[c].whole; t.c[c].whole = 0; });
    }
    if (believes(s, c) && cfg.told) {
        State t = s; stop_listening(t, c); t.c[c].phase = LEAVE; t.c[c].whole = 0;
        send(t, c, request(t, c, RELEASE), emit, [](State&) {}, ", and listens");
    } else if (believes(s, c)) {
        Msg m = request(s, c, RELEASE, 0, true);
        if (room(s)) { State t = s; go_idle(t, c); put(t, m); emit(t, tracing ? name(c) + " releases (sends release)" : ""); }
    }
    if (believes(s, c) && cfg.keep && room(s)) {
        Msg m = request(s, c, LEAVE_KEPT, 0, true);
        State t = s; go_idle(t, c); put(t, m); emit(t, tracing ? name(c) + " releases, and keeps the key" : "");
    }
    for (int to = 0; believes(s, c) && k.starts <= cfg.transfers && to < CLIENTS; to++) {   // to somebody who has nothing yet
        const Client& n = s.c[to];
        if (to == c || cfg.role[to] != X || n.phase != IDLE || n.out || n.starts >= cfg.leases || !room(s)) continue;
        State t = s; u8 id = lease_id(to, n.starts);
        Msg m = request(s, c, TRANSFER, id, true);
        go_idle(t, c); put(t, m);
        Client& r = t.c[to]; r.lease = r.starts++; r.phase = ATTACH; r.renews = 0;
        if (cfg.transfer_believed) { r.phase = HOLD; r.deadline = i8(cfg.ttl); }
        emit(t, tracing ? name(c) + " sends transfer, and gives the new id to " + name(to) : "");
    }
    u8 me = lease_id(c, k.lease);
    if (cfg.fenced > k.fenced && !k.provisional) {                // a paused holder may do this long after its deadline
        Msg m = request(s, c, FENCED, 0, true); m.token = k.token; m.seq = k.seq;
        if (room(s)) { State t = s; t.c[c].fenced++; put(t, m); emit(t, tracing ? name(c) + " sends a fenced write" : ""); }
    }
    if (cfg.guards > k.guards && k.txn == 0 && !k.provisional) {
        State t = s; Doc& d = t.doc; const Holder* h = d.there ? shared_holder(d, me) : nullptr; Client& n = t.c[c];
        bool current = d.there && ((d.id == me && d.token == k.token) || (h && h->token == k.token));
        n.guards++;
        if (current || cfg.guard_blind) { n.txn = 1; n.txn_version = s.fence_version; n.txn_stale = d.seq > k.seq && !(h || d.id == me);
            emit(t, tracing ? name(c) + " starts a guarded transaction (snapshot; lease read)" : ""); }
    }
    if (k.txn == 1) {
        State t = s; Client& n = t.c[c]; bool locked = false;
        for (const Client& o : s.c) locked |= o.txn == 2;
        if (cfg.guard_unfenced) n.txn = 2;
        else n.txn = !locked && s.fence_version == k.txn_version && s.fence <= k.token ? 2 : 0;
        emit(t, tracing ? name(c) + (n.txn ? " writes the fence in its transaction" : ": the fence refuses, transaction aborts") : "");
    }
    if (k.txn == 2) {
        State t = s; Client& n = t.c[c];
        if (!cfg.guard_unfenced) { t.fence = k.token; t.fence_version++; }
        if (s.data_token > k.token || s.data_seq > k.seq) t.bad = ORDER;
        if (k.txn_stale) t.bad = PASSED;
        t.data_token = k.token; t.data_seq = k.seq; n.txn = n.txn_version = n.txn_stale = 0;
        emit(t, tracing ? name(c) + " commits its guarded write" : "");
    }
}
void message_steps(const State& s, int i, const Emit& emit) {
    const Msg& m = s.m[i];
    if (m.kind & REPLY) { State t = s; t.m[i] = Msg{}; heard(t, m); emit(t, tracing ? "the " + std::string(KIND[m.kind & ~REPLY]) + " reply (" + OUT[m.frozen & 3] + ") reaches " + name(m.client) : ""); return; }
    auto answered = [&](State& t, Msg r, Outcome o, const std::string& what) {
        t.m[i] = Msg{};
        if (m.orphan) { emit(t, what); return; }
        r.kind |= REPLY; r.frozen = o; r.cluster = 0;
        State prompt = t; heard(prompt, r);
        emit(prompt, what + (tracing ? "; told at once" : ""));
        if (cfg.slow_replies) { t.m[i] = r; emit(t, what + (tracing ? "; reply under way" : "")); }
    };
    {   // the current primary applies it
        State t = s; Msg r = m; r.now = 0;
        Server sv{t, t.doc, m.frozen ? m.now : s.offset, m.frozen ? m.cluster : s.cluster};
        Outcome o = sv.run(m, r, s.offset);
        if (cfg.told && s.has_old && !m.orphan) t.c[m.client].newer = 1;
        answered(t, r, o, tracing ? "primary runs " + name(m.client) + "'s " + KIND[m.kind] + (m.frozen ? " with a NOW " + std::to_string(s.offset - m.now) + " ticks old" : "") + ": " + OUT[o] + " " + show(t.doc, s.offset) : "");
    }
    if (s.has_old && !m.frozen && m.kind != FENCED && (!m.newer || cfg.old_primary_again)) {      // the deposed one: only no-ops are ever acknowledged
        State t = s; Msg r = m; r.now = 0;
        Server sv{t, t.old, s.old_offset, s.cluster};
        Outcome o = sv.run(m, r, s.old_offset);
        if (!sv.changed || cfg.w1) {
            State u = s; if (cfg.w1) u.old = t.old;
            answered(u, r, o, tracing ? "DEPOSED primary answers " + name(m.client) + "'s " + KIND[m.kind] + ": " + OUT[o] + " from " + show(s.old, s.old_offset) : "");
        }
    }
    if (!m.frozen && s.freezes < cfg.freezes && m.kind != FENCED && m.kind != UPSERT && m.kind != DELETE && m.kind != EXTEND) {
        State t = s; t.freezes++; t.m[i].frozen = 1; t.m[i].now = s.offset; t.m[i].cluster = s.cluster;
        emit(t, tracing ? "primary starts " + name(m.client) + "'s " + KIND[m.kind] + " (NOW and CLUSTER_TIME fixed), and it blocks" : "");
    }
    if (!room(s) && m.orphan) { State t = s; t.m[i] = Msg{}; emit(t, tracing ? name(m.client) + "'s " + KIND[m.kind] + " is lost" : ""); }
}
// Two states that no future step can tell apart become one: instants that have served are "long
// ago", and so on.
void canonical(State& s) {
    auto forget = [](i8& t, int before) { if (t <= before) t = FLOOR; };
    bool restless = cfg.legacy_used() || cfg.cleanups;
    auto asked = [&](u8 id) {                              // may a command still name this lease id?
        if (!is_lease(id)) return false;
        const Client& k = s.c[owner(id)];
        bool is = cfg.id_reused || (k.phase != IDLE && lease_id(owner(id), k.lease) == id);
        for (const Msg& o : s.m) is |= o.id == id && (o.kind == ACQUIRE || cfg.told);
        return is;
    };
    for (Doc* d : {&s.doc, &s.old}) {
        if (!d->there) continue;
        int oldest = (d == &s.doc ? s.offset - cfg.freeze_max : s.old_offset) - cfg.grace;
        if (kept(*d)) {
            d->released_at = FLOOR; d->renewed = FLOOR; d->woken = 0;
            if (!asked(u8(d->id - KEPT))) d->id = d->released = KEPT + 49;
        } else if (freed(*d)) {
            if (!asked(d->id)) d->id = d->released = NOBODY, d->how = 0;
            if (!restless) d->expires = d->released_at = FLOOR;
            d->renewed = FLOOR; d->beat = d->woken = d->proc = 0;
        } else if (d->id != d->released) {
            if (!asked(d->released)) d->released = d->how = 0;
            d->released_at = d->released ? FLOOR : 0;
        }
        forget(d->renewed, cfg.failovers ? oldest : s.offset - 1); if (!restless) forget(d->expires, oldest - 1);
    }
    for (int c = 0; c < CLIENTS; c++) {
        Client& k = s.c[c];
        if (k.phase == HOLD && !believes(s, c)) k.deadline = FLOOR;
        if (!cfg.liveness) k.timer = NEVER;
        if (!cfg.anchor_at_still && !cfg.beat_noop) k.still = FLOOR;
        for (i8& b : k.beat_at) forget(b, -k.lag - std::max(cfg.ttl, cfg.claim));
    }
    for (Msg& m : s.m) {
        if (!m.kind) continue;
        if (m.orphan && m.kind != UPSERT && m.kind != EXTEND) m.sent = 0;
        if (m.orphan && (m.kind == RENEW || m.kind == RELEASE || m.kind == LEAVE_KEPT || m.kind == CANCEL || m.kind == BEAT) && !cfg.release_any) {
            bool reach = (s.doc.there && (s.doc.id == m.id || shared_holder(s.doc, m.id) || place(s.doc, m.id) >= 0));
            const Client& k = s.c[m.client];
            reach |= (k.phase == ASK || k.phase == WAIT || cfg.id_reused) && lease_id(m.client, k.lease) == m.id;
            for (const Msg& o : s.m) reach |= (o.kind == ACQUIRE && o.id == m.id) || (o.kind == TRANSFER && o.arg == m.id);
            reach |= k.phase == ATTACH && lease_id(m.client, k.lease) == m.id;
            if (!reach) m = Msg{};                         // it can only ever match nothing, and nobody listens
        }
    }
    std::sort(s.m, s.m + FLIGHT, [](const Msg& a, const Msg& b) { return memcmp(&a, &b, sizeof(Msg)) > 0; });
}
void successors(const State& s, const Emit& found) {
    Emit emit = [&](State& t, const std::string& what) {
        if (!t.bad) judge(t);
        canonical(t);
        found(t, what);
    };
    for (int i = 0; i < cfg.flight; i++) if (s.m[i].kind) message_steps(s, i, emit);
    for (int c = 0; c < CLIENTS; c++) if (cfg.role[c] != NONE) client_steps(s, c, emit);
    if (s.breaks < cfg.breaks && s.doc.there && !freed(s.doc) && room(s)) {
        State t = s; Msg m{}; m.kind = BREAK; m.id = s.doc.id; m.token = s.doc.token; m.orphan = 1; t.breaks++; put(t, m);
        emit(t, tracing ? "operator sees " + show(s.doc, s.offset) + ", sends break" : "");
    }
    if (s.marks > 0 && (exclusive(s.doc) || kept(s.doc)) && s.doc.expires + cfg.grace <= s.offset) {
        State t = s; t.marks--; Server sv{t, t.doc, s.offset, s.cluster}; Msg m{}, r{}; m.kind = SETTLE; sv.run(m, r, s.offset);
        emit(t, tracing ? "cleanup marks what has ended" : "");
    }
    if (s.reaps < cfg.reaps && s.doc.proc && s.c[s.doc.proc - 1].phase == DEAD && exclusive(s.doc) && room(s) && (cfg.reap_any_id || owner(s.doc.id) == s.doc.proc - 1)) {
        State t = s; t.reaps++; Msg m{}; m.kind = REAP; m.client = u8(s.doc.proc - 1); m.id = s.doc.id; m.arg = s.doc.proc; m.orphan = 1; put(t, m);
        emit(t, tracing ? "somebody sees " + show(s.doc, s.offset) + " of a dead process, sends reap" : "");
    }
    bool alive = false;                                    // somebody in the queue
    for (int i = 0; i < s.doc.nwaiters; i++) alive |= s.doc.waiters[i].at + cfg.claim > s.offset;
    if (s.cleanups < cfg.cleanups && s.doc.there && !alive && (freed(s.doc) || kept(s.doc)) && s.doc.expires + cfg.retention <= s.offset) {
        State t = s; t.cleanups++; t.doc = Doc{}; t.cluster += cfg.tokens; emit(t, tracing ? "cleanup deletes the document" : "");
    }
    if (s.failovers < cfg.failovers)
        for (int step = -cfg.skew; step <= cfg.skew; step++) {
            int o = s.offset + step, lo = std::min<int>(s.low, o), hi = std::max<int>(s.high, o);
            if (hi - lo > cfg.skew_total) continue;
            State t = s; t.failovers++; t.has_old = 1; t.old = s.doc; t.old_offset = s.offset; t.offset = i8(o); t.low = i8(lo); t.high = i8(hi);
            for (Msg& m : t.m) if (m.kind && !(m.kind & REPLY) && m.frozen) m = Msg{};   // killed by the stepdown
            for (Client& k : t.c) k.txn = k.txn_version = k.txn_stale = k.newer = 0;
            for (Msg& m : t.m) m.newer = 0;
            emit(t, tracing ? "FAILOVER: the new primary's clock is " + std::to_string(step) + " ahead; the deposed one still answers" : "");
        }
    {   // a tick of real time; a slow client clock may miss it
        State t = s; age(t.doc); if (t.has_old) age(t.old);
        if (cfg.token_from_now) t.tick = std::min(t.tick + 1, 60);
        for (Client& k : t.c) { k.deadline = older(k.deadline); k.timer = older(k.timer); k.still = older(k.still); for (i8& b : k.beat_at) b = older(b); }
        for (Msg& m : t.m) if (m.kind) {
            m.sent = older(m.sent);
            if (!(m.kind & REPLY) && m.frozen) { m.now = older(m.now); if (t.offset - m.now > cfg.freeze_max) m = Msg{}; }
            else if (m.kind & REPLY) m.now = older(m.now);
        }
        State u = t; emit(u, tracing ? "-- a tick" : "");
        for (int c = 0; c < CLIENTS; c++) if (cfg.role[c] != NONE && cfg.role[c] != LEGACY && s.c[c].lag < cfg.drift) {
            State v = t; v.c[c].lag++; emit(v, tracing ? "-- a tick that " + name(c) + "'s slow clock misses" : "");
        }
    }
}

// ---- breadth-first search ----------
u64 fingerprint(const State& s) { return commands::fingerprint(&s, sizeof s); }
struct Seen {                                              // open addressing over indices into `node`
    struct Node { u64 print; u32 parent; } __attribute__((packed));
    std::vector<Node> node; std::vector<u32> slot; u64 mask;
    Seen() : slot(1 << 20, 0), mask((1 << 20) - 1) { node.push_back({0, 0}); }
    u32 add(u64 print, u32 parent) {                       // its index, or 0 when it was there
        if (node.size() * 10 > slot.size() * 7) {
            slot.assign(slot.size() * 2, 0); mask = slot.size() - 1;
            for (u32 i = 1; i < node.size(); i++) { u64 at = node[i].print & mask; while (slot[at]) at = (at + 1) & mask; slot[at] = i; }
        }
        u64 at = print & mask;
        for (; slot[at]; at = (at + 1) & mask) if (node[slot[at]].print == print) return 0;
        node.push_back({print, parent}); slot[at] = u32(node.size() - 1);
        return slot[at];
    }
};
State initial() {
    State s; memset(&s, 0, sizeof s); s.cluster = 1; s.marks = u8(cfg.marks);
    for (int c = 0; c < CLIENTS; c++) go_idle(s, c);
    if (cfg.begin) cfg.begin(s);
    return s;
}
void print_trace(const Seen& seen, u32 last) {
    std::vector<u32> path; for (u32 i = last; i; i = seen.node[i].parent) path.push_back(i);
    std::reverse(path.begin(), path.end());
    State s = initial(); tracing = true;
    for (size_t k = 1; k < path.size(); k++) {
        bool done = false; State next; std::string what;
        successors(s, [&](State& t, const std::string& w) { if (!done && fingerprint(t) == seen.node[path[k]].print) { done = true; next = t; what = w; } });
        printf("    %2zu. %s\n", k, what.c_str()); s = next;
    }
    tracing = false;
}
struct Result { u8 bad; int depth; u64 states; bool complete; double seconds; };
Result search(bool trace) {
    auto start = clock(); auto spent = [&] { return double(clock() - start) / CLOCKS_PER_SEC; };
    Seen seen; struct Item { State s; u32 at; }; std::vector<Item> now, next;
    State first = initial(); now.push_back({first, seen.add(fingerprint(first), 0)});
    Result r{FINE, 0, 1, true, 0}; u32 culprit = 0;
    for (; !now.empty() && !culprit && r.complete; r.depth++, now.swap(next)) {
        next.clear();
        for (size_t i = 0; i < now.size() && !culprit && r.complete && commands::problem.empty(); i++) {
            Item item = now[i];
            successors(item.s, [&](State& t, const std::string&) {
                if (culprit) return;
                u32 at = seen.add(fingerprint(t), item.at);
                if (!at) return;
                if (!t.bad && cfg.liveness) for (int c = 0; c < CLIENTS; c++)
                    if ((t.c[c].phase == WAIT || t.c[c].phase == ASK) && cfg.role[c] != LEGACY && cfg.wait && starves(t, c)) t.bad = STUCK;
                if (t.bad) { r.bad = t.bad; culprit = at; return; }
                next.push_back({t, at});
            });
            if ((i & 1023) == 0 && (seen.node.size() > cfg.cap || spent() > cfg.seconds)) r.complete = false;
        }
    }
    r.states = seen.node.size() - 1; r.seconds = spent();
    if (culprit && trace) print_trace(seen, culprit);
    return r;
}

// ---- scenarios ----------
struct Scenario { const char* group; Config c; };
std::vector<Scenario> scenarios() {
    std::vector<Scenario> all;
    auto add = [&](const char* group, const char* name, u8 expect, std::function<void(Config&)> set) {
        Config c; c.name = name; c.expect = expect; set(c); all.push_back({group, c});
    };
    auto written = [&](const char* n, u8 e, std::function<void(Config&)> f) { add("written", n, e, f); };
    written("two exclusive, failover, frozen command", FINE, [](Config& c) { c.failovers = 1; c.asks = 2; c.beats = 1; });
    written("two exclusive, failover, drift", FINE, [](Config& c) { c.failovers = 1; c.drift = 1; c.ttl = 4; c.freezes = 0; c.beats = 1; });
    written("two exclusive, two leases each", FINE, [](Config& c) { c.leases = 2; c.asks = 1; c.beats = 1; c.cleanups = 1; });
    written("small: two exclusive, waiting, failover", FINE, [](Config& c) { c.asks = 1; c.beats = 1; c.failovers = 1; c.freezes = 0; c.timeouts = 1; c.flight = 2; });
    written("small: two exclusive, waiting, frozen", FINE, [](Config& c) { c.asks = 2; c.beats = 1; c.timeouts = 1; c.flight = 2; });
    written("small: two exclusive, break", FINE, [](Config& c) { c.tokens = true; c.breaks = 1; c.asks = 2; c.beats = 1; c.timeouts = 1; c.flight = 2; c.freezes = 0; });
    written("small: guard, failover", FINE, [](Config& c) { c.tokens = true; c.guards = 1; c.failovers = 1; c.wait = false; c.asks = 1; c.timeouts = 1; c.flight = 2; });
    auto small = [](Config& c) { c.asks = 1; c.beats = 0; c.renews = 0; c.timeouts = 0; c.failovers = 1; c.freezes = 0; c.flight = 2; };
    written("small: three exclusive, failover", FINE, [=](Config& c) { small(c); c.role[2] = X; });
    written("small: two readers and a writer, failover", FINE, [=](Config& c) { small(c); c.role[0] = c.role[1] = S; c.role[2] = X; });
    written("three exclusive, failover", FINE, [](Config& c) { c.role[2] = X; c.asks = 1; c.beats = 1; c.failovers = 1; c.freezes = 0; });
    written("no waiting, two leases, failover", FINE, [](Config& c) { c.tokens = true; c.wait = false; c.leases = 2; c.failovers = 1; c.cleanups = 1; });
    written("break (renewals also match the token)", FINE, [](Config& c) { c.tokens = true; c.breaks = 1; c.beats = 1; });
    written("guard, failover", FINE, [](Config& c) { c.tokens = true; c.guards = 1; c.failovers = 1; c.asks = 1; c.beats = 1; });
    written("guard, skew beyond grace", FINE, [](Config& c) { c.tokens = true; c.guards = 1; c.failovers = 1; c.skew = c.skew_total = 3; c.ignore_overlap = true; c.asks = 1; c.beats = 1; });
    written("fenced write, skew beyond grace", FINE, [](Config& c) { c.tokens = true; c.fenced = 1; c.failovers = 1; c.skew = c.skew_total = 3; c.ignore_overlap = true; c.asks = 1; c.beats = 1; });
    written("two readers and a writer", FINE, [](Config& c) { c.role[0] = c.role[1] = S; c.role[2] = X; c.asks = 1; c.beats = 1; c.failovers = 1; c.freezes = 0; });
    written("reader and writer, frozen, failover", FINE, [](Config& c) { c.role[0] = S; c.asks = 2; c.beats = 1; c.failovers = 1; });
    written("liveness, two exclusive", FINE, [](Config& c) { c.liveness = true; c.failovers = 1; c.beats = 1; c.asks = 2; });
    written("liveness, three exclusive", FINE, [](Config& c) { c.liveness = true; c.role[2] = X; c.asks = 1; c.beats = 1; c.freezes = 0; });
    written("liveness, readers and a writer", FINE, [](Config& c) { c.liveness = true; c.role[0] = c.role[1] = S; c.role[2] = X; c.asks = 1; c.beats = 1; c.freezes = 0; });
    auto reading = [&](const char* n, u8 e, std::function<void(Config&)> f) { add("reading", n, e, f); };
    reading("skew accumulates over two failovers", OVERLAP, [](Config& c) { c.failovers = 2; c.skew_total = 2; c.wait = false; c.freezes = 0; });
    reading("frozen acquire, old program deletes: tokens", TOKEN, [](Config& c) { c.role[2] = LEGACY; c.tokens = true; c.wait = false; c.asks = 1; c.renews = 0; });
    reading("  the same for fenced writes", ORDER, [](Config& c) { c.role[2] = LEGACY; c.tokens = c.ignore_tokens = true; c.fenced = 1; c.wait = false; c.asks = 1; c.renews = 0; c.ignore_overlap = true; });
    reading("  the same with cleanup, retention < blocking", TOKEN, [](Config& c) { c.tokens = true; c.cleanups = 1; c.retention = 1; c.wait = false; c.asks = 1; c.renews = 0; });
    reading("old program, its clock 1 fast (within grace)", OVERLAP, [](Config& c) { c.role[1] = LEGACY; c.legacy_fast = 1; c.wait = false; c.freezes = 0; c.leases = 2; });
    reading("old program, exact clock, delete after a renewal", OVERLAP, [](Config& c) { c.role[1] = LEGACY; c.wait = false; c.slow_replies = true; c.freezes = 0; c.leases = 2; });
    reading("old program and a constant shared id", OVERLAP, [](Config& c) { c.text = "constant-shared-id"; c.role[0] = S; c.role[1] = LEGACY; c.wait = false; c.leases = 2; c.renews = 0; c.freezes = 0; c.timeouts = 0; });
    reading("break by token alone, old programs' locks", WRONG_BREAK, [](Config& c) { c.text = "break-by-token-alone"; c.role[1] = LEGACY; c.role[2] = LEGACY; c.role[0] = NONE; c.tokens = true; c.breaks = 1; });
    reading("renew by id, straggling acquire after a break", TWO, [](Config& c) { c.renew_by_id_only = true; c.tokens = true; c.breaks = 1; c.wait = false; c.freezes = 0; });
    reading("beat 0 = the last acquire sent", OVERLAP, [](Config& c) { c.beat0_is_last_ask = true; c.leases = 2; c.beats = 0; c.renews = 0; c.timeouts = 1; });
    reading("beats count again from 0 after asking again", OVERLAP, [](Config& c) { c.beats_restart = true; c.leases = 2; c.beats = 1; c.renews = 0; c.failovers = 1; c.freezes = 0; c.timeouts = 0; });
    reading("claim_ms differs between clients", OVERLAP, [](Config& c) { c.claim = 1; c.client_claim = 3; c.leases = 2; c.freezes = 0; c.beats = 0; c.renews = 0; c.timeouts = 0; });
    reading("renew many counts matched; renewal revives late", OVERLAP, [](Config& c) { c.matched_is_renewed = c.late_renewal_revives = true; c.wait = false; c.freezes = 0; });
    reading("renew many counts matched; local deadline final", FINE, [](Config& c) { c.matched_is_renewed = true; c.wait = false; c.freezes = 0; });
    reading("renew single; renewal revives late", FINE, [](Config& c) { c.late_renewal_revives = true; c.wait = false; c.failovers = 1; });
    reading("a holder already expired arms no timer", STUCK, [](Config& c) { c.past_expiry_asks = false; c.liveness = true; c.beats = 1; c.asks = 2; });
    reading("  the same, and waiting promotes nobody", STUCK, [](Config& c) { c.text = "waiting-promotes-nobody"; c.past_expiry_asks = false; c.liveness = true; c.role[2] = X; c.beats = 1; c.asks = 2; c.freezes = 0; c.timeouts = 0; c.renews = 0; });
    reading("waiting promotes nobody", FINE, [](Config& c) { c.text = "waiting-promotes-nobody"; c.liveness = true; c.role[2] = X; c.asks = 2; c.beats = 1; c.freezes = 0; c.timeouts = 0; c.renews = 0; });
    reading("own grant anchored at the lease's first ask", STUCK, [](Config& c) { c.anchor_first_ask = true; c.liveness = true; c.beats = 1; c.freezes = 0; });
    reading("reader granted in its own ask, as a direct grant", OVERLAP, [](Config& c) { c.text = "own-grant-as-direct"; c.role[0] = X; c.role[1] = c.role[2] = S; c.asks = 1; c.beats = 0; c.freezes = 0; c.timeouts = 0; c.renews = 0; c.ttl = 4; c.leases = 2; });
    auto amended = [&](const char* n, u8 e, std::function<void(Config&)> f) {
        add("amended", n, e, [&](Config& c) { c.text = "provisional-token+grace-in-end"; c.end_has_grace = true; f(c); }); };
    amended("frozen acquire, old program deletes: tokens", FINE, [](Config& c) { c.role[2] = LEGACY; c.tokens = true; c.wait = false; c.asks = 1; c.ignore_overlap = true; });
    amended("  the same for fenced writes", FINE, [](Config& c) { c.role[2] = LEGACY; c.tokens = true; c.fenced = 1; c.wait = false; c.asks = 1; c.ignore_overlap = true; });
    amended("old program, its clock 1 fast (within grace)", FINE, [](Config& c) { c.role[1] = LEGACY; c.legacy_fast = 1; c.wait = false; c.freezes = 0; c.leases = 2; c.asks = 1; });
    amended("  the same, asking again with the same id", OVERLAP, [](Config& c) { c.role[1] = LEGACY; c.legacy_fast = 1; c.wait = false; c.freezes = 0; c.leases = 2; });
    amended("  the same, expired and mine is not extended", FINE, [](Config& c) { c.role[1] = LEGACY; c.legacy_fast = 1; c.wait = false; c.freezes = 0; c.leases = 2; c.timeouts = 1; c.text = "provisional-token+grace-in-end+ended-stays-ended"; });
    amended("old program and a shared id per grant", FINE, [](Config& c) { c.role[0] = S; c.role[1] = LEGACY; c.wait = false; c.leases = 2; c.renews = 0; c.freezes = 0; c.timeouts = 0; });
    amended("break by token and id, old programs' locks", FINE, [](Config& c) { c.role[1] = LEGACY; c.role[2] = LEGACY; c.role[0] = NONE; c.tokens = true; c.breaks = 1; });
    amended("renew by id and token, straggler after a break", FINE, [](Config& c) { c.tokens = true; c.breaks = 1; c.wait = false; c.freezes = 0; });
    amended("two exclusive, waiting, failover", FINE, [](Config& c) { c.tokens = true; c.failovers = 1; c.freezes = 0; c.beats = 1; c.text = "provisional-token+grace-in-end+ended-stays-ended"; });
    amended("liveness, three exclusive", FINE, [](Config& c) { c.liveness = true; c.role[2] = X; c.asks = 1; c.beats = 1; c.freezes = 0; c.text = "provisional-token+grace-in-end+ended-stays-ended"; });
    auto program = [&](const char* n, u8 e, std::function<void(Config&)> f) { add("program", n, e, f); };
    auto marking = [](Config& c) { c.marks = c.extends = 1; c.role[1] = LEGACY; c.wait = false; c.freezes = 0; c.asks = 1; c.renews = 0; c.timeouts = 1; };
    program("cleanup marks, old program extends: free by id alone", OVERLAP, [=](Config& c) { marking(c); c.text = "free-by-id-alone"; });
    program("  free also needs no end after the release", FINE, marking);
    auto inserts = [](Config& c) { c.tokens = c.ignore_tokens = c.judge_believed = true; c.cleanups = 1; c.retention = 2; c.insert_believed = 1; c.wait = false; c.renews = 0; c.ttl = 4; c.flight = 2; };
    program("a first grant is believed only if answered soon", FINE, inserts);
    program("  asked again, its own answer lost: not looked at", TOKEN, [=](Config& c) { inserts(c); c.insert_own_answer_only = true; });
    auto failing = [=](Config& c) { inserts(c); c.failovers = 1; };
    program("  with a failover within grace", FINE, failing);
    program("  the servers' clocks taken as they are", TOKEN, [=](Config& c) { failing(c); c.insert_no_grace = true; });
    auto soonest = [=](Config& c) { failing(c); c.retention = 1; c.insert_believed = 0; };
    program("  the first grant known by its time alone", TOKEN, [=](Config& c) { soonest(c); c.insert_seen_by_time = true; });
    program("  known by having asked before, too", FINE, soonest);
    auto handing = [](Config& c) { c.transfers = 1; c.leases = 2; c.asks = 1; c.beats = 1; c.freezes = 0; c.flight = 2; c.timeouts = 1; };
    program("transfer: believed from the receiver's own renew", FINE, handing);
    program("  with a failover", FINE, [=](Config& c) { handing(c); c.failovers = 1; c.wait = false; });
    program("  believed from the hand-over", OVERLAP, [=](Config& c) { handing(c); c.transfer_believed = true; });
    program("waiting, what is freed keeps its id", FINE, [](Config& c) { c.beats = 1; c.asks = 2; c.flight = 2; c.timeouts = 1; c.failovers = 1; c.freezes = 0; });
    auto brief = [](Config& c) { c.cap = 4000000; c.seconds = 20; };
    auto batch = [=](Config& c) { brief(c); c.tokens = true; c.breaks = 1; c.wait = false; c.freezes = 0; c.timeouts = 1; };
    program("the keeper renews by id and token", FINE, batch);
    program("  by id alone, straggling acquire after a break", TWO, [=](Config& c) { batch(c); c.renew_by_id_only = true; });
    auto queued = [=](Config& c) { inserts(c); brief(c); c.wait = true; c.queued_judged = c.asks_are_beats = true; c.role[0] = c.role[1] = X; c.ttl = 3; c.claim = 2; c.leases = 2; c.asks = 2; c.beats = 0; c.cleanups = 1; c.retention = 1; c.insert_believed = 0; c.timeouts = 1; c.freezes = 1; };
    program("a first grant of who waits is believed if answered soon", FINE, queued);
    auto forgotten = [=](Config& c) { queued(c); c.leases = 1; c.asks = 3; c.begin = [](State& s) { s.c[1].phase = WAIT; s.c[1].starts = s.c[1].asks = 1; }; };   // B: long ago
    program("  who was queued, and forgotten, is judged too", FINE, forgotten);
    program("  who was queued is not", TOKEN, [=](Config& c) { forgotten(c); c.queued_judged = false; });
    program("a look at the document tells of direct grants", FINE, [=](Config& c) { queued(c); c.polls = true; });
    program("  of any grant, also of a first one", TOKEN, [=](Config& c) { queued(c); c.polls = c.polls_any = true; });
    auto own = [=](Config& c) {
        brief(c);
        c.own_id = c.asks_are_beats = c.polls = true; c.ttl = c.claim = 3; c.asks = 3; c.beats = c.renews = 0; c.timeouts = 1; c.flight = 3;
        c.begin = [](State& s) {                           // B's question is blocked, was repeated, and told busy; then the holder left
            Client& k = s.c[1]; k.phase = ASK; k.starts = k.whole = 1; k.asks = 2; k.beat_at[0] = 0; s.freezes = 1;
            Msg& m = s.m[0]; m.kind = ACQUIRE; m.client = 1; m.id = lease_id(1, 0); m.orphan = m.frozen = m.cluster = 1;
            Doc& d = s.doc; d.there = d.token = 1; d.id = d.released = lease_id(2, 0);
        };
    };
    program("a caller's id, asked first without waiting", FINE, own);
    program("  a look tells of any grant", OVERLAP, [=](Config& c) { own(c); c.polls_any = true; });
    auto shorts = [=](Config& c) { brief(c); c.short_forms = c.told = true; c.wait = false; c.asks = 1; c.renews = 1; c.timeouts = 1; c.freezes = 0; c.flight = 3; c.leases = 2; };
    program("short forms, told as it is", FINE, shorts);
    program("  with a failover", FINE, [=](Config& c) { shorts(c); c.failovers = 1; });
    program("  the driver goes back to the deposed primary", TOLD, [=](Config& c) { shorts(c); c.failovers = 1; c.old_primary_again = true; });
    program("  with an old program's document in between", FINE, [=](Config& c) { shorts(c); c.role[2] = LEGACY; c.leases = 1; });
    program("  with a break", FINE, [=](Config& c) { shorts(c); c.tokens = true; c.leases = c.breaks = 1; });
    program("  found by its _id is taken for done", TOLD, [=](Config& c) { shorts(c); c.tokens = true; c.leases = c.breaks = 1; c.found_is_done = true; });
    program("  not changed is taken for lost", TOLD, [=](Config& c) { shorts(c); c.refusal_is_final = true; });
    program("  attempts without an answer are forgotten", TOLD, [=](Config& c) { shorts(c); c.attempts_forgotten = true; });
    static const auto two_wait = [](State& s, u8 cluster) {   // the key is free; two readers wait, and nobody granted them yet
        Doc& d = s.doc; d.there = d.token = 1; d.id = d.released = lease_id(0, 1); d.nwaiters = 2; s.last_token = 1; s.cluster = cluster;
        for (int i = 0; i < 2; i++) { Client& k = s.c[i + 1]; k.phase = WAIT; k.starts = k.asks = 1; d.waiters[i] = {lease_id(i + 1, 0), 1, 0, 0}; }
    };
    auto readers = [=](Config& c) {
        brief(c); c.role[0] = c.role[1] = c.role[2] = S; c.tokens = true; c.leases = 2; c.asks = 1; c.beats = c.renews = c.timeouts = c.freezes = 0; c.flight = 2; c.cleanups = 1; c.retention = 1;
        c.begin = [](State& s) { two_wait(s, 4); };
    };
    program("a head run of readers ends at the clock", FINE, readers);
    program("  takes tokens from the clock on", TOKEN, [=](Config& c) { readers(c); c.text = "readers-run-ahead"; });
    program("  fewer writes since the last grant than readers", TOKEN, [=](Config& c) { readers(c); c.begin = [](State& s) { two_wait(s, 2); }; });
    auto dying = [=](Config& c) { brief(c); c.transfers = 1; c.deaths = 1; c.reaps = 1; c.wait = false; c.role[2] = X; c.renews = 0; c.asks = 1; c.freezes = 0; c.timeouts = 1; c.flight = 2; };
    program("reap: the lease id and the process that were seen", FINE, dying);
    program("  a transfer keeps the process, the id has another", FINE, [=](Config& c) { dying(c); c.text = "transfer-keeps-process"; });
    program("  a transfer keeps the process, whatever the id", OVERLAP, [=](Config& c) { dying(c); c.text = "transfer-keeps-process"; c.reap_any_id = true; });
    auto keeping = [=](Config& c) { brief(c); c.keep = 2; c.tokens = true; c.leases = 2; c.asks = 2; c.beats = 0; c.freezes = 0; c.timeouts = 1; c.wait = false; c.flight = 2; };
    auto keeping_queue = [=](Config& c) { keeping(c); c.wait = true; c.leases = 1; c.asks = c.beats = 1; c.role[2] = X; };
    program("kept: nobody has it before its end", FINE, keeping);
    program("  kept, with a failover", FINE, [=](Config& c) { keeping(c); c.failovers = 1; });
    program("  kept, frozen commands", FINE, [=](Config& c) { keeping(c); c.freezes = 1; c.leases = 1; });
    program("  kept, and others wait", FINE, [=](Config& c) { keeping_queue(c); c.failovers = 1; });
    program("  kept, and shared afterwards", FINE, [=](Config& c) { keeping_queue(c); c.role[1] = c.role[2] = S; });
    program("  kept, beside an old program; cleanup marks", FINE, [=](Config& c) { keeping(c); c.role[1] = LEGACY; c.extends = c.marks = 1; c.leases = 1; c.tokens = false; });
    program("  kept, transferred, reaped, deleted", FINE, [=](Config& c) { keeping(c); c.transfers = c.deaths = c.reaps = c.cleanups = 1; c.renews = 0; c.retention = 2; });
    program("  kept, and broken", FINE, [=](Config& c) { keeping(c); c.breaks = 1; c.leases = 1; });
    program("  kept, read by programs that know nothing of it", FINE, [=](Config& c) { keeping(c); c.text = "kept-has-grace+kept-goes-on"; });
    auto keeping_alive = [](Config& c) { c.keep = 2; c.liveness = true; c.ttl = 8; c.grace = 2; c.asks = c.beats = 1; c.renews = 0; c.freezes = c.timeouts = 0; c.flight = 2; c.slow_poll = 1; c.patience = 1; c.cap = 3000000; };
    program("liveness, kept, then free without a grace", FINE, keeping_alive);
    auto unclaimed = [](Config& c) { c.liveness = true; c.role[2] = X; c.ttl = 16; c.claim = 2; c.asks = 1; c.beats = 1; c.renews = 0; c.freezes = 0; c.timeouts = 0; c.flight = 2; c.slow_poll = 2; c.patience = 8; c.cap = 3000000; };
    program("liveness, a direct grant that nobody claims", FINE, unclaimed);
    program("  without a look now and then", STUCK, [=](Config& c) { unclaimed(c); c.slow_poll = 0; });
    auto mutant = [&](const char* n, u8 e, std::function<void(Config&)> f) { add("mutant", n, e, f); };
    mutant("anchor at the reply", OVERLAP, [](Config& c) { c.anchor_at_reply = c.slow_replies = true; c.wait = false; c.freezes = 0; });
    mutant("anchor at the last \"still waiting\"", OVERLAP, [](Config& c) {
        c.anchor_at_still = true; c.failovers = 1; c.freezes = 0; c.timeouts = 0; c.leases = 2; c.beats = 0; c.renews = 0;
        c.begin = [](State& s) {                           // A's release is under way, and A waits again, by its second id
            Client& k = s.c[0]; k.phase = WAIT; k.lease = 1; k.starts = 2; k.asks = 1; k.still = k.beat_at[0] = 0; k.timer = 4;
            Doc& d = s.doc; d.there = d.token = d.nwaiters = 1; d.id = lease_id(0, 0); d.expires = 3; d.waiters[0] = {lease_id(0, 1), 0, 0, 0};
            Msg& m = s.m[0]; m.kind = RELEASE; m.client = 0; m.id = lease_id(0, 0); m.orphan = 1;
        };
    });
    mutant("  the same, no failover", OVERLAP, [](Config& c) { c.anchor_at_still = true; c.timeouts = 0; c.leases = 2; c.beats = 0; c.renews = 0; });
    mutant("release without id match", OVERLAP, [](Config& c) { c.text = "release-of-any-whole"; c.release_any = true; c.leases = 2; c.wait = false; c.freezes = 0; });
    mutant("grace in acquire, not in release and cancel", OVERLAP, [](Config& c) { c.text = "grace-in-acquire-only"; c.role[2] = X; c.failovers = 1; c.asks = 1; c.beats = 0; c.renews = 0; c.freezes = 0; c.timeouts = 0; });
    mutant("no grace", OVERLAP, [](Config& c) { c.text = "no-grace"; c.failovers = 1; c.wait = false; });
    mutant("token from NOW, document deleted", TOKEN, [](Config& c) { c.token_from_now = c.tokens = true; c.wait = false; c.cleanups = 1; c.retention = 0; c.failovers = 1; c.freezes = 0; });
    mutant("lease id reused after release", OVERLAP, [](Config& c) { c.id_reused = true; c.leases = 2; c.wait = false; c.freezes = 0; });
    mutant("guard does not read the lease", PASSED, [](Config& c) { c.guard_blind = c.tokens = true; c.guards = 1; c.wait = false; c.freezes = 0; });
    mutant("guard does not write the fence", ORDER, [](Config& c) { c.guard_unfenced = c.tokens = true; c.guards = 1; c.wait = false; c.freezes = 0; });
    mutant("direct grant ignores beat_at", OVERLAP, [](Config& c) { c.text = "beat-time-ignored"; c.leases = 2; c.asks = 1; c.beats = 1; c.renews = 0; c.timeouts = 0; });
    mutant("beats as no-ops", OVERLAP, [](Config& c) { c.beat_noop = true; c.leases = 2; c.asks = 1; c.beats = 1; c.renews = 0; c.timeouts = 0; c.failovers = 1; c.freezes = 0; });
    mutant("what is kept is free at once", SOONER, [=](Config& c) { keeping(c); c.text = "kept-is-free"; });
    mutant("what is kept has a grace", STUCK, [=](Config& c) { keeping_alive(c); c.text = "kept-has-grace"; });
    mutant("what is kept is its holder's still", SOONER, [=](Config& c) { keeping(c); c.text = "kept-is-mine"; });
    mutant("w:1: the deposed primary acknowledges", OVERLAP, [](Config& c) { c.w1 = true; c.failovers = 1; c.wait = false; });
    for (size_t i = 0, n = all.size(); i < n; i++) if (!strcmp(all[i].group, "mutant")) {  // the same scenario without the mutation
        Scenario k = all[i]; Config& c = k.c; k.group = "control"; c.expect = FINE; c.cap = 8000000; c.seconds = 24;
        c.text = ""; c.release_any = c.anchor_at_reply = c.anchor_at_still = c.token_from_now = c.id_reused = false;
        c.guard_blind = c.guard_unfenced = c.beat_noop = c.w1 = false;
        all.push_back(k);
    }
    return all;
}
int main(int argc, char** argv) {
    bool trace = false, texts = false; double most = 1e9; std::vector<const char*> only;
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], "-t")) trace = true; else if (!strcmp(argv[i], "-s") && i + 1 < argc) most = atof(argv[++i]); else if (!strcmp(argv[i], "--texts")) texts = true; else only.push_back(argv[i]);
    int wrong = 0; const char* group = "";
    for (auto& [g, c] : scenarios()) {
        bool wanted = only.empty();
        for (const char* o : only) wanted |= strstr(g, o) || strstr(c.name, o);
        if (!wanted) continue;
        if (texts) { printf("%s\n", c.text); continue; }  // scripts/model makes these
        if (strcmp(group, g)) printf("== %s\n", group = g);
        cfg = c; cfg.seconds = std::min(c.seconds, most); commands::use(c.text);
        Result r = search(trace);
        bool as_expected = r.bad == c.expect && commands::problem.empty(); wrong += !as_expected;
        if (!commands::problem.empty()) printf("a server would refuse a command: %s\n", commands::problem.c_str());
        commands::problem.clear();
        printf("%-6s %-52s %10llu states  depth %2d %s %5.1f s  %s\n", as_expected ? "ok" : "WRONG", c.name, (unsigned long long)r.states, r.depth,
               r.bad ? "       " : r.complete ? "(all)  " : "(bound)", r.seconds, r.bad ? BAD[r.bad] : "holds");
        fflush(stdout);
    }
    if (texts) return 0;
    rusage u; getrusage(RUSAGE_SELF, &u);
    printf("%llu commands run, %llu of them evaluated\n", (unsigned long long)commands::runs, (unsigned long long)commands::evaluations);
    printf("%d unexpected; peak %ld MB, %.0f s of processor\n", wrong, u.ru_maxrss / 1024, double(clock()) / CLOCKS_PER_SEC);
    return wrong != 0;
}
