/* SPDX-License-Identifier: Apache-2.0
 * The checker of `leasehold torture`, on histories written by hand: a clean one passes, and each
 * kind of violation is caught as what it is. Times are in ms in the texts below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "torture/check.h"

// clang-format off: it makes stairs of texts that follow each other
#define RUN(oplog) "{'e':'run','t':1000000,'seed':7,'grace_ms':500,'oplog':" oplog "}\n"
#define DONE       "{'e':'done','t':9000000000}\n"
#define MS         "000000"

/* The lines of a process. */
#define CALL(t, p, n, op, more)                                                                    \
    "{'e':'call','t':" #t MS ",'p':" #p ",'life':0,'n':" #n ",'op':'" op "','key':'k'" more "}\n"
#define END(t, p, n, op, outcome, more)                                                            \
    "{'e':'end','t':" #t MS ",'p':" #p ",'life':0,'n':" #n ",'op':'" op                            \
    "','key':'k','outcome':'" outcome "'" more "}"                                                 \
    "\n"
#define BELIEF(t, p, lease, shared, remaining)                                                     \
    "{'e':'belief','t':" #t MS ",'p':" #p ",'life':0,'key':'k','lease':'" lease                    \
    "','shared':" shared ",'remaining_ms':" #remaining "}\n"
#define GRANTED(lease, token) ",'lease':'" lease "','token':" #token

/* What is committed: instants are dates, in ms. */
#define DATE(ms) "{'$date':{'$numberLong':'" #ms "'}}"
#define COMMIT(t, seq, doc)                                                                        \
    "{'e':'commit','t':" #t MS ",'seq':" #seq ",'wall':" DATE(t) ",'key':'k','id':'k','doc':" doc  \
                                                                 "}\n"
#define HELD(lease, who, token, acquired, renewed, end, more)                                      \
    "{'id':'" lease "','purpose':'" who "','token':" #token                                        \
    ",'acquired_at':" DATE(acquired) ",'renewed_at':" DATE(renewed) ",'expires_at':" DATE(         \
        end) ",'mode':'exclusive'" more "}"
#define RELEASED(lease, how, at) ",'released':{'id':'" lease "','how':'" how "','at':" DATE(at) "}"
#define WAITER(lease, who, since, beat)                                                            \
    "'" lease "':{'mode':'exclusive','purpose':'" who                                              \
    "','since':" DATE(since) ",'beat_at':" DATE(beat) ",'claim_ms':1000}"
#define READER(lease, who, token, acquired, end)                                                   \
    "'" lease "':{'purpose':'" who "','token':" #token ",'acquired_at':" DATE(                     \
        acquired) ",'renewed_at':" DATE(acquired) ",'expires_at':" DATE(end) "}"

/* Process 0 holds a from 1000 to its release at 1500. */
#define A_CALLS                                                                                    \
    CALL(1000, 0, 1, "acquire", ",'ttl_ms':1000") END(1010, 0, 1, "acquire", "ok", GRANTED("a", 5))
#define A_HOLDS COMMIT(1002, 1, HELD("a", "0.0.1", 5, 1001, 1001, 2001, ""))
#define A_LEAVES                                                                                   \
    CALL(1500, 0, 2, "release", ",'lease':'a'") END(1510, 0, 2, "release", "ok", ",'lease':'a'")
#define A_GONE                                                                                     \
    COMMIT(1502, 2, HELD("a", "0.0.1", 5, 1001, 1001, 1501, RELEASED("a", "release", 1501)))

// clang-format on

static struct check checked;

static bool read_text(const char *text, const char *end, char message[200])
{
    char *json = NULL;
    assert_true(asprintf(&json, "%s%s", text, end) >= 0);
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    FILE *file = fmemopen(json, strlen(json), "r");
    assert_non_null(file);
    bool good = check_read(&checked, file, message);
    (void)fclose(file);
    free(json);
    return good;
}

/* The invariant of the first violation, 0 for none; its story says `what`. */
static void expect_violation(const char *text, int invariant, const char *what)
{
    char message[200] = "", *story = NULL;
    size_t size;
    if (!read_text(text, DONE, message))
        fail_msg("%s", message);
    bool clean = check_all(&checked);
    int got = clean ? 0 : checked.violations[0].invariant;
    FILE *to = open_memstream(&story, &size);
    assert_non_null(to);
    check_tell(&checked, to);
    (void)fclose(to);
    if (got != invariant || (invariant && !strstr(story, what)))
        print_error("wanted %d, \"%s\":\n%s\n", invariant, what, story);
    assert_int_equal(got, invariant);
    assert_true(!invariant || strstr(story, what));
    free(story);
    check_fini(&checked);
}

// clang-format off
static void passes_what_is_clean(void **state)
{
    (void)state;
    expect_violation(
                     RUN("true") A_CALLS A_HOLDS BELIEF(1010, 0, "a", "false", 990) BELIEF(1490, 0, "a", "false", 500)
                     CALL(1400, 1, 1, "acquire", "") END(1405, 1, 1, "acquire", "busy", ",'holder':'0.0.1','holder_token':5")
                     A_LEAVES A_GONE BELIEF(1511, 0, "a", "false", 0) CALL(1600, 1, 2, "acquire", "")
                     COMMIT(1602, 3, HELD("b", "1.0.2", 6, 1601, 1601, 2601, RELEASED("a", "release", 1501)))
                     END(1610, 1, 2, "acquire", "ok", GRANTED("b", 6)) BELIEF(1610, 1, "b", "false", 990)
                     BELIEF(1700, 1, "b", "false", 900),
                     0, "");
}

static void catches_two_who_believe(void **state)
{
    (void)state;
    expect_violation(RUN("false") BELIEF(1010, 0, "a", "false", 990) BELIEF(1700, 0, "a", "false", 300)
                     BELIEF(1600, 1, "b", "false", 990) BELIEF(1800, 1, "b", "false", 700),
                     1,
                     "process 0 and process 1 relied on leases on \"k\" at the same time, for at least 100.0 ms");
    expect_violation(RUN("false") BELIEF(1010, 0, "a", "true", 990) BELIEF(1700, 0, "a", "true", 300)
                     BELIEF(1600, 1, "b", "false", 990) BELIEF(1800, 1, "b", "false", 700),
                     1, "relied on leases on \"k\" at the same time");
    expect_violation(RUN("false") BELIEF(1010, 0, "a", "false", 990) BELIEF(1700, 0, "a", "false", 300)
                     BELIEF(1600, 1, "b", "false", 990) BELIEF(1601, 1, "b", "false", 0),
                     1, "relied on leases on \"k\" at the same time"); /* once is enough */
}

static void catches_a_belief_past_the_end(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS A_HOLDS BELIEF(1011, 0, "a", "false", 990) BELIEF(2600, 0, "a", "false", 9),
                     1, "process 0 still relied on its lease on \"k\" 99 ms after another process could have taken the key over");
    expect_violation(RUN("true") A_CALLS A_HOLDS BELIEF(1011, 0, "a", "false", 990) BELIEF(2000, 0, "a", "false", 1), 0, "");
}

static void catches_a_belief_in_what_was_given_away(void **state)
{
    (void)state;
    expect_violation(RUN("false") A_CALLS A_LEAVES BELIEF(1520, 0, "a", "false", 400), 1, "which it had released");
    expect_violation(RUN("false") A_CALLS CALL(1500, 0, 2, "transfer", ",'lease':'a'")
                     END(1510, 0, 2, "transfer", "ok", ",'lease':'a','to':'b'") BELIEF(1520, 0, "a", "false", 400),
                     1, "which it had handed on");
}

static void lets_readers_share(void **state)
{
    (void)state;
    expect_violation(RUN("false") BELIEF(1010, 0, "a", "true", 990) BELIEF(1700, 0, "a", "true", 300)
                     BELIEF(1600, 1, "b", "true", 990) BELIEF(1800, 1, "b", "true", 700),
                     0, "");
}

static void counts_only_what_was_seen(void **state)
{
    (void)state;
    /* It ended somewhere between the last sample that said valid and the first that did not. */
    expect_violation(RUN("false") BELIEF(1010, 0, "a", "false", 990) BELIEF(1500, 0, "a", "false", 300)
                     BELIEF(1600, 1, "b", "false", 990) BELIEF(1650, 0, "a", "false", 0)
                     BELIEF(1800, 1, "b", "false", 700),
                     0, "");
}

#define BROKEN(until)                                                                                                  \
    RUN("false")                                                                                                       \
    BELIEF(1010, 0, "a", "false", 990) CALL(1100, 2, 1, "break", "") END(1110, 2, 1, "break", "ok", "")                \
        BELIEF(1200, 1, "b", "false", 990) BELIEF(1900, 0, "a", "false", 300) BELIEF(1950, 1, "b", "false", 700)       \
            BELIEF(7000, 1, "b", "false", 700) BELIEF(until, 0, "a", "false", 700) BELIEF(7900, 1, "b", "false", 700)

static void waives_the_broken_holder_for_a_while(void **state)
{
    (void)state;
    expect_violation(BROKEN(1960), 0, "");
    expect_violation(BROKEN(7500), 1, "relied on leases on \"k\" at the same time");
}

static void catches_tokens_that_go_back(void **state)
{
    (void)state;
    expect_violation(RUN("false") A_CALLS CALL(2000, 1, 1, "acquire", "")
                     END(2010, 1, 1, "acquire", "ok", GRANTED("b", 4)),
                     2, "with token 4, after token 5");
    expect_violation(RUN("true") A_CALLS A_HOLDS A_LEAVES A_GONE CALL(1600, 1, 2, "acquire", "")
                     COMMIT(1602, 3, HELD("b", "1.0.2", 5, 1601, 1601, 2601, RELEASED("a", "release", 1501)))
                     END(1610, 1, 2, "acquire", "ok", GRANTED("b", 5)),
                     2, "with token 5, after token 5");
    expect_violation(RUN("true") COMMIT(1002, 1,
                     "{'id':'shared:b','shared':{" READER("a", "0.0.1", 5, 1001, 2001) "," READER(
                     "b", "0.0.2", 5, 1001, 2001) "}}"),
                     2, "with token 5, after token 5");
}

static void catches_a_document_that_went_too_soon(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS A_HOLDS A_LEAVES A_GONE COMMIT(1800, 3, "null"), 2, "its token is lost");
    expect_violation(RUN("true") A_CALLS A_HOLDS A_LEAVES A_GONE COMMIT(2600, 3, "null"), 0, "");
}

static void catches_a_lost_grant(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS, 3, "the grant was not committed");
    expect_violation(RUN("true") A_CALLS COMMIT(1002, 1, HELD("a", "0.0.1", 6, 1001, 1001, 2001, "")), 3,
                     "differs from the committed token");
}

static void catches_a_lost_release(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS A_HOLDS A_LEAVES, 3, "was released, but it still held the key at the end");
}

static void catches_a_grant_that_nobody_was_told_of(void **state)
{
    (void)state;
    expect_violation(RUN("true") CALL(1000, 0, 1, "acquire", "") A_HOLDS END(1010, 0, 1, "acquire", "busy", "")
                     COMMIT(1600, 2, HELD("a", "0.0.1", 5, 1001, 1001, 2001, "")),
                     3, "got the reply \"busy\" for \"k\", but holds the key 590 ms later");
    expect_violation(RUN("true") CALL(1000, 0, 1, "acquire", "") A_HOLDS
                     END(1010, 0, 1, "acquire", "busy", ",'holder':'0.0.1','holder_token':5"),
                     3, "the process itself holds the key");
}

static void catches_renewals_that_shorten_revive_or_change(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS A_HOLDS COMMIT(1100, 2, HELD("a", "0.0.1", 5, 1001, 1100, 1900, "")), 4,
                     "was shortened by 101 ms");
    expect_violation(RUN("true") A_CALLS A_HOLDS COMMIT(2100, 2, HELD("a", "0.0.1", 5, 1001, 2100, 3100, "")), 4,
                     "was renewed 99 ms after it had ended");
    expect_violation(RUN("true") A_CALLS A_HOLDS COMMIT(1100, 2, HELD("a", "0.0.1", 6, 1001, 1100, 2100, "")), 4,
                     "got another token");
    expect_violation(RUN("true") CALL(1000, 0, 1, "acquire", "") END(1010, 0, 1, "acquire", "unknown", "") A_HOLDS A_GONE
                     COMMIT(1600, 3, HELD("a", "0.0.1", 7, 1600, 1600, 2600, RELEASED("x", "release", 1599))),
                     4, "was revived");
    /* The same, but the acquire was not answered yet, and is granted anew. */
    expect_violation(RUN("true") CALL(1000, 0, 1, "acquire", "") A_HOLDS A_GONE
                     COMMIT(1600, 3, HELD("a", "0.0.1", 7, 1600, 1600, 2600, RELEASED("x", "release", 1599)))
                     END(1610, 0, 1, "acquire", "ok", GRANTED("a", 7)),
                     0, "");
}

/* Of an acquire that ended unknown, an attempt may be granted late, when others have held the key
 * since: nobody believes it. But only where something was in its way. */
static void allows_for_an_attempt_that_comes_late(void **state)
{
    (void)state;
#define A_UNKNOWN CALL(1000, 0, 1, "acquire", "") END(1010, 0, 1, "acquire", "unknown", "") A_HOLDS A_GONE
#define B_MEANWHILE                                                                                                    \
    CALL(1590, 1, 1, "acquire", "") END(1610, 1, 1, "acquire", "ok", GRANTED("b", 6))                                  \
    COMMIT(1601, 3, HELD("b", "1.0.1", 6, 1600, 1600, 2600, RELEASED("a", "release", 1501)))                            \
    CALL(1690, 1, 2, "release", ",'lease':'b'") END(1710, 1, 2, "release", "ok", ",'lease':'b'")                        \
    COMMIT(1701, 4, HELD("b", "1.0.1", 6, 1600, 1600, 1700, RELEASED("b", "release", 1700)))
#define A_AGAIN COMMIT(1801, 5, HELD("a", "0.0.1", 7, 1800, 1800, 2800, RELEASED("b", "release", 1700)))
#define IN_THE_WAY "{'e':'fault','t':1005" MS ",'kind':'slow','p':-1,'ms':100}\n"
    expect_violation(RUN("true") IN_THE_WAY A_UNKNOWN B_MEANWHILE A_AGAIN, 0, "");
    expect_violation(RUN("true") A_UNKNOWN B_MEANWHILE A_AGAIN, 4, "was revived");
    expect_violation(RUN("true") IN_THE_WAY A_UNKNOWN
                     COMMIT(1600, 3, HELD("a", "0.0.1", 7, 1600, 1600, 2600, RELEASED("a", "release", 1501))),
                     4, "was revived");
}

static void catches_a_renewal_that_the_holder_did_not_ask_for(void **state)
{
    (void)state;
#define BY_HAND CALL(1000, 0, 1, "acquire", ",'by_hand':true") END(1010, 0, 1, "acquire", "ok", GRANTED("a", 5)) A_HOLDS
#define RENEWED COMMIT(1300, 2, HELD("a", "0.0.1", 5, 1001, 1300, 2300, ""))
    expect_violation(RUN("true") BY_HAND RENEWED, 4, "did not request that");
    expect_violation(RUN("true") BY_HAND CALL(1299, 0, 2, "renew", ",'lease':'a'")
                     END(1305, 0, 2, "renew", "ok", ",'lease':'a'") RENEWED,
                     0, "");
    /* One that is over explains nothing; one that was given up may still arrive. */
    expect_violation(RUN("true") BY_HAND CALL(1050, 0, 2, "renew", ",'lease':'a'")
                     END(1060, 0, 2, "renew", "ok", ",'lease':'a'") RENEWED,
                     4, "did not request that");
    expect_violation(RUN("true") BY_HAND CALL(1050, 0, 2, "renew", ",'lease':'a'")
                     END(1060, 0, 2, "renew", "unreachable", ",'lease':'a'") RENEWED,
                     0, "");
    /* The acquire itself, repeated because its answer was lost. */
    expect_violation(RUN("true") CALL(1000, 0, 1, "acquire", ",'by_hand':true") A_HOLDS
                     COMMIT(1005, 2, HELD("a", "0.0.1", 5, 1001, 1004, 2004, ""))
                     END(1010, 0, 1, "acquire", "ok", GRANTED("a", 5)),
                     0, "");
}

static void catches_one_id_granted_twice(void **state)
{
    (void)state;
    expect_violation(RUN("false") A_CALLS CALL(2000, 1, 1, "acquire", "")
                     END(2010, 1, 1, "acquire", "ok", GRANTED("a", 9)),
                     5, "was granted twice");
}

static void catches_a_holder_that_never_was(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_CALLS A_HOLDS CALL(1200, 1, 1, "acquire", "")
                     END(1210, 1, 1, "acquire", "busy", ",'holder':'4.0.4','holder_token':4"),
                     6, "which nobody had");
    expect_violation(RUN("true") A_CALLS A_HOLDS A_LEAVES A_GONE CALL(31200, 1, 1, "acquire", "")
                     END(31210, 1, 1, "acquire", "busy", ",'holder':'0.0.1','holder_token':5"),
                     6, "which was not held at that time");
#define LATE_BUSY                                                                                                      \
    A_CALLS A_HOLDS A_LEAVES A_GONE CALL(2200, 1, 1, "acquire", "")                                                    \
        END(2210, 1, 1, "acquire", "busy", ",'holder':'0.0.1','holder_token':5")
    expect_violation(RUN("true") LATE_BUSY, 6, "which was not held at that time");
    expect_violation(RUN("true") "{'e':'fault','t':1900" MS ",'kind':'stepdown','p':-1,'ms':100}\n" LATE_BUSY, 0, "");
    expect_violation(RUN("true") "{'e':'fault','t':1200" MS ",'kind':'stepdown','p':-1,'ms':100}\n" LATE_BUSY, 6,
                     "which was not held at that time"); /* before it was over */
}

#define WROTE(t, who, token) "{'e':'wrote','t':" #t MS ",'p':-1,'key':'k','who':'" who "','token':" #token "}\n"
#define WRITES(t, p, n, outcome) CALL(t, p, n, "write", "") END(t, p, n, "write", outcome, "")

static void catches_writes_that_the_fence_should_keep_out(void **state)
{
    (void)state;
    expect_violation(RUN("true") WRITES(1100, 0, 2, "ok") WRITES(1200, 1, 2, "ok") WROTE(9000, "0.0.2", 5)
                     WROTE(9001, "1.0.2", 6),
                     0, "");
    expect_violation(RUN("true") WRITES(1100, 1, 2, "ok") WRITES(1200, 0, 2, "unknown") WROTE(9000, "1.0.2", 6)
                     WROTE(9001, "0.0.2", 5),
                     10, "with token 5 landed after one with token 6");
    expect_violation(RUN("true") WRITES(1100, 0, 2, "ok") WROTE(9000, "0.0.2", 5) WROTE(9001, "0.0.2", 5), 10,
                     "landed twice");
    expect_violation(RUN("true") WRITES(1100, 0, 2, "ok"), 10, "the write is missing");
    expect_violation(RUN("true") WRITES(1100, 0, 2, "lost") WROTE(9000, "0.0.2", 5), 10, "but the write landed");
    expect_violation(RUN("true") WRITES(1100, 0, 2, "unknown"), 0, "");
}

#define WROTE_AND(t, who, token, more)                                                                                 \
    "{'e':'wrote','t':" #t MS ",'p':-1,'key':'k','who':'" who "','token':" #token more "}\n"

static void catches_a_write_behind_a_newer_read(void **state)
{
    (void)state;
    expect_violation(RUN("true") WROTE(9000, "0.0.2", 5) WROTE_AND(9001, "1.0.2", 6, ",'seen':1")
                     WROTE_AND(9002, "1.0.3", 6, ",'seen':1"), /* its own in between */
                     0, "");
    expect_violation(RUN("true") WROTE(9000, "0.0.1", 4) WROTE(9001, "0.0.2", 5) WROTE_AND(9002, "1.0.2", 6, ",'seen':1"),
                     10, "a write of process 0 with token 5 landed after one with token 6 had read");
}

static void catches_guarded_writes_behind_a_newer_guard(void **state)
{
    (void)state;
    /* The order of the lines says nothing; and it is another place than the fenced document. */
    expect_violation(RUN("true") WROTE_AND(9000, "1.0.2", 6, ",'older':1") WROTE_AND(9001, "0.0.2", 5, ",'older':0")
                     WROTE_AND(9002, "1.0.3", 6, ",'older':1") WROTE(9003, "0.0.3", 5),
                     0, "");
    expect_violation(RUN("true") WROTE_AND(9000, "1.0.2", 6, ",'older':0") WROTE_AND(9001, "0.0.2", 5, ",'older':0"),
                     10, "process 1 with token 6 found 0 guarded writes of older tokens, but the data has 1");
    expect_violation(RUN("true") WROTE_AND(9000, "1.0.2", 6, ",'older':1"), 10, "but the data has 0");
    expect_violation(RUN("true") WRITES(1100, 0, 2, "again") WROTE_AND(9000, "0.0.2", 5, ",'older':0"), 10,
                     "got the reply \"again\" to a write, but the write landed");
}

/* What is there of the commits would be a violation, were it all. */
static void says_where_the_oplog_was_not_read(void **state)
{
    (void)state;
#define TAKEN_TOO_SOON A_HOLDS COMMIT(1402, 2, HELD("b", "1.0.1", 6, 1401, 1401, 2401, ""))
    char message[200] = "";
    expect_violation(RUN("true") TAKEN_TOO_SOON, 1, "before it could be");
    expect_violation(RUN("true") TAKEN_TOO_SOON "{'e':'hole','t':1500" MS ",'p':-1}\n", 0, "");
    assert_true(read_text(RUN("true") TAKEN_TOO_SOON "{'e':'hole','t':1500" MS ",'p':-1}\n", DONE, message));
    assert_true(check_all(&checked) && checked.hole && !checked.oplog && checked.commits == 0);
    check_fini(&checked);
}

static void catches_overtaking(void **state)
{
    (void)state;
#define QUEUE(beat) ",'waiters':{" WAITER("b", "1.0.1", 1200, beat) "," WAITER("c", "2.0.1", 1300, 1300) "}"
#define LEFT_B      ",'waiters':{" WAITER("b", "1.0.1", 1200, 1300) "}"
    expect_violation(RUN("true") A_HOLDS COMMIT(1302, 2, HELD("a", "0.0.1", 5, 1001, 1001, 2001, QUEUE(1300))) COMMIT(
                     1502, 3, HELD("c", "2.0.1", 6, 1501, 1501, 2501, RELEASED("a", "release", 1501) LEFT_B)),
                     7, "was granted to process 2, ahead of process 1, which had waited for it for 301 ms");
    /* Who is silent for longer than its claim is skipped. */
    expect_violation(RUN("true") A_HOLDS COMMIT(1302, 2, HELD("a", "0.0.1", 5, 1001, 1001, 2001, QUEUE(400))) COMMIT(
                     1502, 3, HELD("c", "2.0.1", 6, 1501, 1501, 2501, RELEASED("a", "release", 1501) LEFT_B)),
                     0, "");
    /* To hand on passes the queue, also where the command had begun before the change that it
     * follows. */
    expect_violation(RUN("true") A_HOLDS
                     COMMIT(1302, 2, HELD("a", "0.0.1", 5, 1001, 1001, 2001, QUEUE(1300) RELEASED("x", "release", 1400)))
                     COMMIT(1502, 3, HELD("z", "0.0.1", 6, 1399, 1399, 2501, QUEUE(1300) RELEASED("a", "transfer", 1399))),
                     0, "");
}

static void catches_one_who_waits_for_what_is_free(void **state)
{
    (void)state;
#define WAITS_ON                                                                                                       \
    A_GONE COMMIT(8900, 3,                                                                                             \
                  "{'id':'a','expires_at':" DATE(1501)                                                                 \
                      RELEASED("a", "release", 1501) ",'waiters':{" WAITER("b", "1.0.1", 1600, 8900) "}}")
#define AT_LAST COMMIT(9001, 4, HELD("b", "1.0.1", 6, 9000, 9000, 10000, RELEASED("a", "release", 1501)))
    expect_violation(RUN("true") A_HOLDS WAITS_ON AT_LAST, 7, "was free for 7400 ms while process 1 was first");
    expect_violation(RUN("true") A_HOLDS WAITS_ON "{'e':'fault','t':5000" MS
                     ",'p':-1,'kind':'stepdown','ms':3000}\n" AT_LAST,
                     0, "");
}

static void catches_one_who_left_and_still_waits(void **state)
{
    (void)state;
    expect_violation(
                     RUN("true") A_HOLDS COMMIT(
                     1202, 2, HELD("a", "0.0.1", 5, 1001, 1001, 2001, ",'waiters':{" WAITER("b", "1.0.1", 1200, 1200) "}"))
                     CALL(1200, 1, 1, "acquire", "") END(1300, 1, 1, "acquire", "cancelled", "") COMMIT(
                     1700, 3, HELD("a", "0.0.1", 5, 1001, 1700, 2700, ",'waiters':{" WAITER("b", "1.0.1", 1200, 1200) "}")),
                     7, "is still in the queue of the key");
}

static void catches_a_takeover_before_the_end(void **state)
{
    (void)state;
#define TAKEN(at) COMMIT(at, 2, HELD("b", "1.0.1", 6, at, at, 9000, RELEASED("a", "expire", at)))
    expect_violation(RUN("true") A_HOLDS TAKEN(2400), 1, "101 ms before it could be");
    expect_violation(RUN("true") A_HOLDS TAKEN(2501), 0, "");
    expect_violation(RUN("true") COMMIT(1002, 1, "{'id':'old1','user_id':'x','expires_at':null}") TAKEN(2501), 1,
                     "without an end");
}

static void catches_two_documents(void **state)
{
    (void)state;
    expect_violation(RUN("true") A_HOLDS "{'e':'commit','t':1400" MS ",'seq':2,'wall':" DATE(
                     1400) ",'key':'k','id':'other','doc':{'id':'a','purpose':'0.0.1','token':5,'acquired_at'"
                     ":" DATE(1001) ",'renewed_at':" DATE(1001) ",'expires_at':" DATE(2001) "}}\n",
                     9, "there are two documents");
}

static void refuses_what_is_no_history(void **state)
{
    (void)state;
    char message[200];
    assert_false(read_text("{'e':'run','t':1}\nrubbish\n", DONE, message));
    assert_string_equal(message, "line 2 is not a line of a history");
    check_fini(&checked);
    assert_false(read_text("{'e':'party','t':1}\n", DONE, message));
    assert_string_equal(message, "line 1 is not a line of a history");
    check_fini(&checked);
    assert_false(read_text(A_CALLS, DONE, message));
    assert_string_equal(message, "this is not a history: no line describes the run");
    check_fini(&checked);
    assert_false(read_text(RUN("true") A_CALLS A_HOLDS, "", message));
    assert_string_equal(message, "it ends before its run: it was cut off after line 4, or its torture process was killed");
    check_fini(&checked);
}

// clang-format on
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_what_is_clean),
        cmocka_unit_test(catches_two_who_believe),
        cmocka_unit_test(catches_a_belief_past_the_end),
        cmocka_unit_test(catches_a_belief_in_what_was_given_away),
        cmocka_unit_test(lets_readers_share),
        cmocka_unit_test(counts_only_what_was_seen),
        cmocka_unit_test(waives_the_broken_holder_for_a_while),
        cmocka_unit_test(catches_tokens_that_go_back),
        cmocka_unit_test(catches_a_document_that_went_too_soon),
        cmocka_unit_test(catches_a_lost_grant),
        cmocka_unit_test(catches_a_lost_release),
        cmocka_unit_test(catches_a_grant_that_nobody_was_told_of),
        cmocka_unit_test(catches_renewals_that_shorten_revive_or_change),
        cmocka_unit_test(allows_for_an_attempt_that_comes_late),
        cmocka_unit_test(catches_a_renewal_that_the_holder_did_not_ask_for),
        cmocka_unit_test(catches_one_id_granted_twice),
        cmocka_unit_test(catches_a_holder_that_never_was),
        cmocka_unit_test(catches_writes_that_the_fence_should_keep_out),
        cmocka_unit_test(catches_a_write_behind_a_newer_read),
        cmocka_unit_test(catches_guarded_writes_behind_a_newer_guard),
        cmocka_unit_test(says_where_the_oplog_was_not_read),
        cmocka_unit_test(catches_overtaking),
        cmocka_unit_test(catches_one_who_waits_for_what_is_free),
        cmocka_unit_test(catches_one_who_left_and_still_waits),
        cmocka_unit_test(catches_a_takeover_before_the_end),
        cmocka_unit_test(catches_two_documents),
        cmocka_unit_test(refuses_what_is_no_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
