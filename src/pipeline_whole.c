/* SPDX-License-Identifier: Apache-2.0
 * The protocol: what each command makes of a key's document, decided by the server, with the server's clock. These are the
 * whole forms, which decide every document.
 *
 * Home of invariants 1 (who may be granted), 2 (tokens) and 4 (renewals).
 *
 * An acquire puts itself at the end of the queue first; if it is not in the run that may be granted, and does not wait, the
 * document stays untouched: a no-op costs a tenth of a write, and `busy` needs nothing else. */
#include "pipeline_grant.h"
#include "pipeline_text.h"

// clang-format off
/* Whom a lease was handed to goes on with it when the process that acquired it has died. */
#define FORGET_PROC "{'$cond':['$$foreign',{'proc':null},{}]}"
/* Extends what is mine, if it has not ended; the holder keeps its token. */
#define EXTEND_EXCLUSIVE                                                                                               \
    "{'$cond':[{'$gt':['$$end','$$NOW']}," LET("'ttl':" TTL_OR("$ttl_ms"),                                             \
    "{'$mergeObjects':['$$ROOT',{'expires_at':" LATER("$$end", "'$$ttl'")                                              \
    ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}," FORGET_PROC "]}") ",'$$ROOT']}"
#define EXTEND_SHARED(token_condition)                                                                                 \
    LET("'all':{'$map':{'input':{'$objectToArray':'$shared'},'as':'s','in':{'$cond':["                                 \
        "{'$and':[{'$eq':['$$s.k','$$me']},{'$gt':['$$s.v.expires_at','$$NOW']}" token_condition "]},"                 \
        LET("'ttl':" TTL_OR("$$s.v.ttl_ms"),                                                                           \
        "{'k':'$$s.k','v':{'$mergeObjects':['$$s.v',{'expires_at':" LATER("$$s.v.expires_at", "'$$ttl'")               \
        ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}," FORGET_PROC "]}}") ",'$$s']}}}",                                                        \
    "{'$mergeObjects':['$$ROOT',{'shared':{'$arrayToObject':['$$all']},"                                               \
    "'expires_at':{'$max':{'$map':{'input':'$$all','as':'a','in':'$$a.v.expires_at'}}}}]}")

#define SWITCH(branches, otherwise) "[{'$replaceWith':" LET_STATE("{'$switch':{'branches':[" branches "],'default':" otherwise "}}") "}]"
#define UNREADABLE CASE("{'$not':['$$ok']}", "'$$ROOT'")

/* A lease id that was released never acquires again: what asks for it is a straggler. */
#define ENDED CASE("{'$eq':['$released.id','$$me']}", "'$$ROOT'")
#define ASK(mode, beat, claim)                                                                                         \
    "{'k':'$$me','v':{'mode':'" mode "','owner':'$$owner','host':'$$host','pid':'$$pid','proc':'$$proc','purpose':'$$purpose',"        \
    "'since':'$$NOW','beat':" beat ",'beat_at':'$$NOW','ttl_ms':'$$ttl','claim_ms':" claim "}}"
#define QUEUED_AS(entry)                                                                                               \
    "{'$cond':[{'$in':['$$me','$$wq.k']},'$$wq',{'$concatArrays':['$$wq',[" entry "]]}]}"
/* What I hold in the other mode stays as it is: a shared lease cannot be turned into an exclusive one (two would wait for each
 * other). */
#define ACQUIRE(mode, if_exclusive, if_shared) ACQUIRE_OR("", mode, if_exclusive, if_shared)
#define ACQUIRE_OR(more_cases, mode, if_exclusive, if_shared)                                                          \
    SWITCH(UNREADABLE "," CASE(MINE_EXCLUSIVE, if_exclusive) "," CASE(MINE_SHARED, if_shared) "," ENDED more_cases,    \
    LET("'wq':" QUEUED_AS(ASK(mode, ZERO, "'$$ttl'")) ",'base':" BASE_EXPIRED,                                         \
    LET_RUN("{'$cond':[{'$in':['$$me','$$run.k']}," GRANT_RUN ",'$$ROOT']}")))

/* The same, but who is not granted stays in the queue; and, as it writes anyway, it grants whoever is first. Who is queued
 * stays where he is: asking again is no beat, and mostly a no-op. */
#define WAIT(mode, if_exclusive, if_shared)                                                                            \
    SWITCH(UNREADABLE "," CASE(MINE_EXCLUSIVE, if_exclusive) "," CASE(MINE_SHARED, if_shared) "," ENDED ","             \
           CASE("{'$and':[{'$gte':[{'$size':'$$wq'},'$$max_waiters']},{'$not':[{'$in':['$$me','$$wq.k']}]}]}", "'$$ROOT'"),  \
    LET("'wq':" QUEUED_AS(ASK(mode, "'$$beat'", "'$$claim'")) ",'base':" BASE_EXPIRED, PROMOTE))

/* An owner goes on with what it holds alone, under a new lease id and a higher token; the queue stays as it is. */
#define GO_ON                                                                                                          \
    "{'$mergeObjects':['$$ROOT',{'id':'$$me','owner':'$$owner','host':'$$host','pid':'$$pid','proc':'$$proc','purpose':'$$purpose',"   \
    "'mode':'exclusive','expires_at':{'$add':['$$NOW','$$ttl']},'token':" NEXT_TOKEN ",'acquired_at':'$$NOW',"         \
    "'renewed_at':'$$NOW','ttl_ms':'$$ttl','beat':" ZERO ",'v':1,"                                                     \
    "'released':" RELEASED("'$id'", "transfer", "'$$owner'", "null") "}]}"
#define RESUME                                                                                                         \
    ACQUIRE_OR("," CASE("{'$and':['$$x',{'$not':['$$spent']},{'$eq':['$owner','$$owner']}]}", GO_ON), "exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'")

#define TOKEN_IS(token) "{'$in':['$$token',[" ZERO "," token "]]}"
#define RENEW                                                                                                          \
    SWITCH(UNREADABLE ","                                                                                              \
           CASE("{'$and':[" MINE_EXCLUSIVE "," TOKEN_IS("'$token'") "]}", EXTEND_EXCLUSIVE) ","                        \
           CASE(MINE_SHARED, EXTEND_SHARED("," TOKEN_IS("'$$s.v.token'"))), "'$$ROOT'")

/* Without me: as exclusive holder, as reader (the last reader's id stays behind as the one that was released), as waiter. */
#define WITHOUT_ME(array) "{'$filter':{'input':" array ",'as':'e','cond':{'$ne':['$$e.k','$$me']}}}"
/* At top level, where other programs look, stands the newest of those who stay; its id is no one's any more. */
#define OF_LAST(field) "'" field "':{'$ifNull':[{'$last':'$$sh.v." field "'},null]}"
#define SHOWN                                                                                                          \
    "{" OF_LAST("owner") "," OF_LAST("host") "," OF_LAST("pid") "," OF_LAST("purpose") "," OF_LAST("acquired_at") ","    \
    OF_LAST("renewed_at") "," OF_LAST("ttl_ms") "},"
/* Dead or alive: who leaves leaves no trace. */
#define IN_QUEUE                                                                                                       \
    "{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$objectToArray':'$waiters'}", "{'$in':['$$me','$$q.k']}") ",false]}"
/* The note stands in `released`, so that every other end of a holder takes it away: who gets one knows that nobody held the key alone
 * since it was left. Readers change nothing: what was left before them stays, unless they leave another. */
#define MY_TOKEN                                                                                                       \
    "{'$cond':[" MINE_EXCLUSIVE "," TOKEN_OR_0 ","                                                     \
    LET("'m':{'$first':{'$filter':{'input':" SHARED_ARRAY ",'as':'e','cond':{'$eq':['$$e.k','$$me']}}}}", "'$$m.v.token'") "]}"
#define NOTE_KEPT "{'$cond':['$$readers','$released.note','$$REMOVE']}"
#define NOTE_LEFT                                                                                                      \
    "{'$cond':[{'$ne':['$$note','']},{'text':'$$note','token':" MY_TOKEN ",'at':'$$NOW'}," NOTE_KEPT "]}"
#define LEFT_BY_ME(how, by, reason) RELEASED_MORE("'$$me'", how, by, reason, ",'note':'$$left'")
#define LEAVE_AS(exclusive, shared, in_queue, note, how, by, reason)                                                   \
    SWITCH(UNREADABLE,                                                                                                 \
    LET("'alone':" exclusive ",'shares':" shared ",'queued':" in_queue,                                                \
    LET("'mine':{'$or':['$$alone','$$shares']}",                                                                       \
    "{'$cond':[{'$not':[{'$or':['$$mine','$$queued']}]},'$$ROOT',"                                                     \
    LET("'left':" note ",'x':{'$and':['$$x',{'$not':['$$alone']}]},'sh':" WITHOUT_ME("'$$sh'") ",'wq':" WITHOUT_ME("'$$wq'"),  \
    LET("'base':{'$switch':{'branches':["                                                                              \
        CASE("{'$not':['$$mine']}", BASE_EXPIRED) ","                                                                  \
        CASE("{'$eq':['$$sh',[]]}", "{'$mergeObjects':['$$ROOT',{'id':'$$me','expires_at':{'$min':['$$end','$$NOW']},"  \
                                    "'released':" LEFT_BY_ME(how, by, reason) "}]}")                          \
        "],'default':{'$mergeObjects':['$$ROOT'," SHOWN "{'released':" LEFT_BY_ME(how, by, reason) "," \
        "'expires_at':{'$max':{'$map':{'input':'$$sh','as':'s','in':'$$s.v.expires_at'}}}}]}}}",                        \
    PROMOTE)) "]}")))
#define LEAVE LEAVE_AS(MINE_EXCLUSIVE, MINE_SHARED, IN_QUEUE, NOTE_LEFT, "release", "null", "null")

/* What a process left behind, by its own words in what it wrote. */
#define OF_DEAD(array)                                                                                                 \
    "{'$anyElementTrue':[{'$map':{'input':" array ",'as':'e','in':{'$and':[{'$eq':['$$e.k','$$me']},"                  \
    "{'$eq':['$$e.v.proc','$$dead']}]}}}]}"
#define REAP                                                                                                           \
    LEAVE_AS("{'$and':[" MINE_EXCLUSIVE ",{'$eq':['$proc','$$dead']}]}", OF_DEAD(SHARED_ARRAY),                        \
             OF_DEAD("{'$cond':[" IS_TYPE("$waiters", "object") ",{'$objectToArray':'$waiters'},[]]}"),               \
             NOTE_KEPT, "break", "'$$by'", "'$$reason'")

/* Only what was seen: the document, its id and its token. What cannot be read of the lease is replaced; its queue is kept
 * where it can be read. */
#define SEEN                                                                                                           \
    "{'$and':[{'$eq':['$_id','$$seen_doc_id']},{'$eq':[{'$ifNull':['$id',null]},'$$seen_id']},"                        \
    "{'$eq':[{'$ifNull':['$token',null]},'$$seen_token']}]}"
#define BREAK                                                                                                          \
    "[{'$replaceWith':" LET_STATE(                                                                                     \
    "{'$cond':[{'$not':[" SEEN "]},'$$ROOT',"                                                                          \
    LET("'x':false,'sh':[],'base':{'$mergeObjects':['$$ROOT',{'id':'$$me','expires_at':{'$min':['$$end','$$NOW']},"     \
        "'token':{'$cond':[{'$and':[" TOKEN_OK ",{'$not':['$$spent']}]},'$token'," ZERO "]},"                                                          \
        "'released':" RELEASED("'$$me'", "break", "'$$by'", "'$$reason'") "}]}",                                       \
    PROMOTE) "]}") "}]"

/* As a release, but to whom the holder says, past the queue: a new lease id with a full ttl. */
#define HANDED_ON(ttl)                                                                                                 \
    "'owner':'$$to_owner','host':null,'pid':null,'proc':null,'token':" NEXT_TOKEN ",'acquired_at':'$$NOW','renewed_at':'$$NOW'," \
    "'ttl_ms':" ttl ",'beat':" ZERO
#define HAND_ON_EXCLUSIVE                                                                                              \
    LET("'ttl':" TTL_OR("$ttl_ms"),                                                                                    \
    "{'$mergeObjects':['$$ROOT',{'id':'$$to','expires_at':" LATER("$$end", "'$$ttl'") "," HANDED_ON("'$$ttl'")         \
    ",'released':" RELEASED("'$$me'", "transfer", "null", "null") "}]}")
#define HAND_ON_SHARED                                                                                                 \
    LET("'m':{'$first':{'$filter':{'input':'$$sh','as':'e','cond':{'$eq':['$$e.k','$$me']}}}}",                        \
    LET("'ttl':" TTL_OR("$$m.v.ttl_ms"),                                                                               \
    LET("'n':{'$mergeObjects':['$$m.v',{'expires_at':" LATER("$$m.v.expires_at", "'$$ttl'") "," HANDED_ON("'$$ttl'") "}]}",  \
    LET("'all':{'$concatArrays':[" WITHOUT_ME("'$$sh'") ",[{'k':'$$to','v':'$$n'}]]}",                                 \
    "{'$mergeObjects':['$$ROOT',{'shared':{'$arrayToObject':['$$all']},'id':{'$concat':['shared:','$$to']},"           \
    "'token':'$$n.token','owner':'$$to_owner','expires_at':{'$max':{'$map':{'input':'$$all','as':'a','in':'$$a.v.expires_at'}}},"  \
    "'released':" RELEASED("'$$me'", "transfer", "null", "null") "}]}"))))
#define TRANSFER                                                                                                       \
    SWITCH(UNREADABLE "," CASE("'$$spent'", "'$$ROOT'") ","                                                            \
           CASE("{'$and':[" MINE_EXCLUSIVE ",{'$gt':['$$end','$$NOW']}]}", HAND_ON_EXCLUSIVE) ","                      \
           CASE("{'$anyElementTrue':[{'$map':{'input':'$$sh','as':'s','in':{'$and':[{'$eq':['$$s.k','$$me']},"         \
                "{'$gt':['$$s.v.expires_at','$$NOW']}]}}}]}", HAND_ON_SHARED),                                         \
    "'$$ROOT'")

#define SETTLE                                                                                                         \
    SWITCH(UNREADABLE, LET("'base':" BASE_EXPIRED, PROMOTE))
// clang-format on

const char *const lh_texts_whole[LH_DO_COUNT] = {
    [LH_DO_ACQUIRE_EXCLUSIVE] = ACQUIRE("exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'"),
    [LH_DO_ACQUIRE_SHARED] = ACQUIRE("shared", "'$$ROOT'", EXTEND_SHARED("")),
    [LH_DO_RESUME] = RESUME,
    [LH_DO_WAIT_EXCLUSIVE] = WAIT("exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'"),
    [LH_DO_WAIT_SHARED] = WAIT("shared", "'$$ROOT'", EXTEND_SHARED("")),
    [LH_DO_RENEW] = RENEW,
    [LH_DO_LEAVE] = LEAVE,
    [LH_DO_TRANSFER] = TRANSFER,
    [LH_DO_BREAK] = BREAK,
    [LH_DO_REAP] = REAP,
    [LH_DO_SETTLE] = SETTLE,
};
