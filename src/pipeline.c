/* SPDX-License-Identifier: Apache-2.0
 * The protocol: what each command makes of a key's document, decided by the server, with the server's clock.
 *
 * Home of invariants 1 (who may be granted), 2 (tokens), 4 (renewals) and 8 (strings are data).
 *
 * The texts are JSON with ' for ", so that they can be read; C joins the pieces. How to read them: LET_STATE binds what the
 * document says now:
 *
 *   ok       it can be read; otherwise nothing is touched (but by a break)
 *   end      when the top-level holder ends; NEVER where there is no end
 *   freed    id = released.id: released, or never granted
 *   readers  it is held by shared holders: their map counts, else only the top level does, where old programs write
 *   x        an exclusive holder is there, and not past its end + grace (or the document cannot be read)
 *   sh, wq   the shared holders and the waiters that are alive, as arrays of {k, v}, in order
 *
 * and PROMOTE makes from (base, x, sh, wq) the document in which the head of the queue, or its head run of readers, is
 * granted if that may be. An acquire puts itself at the end of the queue first; if it is not in the run, and does not
 * wait, the document stays untouched: a no-op costs a tenth of a write, and `busy` needs nothing else. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

// clang-format off
#define NEVER "{'$date':{'$numberLong':'253402300799999'}}"
#define CUT "{'$subtract':['$$NOW','$$grace']}"
#define ZERO "{'$numberLong':'0'}"

#define IS_TYPE(field, type) "{'$eq':[{'$type':'" field "'},'" type "']}"
#define IS_ONE_OF(field, types) "{'$in':[{'$type':'" field "'},[" types "]]}"
#define IS_NUMBER_IN(field, min, max)                                                                                  \
    "{'$and':[" IS_ONE_OF(field, "'int','long','double'") ",{'$gte':['" field "'," min "]},{'$lte':['" field "'," max "]}]}"

/* ISO-8601: a date, or a date and time with a fraction, with Z, an offset, or nothing (UTC). doc_instant.c reads the same.
 * (\\z: a $ would let a line feed pass.) */
#define ISO                                                                                                            \
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"                                   \
    "( ?([Zz]|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?))?)?\\\\z"

/* `expires_at` as a date: NEVER for none, null for what cannot be read. A string is parsed first: $regexMatch fails on what is
 * not UTF-8, and that does not parse. */
#define END                                                                                                            \
    "{'$switch':{'branches':["                                                                                         \
    "{'case':" IS_TYPE("$expires_at", "date") ",'then':'$expires_at'},"                                                \
    "{'case':" IS_ONE_OF("$expires_at", "'missing','null'") ",'then':" NEVER "},"                                      \
    "{'case':" IS_TYPE("$expires_at", "string") ",'then':{'$let':{'vars':{'parsed':"                                   \
        "{'$dateFromString':{'dateString':'$expires_at','onError':null}}},'in':{'$cond':[{'$eq':['$$parsed',null]},null,"  \
        "{'$cond':[{'$regexMatch':{'input':'$expires_at','regex':'" ISO "'}},'$$parsed',null]}]}}}},"                  \
    "{'case':{'$and':[{'$isNumber':'$expires_at'},{'$gte':['$expires_at',0]},"                                         \
        "{'$lte':['$expires_at',{'$numberLong':'253402300799999'}]}]},"                                                \
        "'then':{'$toDate':{'$toLong':{'$trunc':{'$cond':[{'$lt':['$expires_at',{'$numberLong':'100000000000'}]},"     \
        "{'$multiply':['$expires_at',1000]},'$expires_at']}}}}}"                                                       \
    "],'default':null}}"

#define ALL_OF(map, as, conditions)                                                                                    \
    "{'$cond':[" IS_TYPE(map, "missing") ",true,{'$cond':[" IS_TYPE(map, "object") ",{'$allElementsTrue':[{'$map':{"   \
    "'input':{'$objectToArray':'" map "'},'as':'" as "','in':{'$and':[" conditions "]}}}]},false]}]}"
#define SHARED_OK                                                                                                      \
    ALL_OF("$shared", "s",                                                                                             \
           IS_TYPE("$$s.v.expires_at", "date") "," IS_NUMBER_IN("$$s.v.token", "0", "{'$numberLong':'4611686018427387903'}"))
#define WAITERS_OK                                                                                                     \
    ALL_OF("$waiters", "w",                                                                                            \
           IS_TYPE("$$w.v.beat_at", "date") ",{'$in':['$$w.v.mode',['exclusive','shared']]},"                          \
           IS_NUMBER_IN("$$w.v.beat", "0", "{'$numberLong':'4611686018427387903'}") ","                                \
           IS_NUMBER_IN("$$w.v.claim_ms", "1", "604800000") "," IS_NUMBER_IN("$$w.v.ttl_ms", "1", "604800000"))
#define TOKEN_OK                                                                                                       \
    "{'$or':[" IS_ONE_OF("$token", "'missing','null'") ",{'$and':[" IS_ONE_OF("$token", "'int','long','double'") ","            \
    "{'$gte':['$token',0]},{'$lte':['$token',{'$numberLong':'4611686018427387903'}]}]}]}"
#define OK                                                                                                             \
    "{'$and':[{'$ne':['$$end0',null]}," IS_TYPE("$workspace_id", "string") "," TOKEN_OK "," SHARED_OK "," WAITERS_OK "]}"

/* Released, and not extended since by an old program that still thinks that it holds it: its id may be the one that we marked
 * as ended. `end` is a date. */
#define FREED(end)                                                                                                     \
    "{'$and':[" IS_TYPE("$id", "string") ",{'$eq':['$id','$released.id']},{'$lte':['" end "','$released.at']}]}"
/* Comparisons of BSON never fail: only a string is between these two. */
#define READERS "{'$and':[" IS_TYPE("$shared", "object") ",{'$gte':['$id','shared:']},{'$lt':['$id','shared;']}]}"
#define FRESH IS_TYPE("$_id", "missing")
#define ALIVE_SHARED                                                                                                   \
    "{'$cond':[{'$and':['$$ok'," READERS "]},{'$filter':{'input':{'$objectToArray':'$shared'},'as':'s',"               \
    "'cond':{'$gt':['$$s.v.expires_at'," CUT "]}}},[]]}"
#define ALIVE_WAITERS                                                                                                  \
    "{'$cond':[{'$and':['$$ok'," IS_TYPE("$waiters", "object") "]},{'$filter':{'input':{'$objectToArray':'$waiters'}," \
    "'as':'w','cond':{'$and':[{'$gt':['$$w.v.beat_at',{'$subtract':['$$NOW','$$w.v.claim_ms']}]},"                           \
    "{'$lte':['$$w.v.beat_at',{'$add':['$$NOW',3600000]}]}]}}},[]]}"

#define LET(vars, in) "{'$let':{'vars':{" vars "},'in':" in "}}"
#define LET_STATE(in)                                                                                                  \
    LET("'end0':" END,                                                                                                 \
    LET("'ok':" OK ",'end':{'$ifNull':['$$end0'," NEVER "]},'freed':" FREED("$$end0") ",'readers':" READERS,                     \
    LET("'x':{'$or':[{'$not':['$$ok']},{'$and':[{'$not':[" FRESH "]},{'$not':['$$freed']},{'$not':['$$readers']},"     \
            "{'$gt':['$$end'," CUT "]}]}]},"                                                                           \
        "'sh':" ALIVE_SHARED ",'wq':" ALIVE_WAITERS,                                                                   \
    in)))

/* The next token: it never goes back, even where the document, and the tokens in it, were deleted. */
#define NEXT_TOKEN "{'$toLong':{'$max':[{'$add':[{'$ifNull':['$token'," ZERO "]},1]},'$$clock']}}"

/* Who held it, in words: older code wrote user_id. (Converting a date that is out of range fails in spite of onError.) */
#define OLD_OWNER                                                                                                      \
    "{'$let':{'vars':{'who':{'$ifNull':['$owner','$user_id']}},'in':{'$cond':[" IS_ONE_OF("$$who", "'string','objectId'")  \
    ",{'$toString':'$$who'},null]}}}"
#define RELEASED(id, how, by, reason)                                                                                  \
    "{'id':" id ",'owner':" OLD_OWNER ",'how':'" how "','by':" by ",'reason':" reason ",'at':'$$NOW'}"

/* The document after the dead are forgotten. */
#define EXPIRED                                                                                                        \
    "{'$and':[{'$not':[" FRESH "]},{'$not':['$$x']},{'$not':['$$freed']},{'$eq':['$$sh',[]]}]}"
#define BASE_EXPIRED                                                                                                   \
    "{'$cond':[" EXPIRED ",{'$mergeObjects':['$$ROOT',{'released':" RELEASED("'$id'", "expire", "null", "null") "}]},'$$ROOT']}"

/* Sets or removes the two maps. */
#define WITH_MAP(field, doc, array)                                                                                    \
    "{'$setField':{'field':'" field "','input':" doc ",'value':{'$cond':[{'$eq':[" array ",[]]},'$$REMOVE',"           \
    "{'$arrayToObject':[" array "]}]}}}"
#define WITH_MAPS(doc, shared, waiters) WITH_MAP("waiters", WITH_MAP("shared", doc, shared), waiters)

/* Until when a waiter `w` is granted. By its own command: its full ttl from now. By somebody else's: from its last beat, or
 * now, for as long as it surely still believes that beat (the lesser of ttl and claim). */
#define UNTIL(w)                                                                                                       \
    "{'$cond':[{'$eq':['" w ".k','$$me']},{'$add':['$$NOW','" w ".v.ttl_ms']},"                                        \
    "{'$add':[{'$min':[{'$max':['$$NOW','" w ".v.beat_at']},{'$add':['$$NOW',3600000]}]},"                             \
    "{'$min':['" w ".v.ttl_ms','" w ".v.claim_ms']}]}]}"
#define HOLDER(w)                                                                                                      \
    "'owner':'" w ".v.owner','host':{'$ifNull':['" w ".v.host',null]},'pid':{'$ifNull':['" w ".v.pid',null]},'purpose':{'$ifNull':['" w ".v.purpose',null]},'acquired_at':'$$NOW',"  \
    "'renewed_at':'$$NOW','ttl_ms':'" w ".v.ttl_ms','beat':'" w ".v.beat'"
#define KEEP_ID "'_id':{'$ifNull':['$_id','$$key']}"

/* The waiters to grant: the head when it is exclusive and nobody holds; the leading readers when no writer holds. */
#define RUN                                                                                                            \
    "{'$cond':[{'$or':['$$x',{'$eq':['$$wq',[]]}]},[],"                                                                \
    LET("'modes':{'$map':{'input':'$$wq','as':'w','in':'$$w.v.mode'}}",                                                \
    LET("'writer':{'$indexOfArray':['$$modes','exclusive']}",                                                          \
    "{'$cond':[{'$eq':['$$writer',0]},{'$cond':[{'$eq':['$$sh',[]]},{'$slice':['$$wq',1]},[]]},"                       \
    LET("'take':{'$min':[{'$cond':[{'$lt':['$$writer',0]},{'$size':'$$wq'},'$$writer']},"                              \
        "{'$subtract':['$$max_shared',{'$size':'$$sh'}]}]}",                                                           \
    "{'$cond':[{'$gt':['$$take',0]},{'$slice':['$$wq','$$take']},[]]}") "]}")) "]}"

/* Whom a grant wakes, and by which beat: both in one string, because a change event tells only what changed, and the beat
 * may be the number that the last holder's was. */
#define WAKE(w) "{'$concat':['" w ".k',':',{'$toString':{'$toLong':'" w ".v.beat'}}]}"

#define GRANT_WRITER                                                                                                   \
    LET("'w':{'$first':'$$run'}",                                                                                      \
    WITH_MAPS("{'$mergeObjects':['$$base',{" KEEP_ID ",'id':'$$w.k','expires_at':" UNTIL("$$w") ",'mode':'exclusive',"  \
              "'token':" NEXT_TOKEN "," HOLDER("$$w") ",'v':1},"                                                        \
              "{'$cond':[{'$eq':['$$w.k','$$me']},{},{'wake':" WAKE("$$w") "}]}]}", "[]", "'$$rest'"))

#define NEW_READERS                                                                                                    \
    "{'$map':{'input':{'$range':[0,{'$size':'$$run'}]},'as':'i','in':"                                                 \
    LET("'w':{'$arrayElemAt':['$$run','$$i']}",                                                                        \
    "{'k':'$$w.k','v':{" HOLDER("$$w") ",'token':{'$add':[" NEXT_TOKEN ",'$$i']},'expires_at':" UNTIL("$$w") "}}") "}}"
#define WOKEN                                                                                                          \
    "{'$reduce':{'input':'$$run','initialValue':'','in':{'$cond':[{'$eq':['$$this.k','$$me']},'$$value',"              \
    "{'$concat':['$$value',{'$cond':[{'$eq':['$$value','']},'',' ']}," WAKE("$$this") "]}]}}}"
#define GRANT_READERS                                                                                                  \
    LET("'all':{'$concatArrays':['$$sh'," NEW_READERS "]},'woken':" WOKEN,                                             \
    LET("'w':{'$last':'$$all'}",                                                                                       \
    WITH_MAPS("{'$mergeObjects':['$$base',{" KEEP_ID ",'id':{'$concat':['shared:','$$w.k']},"                          \
              "'expires_at':{'$max':{'$map':{'input':'$$all','as':'a','in':'$$a.v.expires_at'}}},'mode':'shared',"      \
              "'token':'$$w.v.token'," HOLDER("$$w") ",'v':1},"                                                         \
              "{'$cond':[{'$eq':['$$woken','']},{},{'wake':'$$woken'}]}]}", "'$$all'", "'$$rest'")))

/* From $$base, $$x, $$sh, $$wq: $$run, and the document after it is granted. */
#define LET_RUN(in) LET("'run':" RUN, in)
#define GRANT_RUN                                                                                                      \
    LET("'rest':{'$slice':['$$wq',{'$size':'$$run'},20000]}",                                                          \
    "{'$cond':[{'$eq':[{'$first':'$$run.v.mode'},'exclusive']}," GRANT_WRITER "," GRANT_READERS "]}")
#define PROMOTE                                                                                                        \
    LET_RUN("{'$cond':[{'$eq':['$$run',[]]}," WITH_MAPS("'$$base'", "'$$sh'", "'$$wq'") "," GRANT_RUN "]}")

#define MINE_EXCLUSIVE "{'$and':[{'$eq':['$id','$$me']},{'$not':['$$freed']},{'$not':['$$readers']}]}"
#define SHARED_ARRAY "{'$cond':['$$readers',{'$objectToArray':'$shared'},[]]}"
#define MINE_SHARED "{'$in':['$$me'," LET("'all':" SHARED_ARRAY, "'$$all.k'") "]}"

/* Extends what is mine, if it has not ended; the holder keeps its token. */
#define LATER(at, ttl) "{'$max':['" at "',{'$add':['$$NOW'," ttl "]}]}"
#define TTL_OR(own)                                                                                                    \
    "{'$cond':[{'$gt':['$$ttl',0]},'$$ttl',{'$cond':[" IS_NUMBER_IN(own, "1", "604800000") ",'" own "',{'$numberLong':'30000'}]}]}"
#define EXTEND_EXCLUSIVE                                                                                               \
    "{'$cond':[{'$gt':['$$end','$$NOW']}," LET("'ttl':" TTL_OR("$ttl_ms"),                                             \
    "{'$mergeObjects':['$$ROOT',{'expires_at':" LATER("$$end", "'$$ttl'")                                              \
    ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}]}") ",'$$ROOT']}"
#define EXTEND_SHARED(token_condition)                                                                                 \
    LET("'all':{'$map':{'input':{'$objectToArray':'$shared'},'as':'s','in':{'$cond':["                                 \
        "{'$and':[{'$eq':['$$s.k','$$me']},{'$gt':['$$s.v.expires_at','$$NOW']}" token_condition "]},"                 \
        LET("'ttl':" TTL_OR("$$s.v.ttl_ms"),                                                                           \
        "{'k':'$$s.k','v':{'$mergeObjects':['$$s.v',{'expires_at':" LATER("$$s.v.expires_at", "'$$ttl'")               \
        ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}]}}") ",'$$s']}}}",                                                        \
    "{'$mergeObjects':['$$ROOT',{'shared':{'$arrayToObject':['$$all']},"                                               \
    "'expires_at':{'$max':{'$map':{'input':'$$all','as':'a','in':'$$a.v.expires_at'}}}}]}")

#define SWITCH(branches, otherwise) "[{'$replaceWith':" LET_STATE("{'$switch':{'branches':[" branches "],'default':" otherwise "}}") "}]"
#define CASE(condition, then) "{'case':" condition ",'then':" then "}"
#define UNREADABLE CASE("{'$not':['$$ok']}", "'$$ROOT'")

/* A lease id that was released never acquires again: what asks for it is a straggler. */
#define ENDED CASE("{'$eq':['$released.id','$$me']}", "'$$ROOT'")
#define ASK(mode, beat, claim)                                                                                         \
    "{'k':'$$me','v':{'mode':'" mode "','owner':'$$owner','host':'$$host','pid':'$$pid','purpose':'$$purpose',"        \
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
    "{'$mergeObjects':['$$ROOT',{'id':'$$me','owner':'$$owner','host':'$$host','pid':'$$pid','purpose':'$$purpose',"   \
    "'mode':'exclusive','expires_at':{'$add':['$$NOW','$$ttl']},'token':" NEXT_TOKEN ",'acquired_at':'$$NOW',"         \
    "'renewed_at':'$$NOW','ttl_ms':'$$ttl','beat':" ZERO ",'v':1,"                                                     \
    "'released':" RELEASED("'$id'", "transfer", "'$$owner'", "null") "}]}"
#define RESUME                                                                                                         \
    ACQUIRE_OR("," CASE("{'$and':['$$x',{'$eq':['$owner','$$owner']}]}", GO_ON), "exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'")

#define TOKEN_IS(token) "{'$in':['$$token',[" ZERO "," token "]]}"
#define RENEW                                                                                                          \
    SWITCH(UNREADABLE ","                                                                                              \
           CASE("{'$and':[" MINE_EXCLUSIVE "," TOKEN_IS("'$token'") "]}", EXTEND_EXCLUSIVE) ","                        \
           CASE(MINE_SHARED, EXTEND_SHARED("," TOKEN_IS("'$$s.v.token'"))), "'$$ROOT'")

/* Without me: as exclusive holder, as reader (the last reader's id stays behind as the one that was released), as waiter. */
#define WITHOUT_ME(array) "{'$filter':{'input':" array ",'as':'e','cond':{'$ne':['$$e.k','$$me']}}}"
/* Dead or alive: who leaves leaves no trace. */
#define IN_QUEUE                                                                                                       \
    "{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$objectToArray':'$waiters'}", "{'$in':['$$me','$$q.k']}") ",false]}"
#define LEAVE                                                                                                          \
    SWITCH(UNREADABLE,                                                                                                 \
    LET("'mine':{'$or':[" MINE_EXCLUSIVE "," MINE_SHARED "]},'alone':" MINE_EXCLUSIVE ",'queued':" IN_QUEUE, \
    "{'$cond':[{'$not':[{'$or':['$$mine','$$queued']}]},'$$ROOT',"                                                     \
    LET("'x':{'$and':['$$x',{'$not':['$$alone']}]},'sh':" WITHOUT_ME("'$$sh'") ",'wq':" WITHOUT_ME("'$$wq'"),          \
    LET("'base':{'$switch':{'branches':["                                                                              \
        CASE("{'$not':['$$mine']}", BASE_EXPIRED) ","                                                                  \
        CASE("{'$eq':['$$sh',[]]}", "{'$mergeObjects':['$$ROOT',{'id':'$$me','expires_at':{'$min':['$$end','$$NOW']},"  \
                                    "'released':" RELEASED("'$$me'", "release", "null", "null") "}]}")                \
        "],'default':{'$mergeObjects':['$$ROOT',{'released':" RELEASED("'$$me'", "release", "null", "null") ","        \
        "'expires_at':{'$max':{'$map':{'input':'$$sh','as':'s','in':'$$s.v.expires_at'}}}}]}}}",                        \
    PROMOTE)) "]}"))

/* Only what was seen: the document, its id and its token. What cannot be read of the lease is replaced; its queue is kept
 * where it can be read. */
#define SEEN                                                                                                           \
    "{'$and':[{'$eq':['$_id','$$seen_doc_id']},{'$eq':[{'$ifNull':['$id',null]},'$$seen_id']},"                        \
    "{'$eq':[{'$ifNull':['$token',null]},'$$seen_token']}]}"
#define BREAK                                                                                                          \
    "[{'$replaceWith':" LET_STATE(                                                                                     \
    "{'$cond':[{'$not':[" SEEN "]},'$$ROOT',"                                                                          \
    LET("'x':false,'sh':[],'base':{'$mergeObjects':['$$ROOT',{'id':'$$me','expires_at':{'$min':['$$end','$$NOW']},"     \
        "'token':{'$cond':[" TOKEN_OK ",'$token'," ZERO "]},"                                                          \
        "'released':" RELEASED("'$$me'", "break", "'$$by'", "'$$reason'") "}]}",                                       \
    PROMOTE) "]}") "}]"

/* As a release, but to whom the holder says, past the queue: a new lease id with a full ttl. */
#define HANDED_ON(ttl)                                                                                                 \
    "'owner':'$$to_owner','host':null,'pid':null,'token':" NEXT_TOKEN ",'acquired_at':'$$NOW','renewed_at':'$$NOW'," \
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
    SWITCH(UNREADABLE ","                                                                                              \
           CASE("{'$and':[" MINE_EXCLUSIVE ",{'$gt':['$$end','$$NOW']}]}", HAND_ON_EXCLUSIVE) ","                      \
           CASE("{'$anyElementTrue':[{'$map':{'input':'$$sh','as':'s','in':{'$and':[{'$eq':['$$s.k','$$me']},"         \
                "{'$gt':['$$s.v.expires_at','$$NOW']}]}}}]}", HAND_ON_SHARED),                                         \
    "'$$ROOT'")

/* Somebody alive holds it, so that a path above or below it may not be held too. */
#define SHUTS_OUT(holders) "{'$expr':" LET_STATE(holders) "}"

#define SETTLE                                                                                                         \
    SWITCH(UNREADABLE, LET("'base':" BASE_EXPIRED, PROMOTE))

/* Cleanup. A document goes when nobody is alive in it and its end, or release, was long ago; and the next one,
 * from the clock, is surely higher than its token ($$behind: let_clock). */
#define REMOVABLE                                                                                                      \
    LET_STATE("{'$and':['$$ok',{'$not':['$$x']},{'$eq':['$$sh',[]]},{'$eq':['$$wq',[]]},"                              \
              "{'$lte':['$$end',{'$subtract':['$$NOW','$$ttl']}]},"                                                    \
              "{'$lte':[{'$ifNull':['$token'," ZERO "]},'$$behind']}]}")
/* How many dead are still in it: the exclusive holder that nobody marked as ended, and the entries of the maps. */
#define COUNT_OF(map) "{'$cond':[" IS_TYPE(map, "object") ",{'$size':{'$objectToArray':'" map "'}},0]}"
#define DEAD_HOLDERS                                                                                                   \
    LET_STATE("{'$switch':{'branches':["                                                                               \
              CASE("{'$not':['$$ok']}", "0") ","                                                                       \
              CASE("'$$readers'", "{'$subtract':[" COUNT_OF("$shared") ",{'$size':'$$sh'}]}")                          \
              "],'default':{'$cond':[{'$and':[" IS_TYPE("$id", "string") ",{'$not':['$$freed']},{'$not':['$$x']}]},1,0]}}}")
#define DEAD_WAITERS                                                                                                   \
    LET_STATE("{'$cond':['$$ok',{'$subtract':[" COUNT_OF("$waiters") ",{'$size':'$$wq'}]},0]}")

/* What the replies carry: only what is read. `mine` is the holder's own part. */
#define FIELDS_HOLDER                                                                                                  \
    "'_id':1,'workspace_id':1,'id':1,'expires_at':1,'token':1,'released':1,'owner':1,'user_id':1,'host':1,'pid':1,"    \
    "'purpose':1,'mode':1,'acquired_at':1,'renewed_at':1,'ttl_ms':1,'now':'$$NOW'"
#define FIELDS_MINE                                                                                                    \
    "'shared':{'$cond':[" IS_TYPE("$shared", "object") ",{'$arrayToObject':[{'$filter':{'input':{'$objectToArray':"    \
    "'$shared'},'as':'s','cond':{'$eq':['$$s.k','$$me']}}}]},'$$REMOVE']},'holders':" COUNT_OF("$shared")              \
    ",'waiting':" COUNT_OF("$waiters") ",'maps_ok':{'$and':[" SHARED_OK "," WAITERS_OK "]}"

/* What a command that may grant others, or queue me, tells more: my place, and whom it granted (acquired_at is its own now). */
#define FIELDS_QUEUE                                                                                                   \
    "'place':{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$objectToArray':'$waiters'}",                    \
        "{'$indexOfArray':['$$q.k','$$me']}") ",-1]},"                                                                 \
    "'granted':{'$switch':{'branches':["                                                                               \
        CASE("{'$ne':['$acquired_at','$$NOW']}", "'$$REMOVE'") ","                                                     \
        CASE("{'$not':[" READERS "]}", "[" GRANT_OF_TOP "]")                                                           \
    "],'default':{'$filter':{'input':{'$objectToArray':'$shared'},'as':'s','cond':{'$eq':['$$s.v.acquired_at','$$NOW']}}}}}"
#define GRANT_OF_TOP "{'k':'$id','v':{'beat':'$beat','token':'$token','expires_at':'$expires_at'}}"

/* For polling: of the ids that are asked for, which hold; and who is first in the queue. */
#define FIELDS_POLL                                                                                                    \
    "'_id':0,'workspace_id':1,'now':'$$NOW','end':'$expires_at','granted':{'$cond':[" READERS ",{'$filter':{'input':{'$objectToArray':'$shared'},'as':'s',"  \
    "'cond':{'$in':['$$s.k','$$ids']}}},{'$cond':[{'$and':[{'$in':['$id','$$ids']},{'$ne':['$id','$released.id']}]},["  \
    GRANT_OF_TOP "],[]]}]},"                                                                                           \
    "'queued':{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$objectToArray':'$waiters'}",                   \
        "{'$filter':{'input':'$$q.k','as':'k','cond':{'$in':['$$k','$$ids']}}}") ",[]]},"                              \
    "'first':{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$first':{'$objectToArray':'$waiters'}}", "'$$q.k'") ",null]}"

/* ---- The short forms ----
 *
 * Nearly every command meets a document that is simple: a date for an end, no readers, nobody waiting. What a server spends on
 * our commands is mostly the parsing of their expressions (measured: 0.7 ms for the whole acquire, 0.1 ms for this one), so
 * these decide the simple documents and leave all others untouched; lease.c then asks with the whole form. They may refuse
 * what the whole form grants, never the other way round: a test holds them together. (But a renewal does not look at the maps:
 * a holder keeps its lease where somebody spoilt its queue.) */
#define NONE(field) IS_TYPE(field, "missing")
#define SHORT_ACQUIRE                                                                                                  \
    "[{'$replaceWith':{'$cond':[{'$or':[" FRESH ",{'$and':[{'$eq':['$workspace_id','$$key']}," NONE("$shared") "," NONE("$waiters") "," TOKEN_OK ","       \
    IS_TYPE("$expires_at", "date") ",{'$ne':['$id','$$me']},{'$ne':['$released.id','$$me']},"                          \
    "{'$or':[{'$lte':['$expires_at'," CUT "]}," FREED("$expires_at") "]}]}]},"                                                         \
    "{'$mergeObjects':['$$ROOT','$$mine',{" KEEP_ID ",'expires_at':{'$add':['$$NOW','$$ttl']},'acquired_at':'$$NOW',"   \
    "'renewed_at':'$$NOW','token':" NEXT_TOKEN ",'released':{'$cond':[{'$or':[" FRESH "," FREED("$expires_at") "]},'$released',"        \
    RELEASED("'$id'", "expire", "null", "null") "]}}]},'$$ROOT']}}]"
#define SHORT_RENEW                                                                                                    \
    "[{'$replaceWith':{'$cond':[{'$and':[{'$eq':['$id','$$me']},{'$ne':['$released.id','$$me']},"                      \
    "{'$in':['$$token',[" ZERO ",'$token']]}," TOKEN_OK ",{'$gt':['$expires_at','$$NOW']}," IS_TYPE("$expires_at", "date") "]},"     \
    LET("'ttl':" TTL_OR("$ttl_ms"),                                                                                    \
    "{'$mergeObjects':['$$ROOT',{'expires_at':" LATER("$expires_at", "'$$ttl'") ",'renewed_at':'$$NOW','ttl_ms':'$$ttl'}]}")  \
    ",'$$ROOT']}}]"
#define SHORT_LEAVE                                                                                                    \
    "[{'$replaceWith':{'$cond':[{'$and':[{'$eq':['$id','$$me']},{'$ne':['$released.id','$$me']}," NONE("$shared") ","   \
    NONE("$waiters") "," TOKEN_OK "," IS_TYPE("$expires_at", "date") "]},"                                             \
    "{'$mergeObjects':['$$ROOT',{'expires_at':{'$min':['$expires_at','$$NOW']},"                                       \
    "'released':{'id':'$$me','owner':" OLD_OWNER ",'how':'release','by':null,'reason':null,'at':'$$NOW'}}]},'$$ROOT']}}]"

static const char *const texts[LH_DO_COUNT] = {
    [LH_DO_ACQUIRE_EXCLUSIVE] = ACQUIRE("exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'"),
    [LH_DO_ACQUIRE_SHARED] = ACQUIRE("shared", "'$$ROOT'", EXTEND_SHARED("")),
    [LH_DO_RESUME] = RESUME,
    [LH_DO_WAIT_EXCLUSIVE] = WAIT("exclusive", EXTEND_EXCLUSIVE, "'$$ROOT'"),
    [LH_DO_WAIT_SHARED] = WAIT("shared", "'$$ROOT'", EXTEND_SHARED("")),
    [LH_DO_RENEW] = RENEW,
    [LH_DO_LEAVE] = LEAVE,
    [LH_DO_TRANSFER] = TRANSFER,
    [LH_DO_BREAK] = BREAK,
    [LH_DO_SETTLE] = SETTLE,
};

static const char *const short_texts[LH_DO_COUNT] = {
    [LH_DO_ACQUIRE_EXCLUSIVE] = SHORT_ACQUIRE,
    [LH_DO_RENEW] = SHORT_RENEW,
    [LH_DO_LEAVE] = SHORT_LEAVE,
};

/* Renewing and releasing need little; who else holds it, the whole form says. Each field costs the server time. */
#define FIELDS_OWN "'id':1,'expires_at':1,'token':1,'released.id':1,'released.how':1,'renewed_at':1,'ttl_ms':1,'now':'$$NOW'"
static const char own_fields_text[] = "{" FIELDS_OWN "}";
static const char short_fields_text[] = "{" FIELDS_HOLDER "}";
static const char fields_text[] = "{" FIELDS_HOLDER "," FIELDS_MINE "}";
static const char queue_fields_text[] = "{" FIELDS_HOLDER "," FIELDS_MINE "," FIELDS_QUEUE "}";
static const char poll_fields_text[] = "{" FIELDS_POLL "}";
static const char removable_text[] = "{'$expr':" REMOVABLE "}";
static const char shuts_out_text[] = SHUTS_OUT("{'$or':['$$x',{'$ne':['$$sh',[]]}]}");
static const char shuts_out_shared_text[] = SHUTS_OUT("'$$x'");
static const char judge_text[] =
    "{'_id':1,'removable':" REMOVABLE ",'dead_holders':" DEAD_HOLDERS ",'dead_waiters':" DEAD_WAITERS "}";

struct lh_pipelines {
    bson_t *updates[LH_DO_COUNT]; /* arrays */
    bson_t *shorts[LH_DO_COUNT];  /* NULL: there is none */
    bson_t *own_fields, *short_fields, *fields, *queue_fields, *poll_fields, *removable, *judge, *shuts_out, *shuts_out_shared;
};

static bson_t *parse(const char *text)
{
    char *json = strdup(text);
    if (!json)
        return NULL;
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    bson_error_t error;
    bson_t *parsed = bson_new_from_json((const uint8_t *)json, -1, &error);
    free(json);
    return parsed; /* that every text is JSON, a unit test shows */
}

void lh_pipelines_free(lh_pipelines *pipelines)
{
    if (!pipelines)
        return;
    for (int i = 0; i < LH_DO_COUNT; i++)
        bson_destroy(pipelines->updates[i]);
    for (int i = 0; i < LH_DO_COUNT; i++)
        bson_destroy(pipelines->shorts[i]);
    bson_destroy(pipelines->own_fields);
    bson_destroy(pipelines->short_fields);
    bson_destroy(pipelines->fields);
    bson_destroy(pipelines->queue_fields);
    bson_destroy(pipelines->poll_fields);
    bson_destroy(pipelines->removable);
    bson_destroy(pipelines->judge);
    bson_destroy(pipelines->shuts_out);
    bson_destroy(pipelines->shuts_out_shared);
    free(pipelines);
}

lh_pipelines *lh_pipelines_new(void)
{
    lh_pipelines *pipelines = calloc(1, sizeof *pipelines);
    bool good = pipelines != NULL;
    for (int i = 0; good && i < LH_DO_COUNT; i++)
        good = (pipelines->updates[i] = parse(texts[i])) != NULL;
    for (int i = 0; good && i < LH_DO_COUNT; i++)
        good = !short_texts[i] || (pipelines->shorts[i] = parse(short_texts[i])) != NULL;
    good = good && (pipelines->own_fields = parse(own_fields_text)) != NULL;
    good = good && (pipelines->short_fields = parse(short_fields_text)) != NULL;
    good = good && (pipelines->fields = parse(fields_text)) != NULL;
    good = good && (pipelines->queue_fields = parse(queue_fields_text)) != NULL;
    good = good && (pipelines->poll_fields = parse(poll_fields_text)) != NULL;
    good = good && (pipelines->removable = parse(removable_text)) != NULL;
    good = good && (pipelines->judge = parse(judge_text)) != NULL;
    good = good && (pipelines->shuts_out = parse(shuts_out_text)) != NULL;
    good = good && (pipelines->shuts_out_shared = parse(shuts_out_shared_text)) != NULL;
    if (good)
        return pipelines;
    lh_pipelines_free(pipelines);
    return NULL;
}

/* name: {$literal: value}: a string in `let` would be an expression otherwise. */
static void let_string(bson_t *let, const char *name, const char *value)
{
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(let, name, &literal);
    if (value)
        BSON_APPEND_UTF8(&literal, "$literal", value);
    else
        BSON_APPEND_NULL(&literal, "$literal");
    bson_append_document_end(let, &literal);
}

static void let_value(bson_t *let, const char *name, const bson_value_t *value)
{
    bson_t literal;
    BSON_APPEND_DOCUMENT_BEGIN(let, name, &literal);
    if (value)
        BSON_APPEND_VALUE(&literal, "$literal", value);
    else
        BSON_APPEND_NULL(&literal, "$literal");
    bson_append_document_end(let, &literal);
}

/* The scale of tokens: 2^22 a second. On a set from the cluster time, which never goes back over failovers; a standalone has
 * only its own clock. */
static void let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms)
{
    bson_t *clock =
        set ? BCON_NEW("$add", "[", "{", "$multiply", "[", "{", "$tsSecond", "$$CLUSTER_TIME", "}",
                       BCON_INT64(INT64_C(1) << 22), "]", "}", "{", "$tsIncrement", "$$CLUSTER_TIME", "}", "]")
            : BCON_NEW("$toLong", "{", "$multiply", "[", "{", "$subtract", "[", "{", "$toLong", "$$NOW", "}",
                       BCON_INT64(ago_ms), "]", "}", BCON_DOUBLE(4194.304), "]", "}");
    BSON_APPEND_DOCUMENT(let, name, clock);
    bson_destroy(clock);
}

void lh_pipeline_let(const lh_vars *vars, bson_t *command)
{
    bson_t let;
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &let);
    let_string(&let, "key", vars->key);
    let_string(&let, "me", vars->me);
    let_string(&let, "owner", vars->owner);
    let_string(&let, "host", vars->host);
    let_string(&let, "purpose", vars->purpose);
    BSON_APPEND_INT64(&let, "pid", vars->pid);
    BSON_APPEND_INT64(&let, "ttl", vars->ttl_ms);
    BSON_APPEND_INT64(&let, "grace", vars->grace_ms);
    BSON_APPEND_INT64(&let, "token", vars->token);
    BSON_APPEND_INT64(&let, "max_shared", vars->max_shared);
    let_clock(&let, "clock", vars->set, 0);
    if (vars->claim_ms > 0) {
        BSON_APPEND_INT64(&let, "claim", vars->claim_ms);
        BSON_APPEND_INT64(&let, "beat", vars->beat);
        BSON_APPEND_INT64(&let, "max_waiters", vars->max_waiters);
    }
    if (vars->to) {
        let_string(&let, "to", vars->to);
        let_string(&let, "to_owner", vars->to_owner);
    }
    if (vars->judging)
        let_clock(&let, "behind", vars->set, vars->set ? 0 : vars->ttl_ms);
    if (vars->seen_doc_id) {
        let_string(&let, "by", vars->by);
        let_string(&let, "reason", vars->reason);
        let_value(&let, "seen_doc_id", vars->seen_doc_id);
        let_value(&let, "seen_id", vars->seen_id);
        let_value(&let, "seen_token", vars->seen_token);
    }
    bson_append_document_end(command, &let);
}

bool lh_pipeline_has_short(lh_do what)
{
    return short_texts[what] != NULL;
}

/* The short forms use few variables, and a server takes time for each. */
static void let_short(lh_do what, const lh_vars *vars, bson_t *command)
{
    bson_t let, literal, mine;
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &let);
    let_string(&let, "me", vars->me);
    if (what != LH_DO_LEAVE)
        BSON_APPEND_INT64(&let, "ttl", vars->ttl_ms);
    if (what == LH_DO_RENEW)
        BSON_APPEND_INT64(&let, "token", vars->token);
    if (what == LH_DO_ACQUIRE_EXCLUSIVE) {
        let_string(&let, "key", vars->key);
        let_clock(&let, "clock", vars->set, 0);
        BSON_APPEND_INT64(&let, "grace", vars->grace_ms);
        BSON_APPEND_DOCUMENT_BEGIN(&let, "mine", &literal);
        BSON_APPEND_DOCUMENT_BEGIN(&literal, "$literal", &mine);
        BSON_APPEND_UTF8(&mine, "id", vars->me);
        BSON_APPEND_UTF8(&mine, "owner", vars->owner);
        BSON_APPEND_UTF8(&mine, "mode", "exclusive");
        BSON_APPEND_UTF8(&mine, "host", vars->host);
        BSON_APPEND_INT64(&mine, "pid", vars->pid);
        if (vars->purpose)
            BSON_APPEND_UTF8(&mine, "purpose", vars->purpose);
        else
            BSON_APPEND_NULL(&mine, "purpose");
        BSON_APPEND_INT64(&mine, "ttl_ms", vars->ttl_ms);
        BSON_APPEND_INT64(&mine, "beat", 0);
        BSON_APPEND_INT32(&mine, "v", 1);
        bson_append_document_end(&literal, &mine);
        bson_append_document_end(&let, &literal);
    }
    bson_append_document_end(command, &let);
}

void lh_pipeline_command(const lh_pipelines *pipelines, lh_do what, bool whole, const char *collection,
                         const lh_vars *vars, bson_t *command)
{
    bson_t query;
    bool waits = what == LH_DO_WAIT_EXCLUSIVE || what == LH_DO_WAIT_SHARED;
    bool asks = what == LH_DO_ACQUIRE_EXCLUSIVE || what == LH_DO_ACQUIRE_SHARED || what == LH_DO_RESUME;
    BSON_APPEND_UTF8(command, "findAndModify", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "query", &query);
    BSON_APPEND_UTF8(&query, "workspace_id", vars->key);
    bson_append_document_end(command, &query);
    BSON_APPEND_ARRAY(command, "update", whole ? pipelines->updates[what] : pipelines->shorts[what]);
    BSON_APPEND_BOOL(command, "new", true);
    if (asks || waits)
        BSON_APPEND_BOOL(command, "upsert", true);
    BSON_APPEND_DOCUMENT(command, "fields",
                         !whole                                                   ? asks ? pipelines->short_fields : pipelines->own_fields
                         : what == LH_DO_ACQUIRE_EXCLUSIVE || what == LH_DO_RENEW ? pipelines->fields
                                                                                  : pipelines->queue_fields);
    if (whole)
        lh_pipeline_let(vars, command);
    else
        let_short(what, vars, command);
}

void lh_pipeline_poll(const lh_pipelines *pipelines, const char *collection, const bson_t *keys, const bson_t *ids,
                      bson_t *command)
{
    bson_t part, in;
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &part);
    BSON_APPEND_DOCUMENT_BEGIN(&part, "workspace_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", keys);
    bson_append_document_end(&part, &in);
    bson_append_document_end(command, &part);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->poll_fields);
    BSON_APPEND_DOCUMENT_BEGIN(command, "let", &part);
    BSON_APPEND_DOCUMENT_BEGIN(&part, "ids", &in);
    BSON_APPEND_ARRAY(&in, "$literal", ids);
    bson_append_document_end(&part, &in);
    bson_append_document_end(command, &part);
}

void lh_pipeline_conflict(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars, bool shared,
                          const bson_t *where, bson_t *command)
{
    bson_t filter, sort;
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
    bson_concat(&filter, where);
    bson_concat(&filter, shared ? pipelines->shuts_out_shared : pipelines->shuts_out);
    bson_append_document_end(command, &filter);
    BSON_APPEND_DOCUMENT_BEGIN(command, "sort", &sort);
    BSON_APPEND_INT32(&sort, "workspace_id", 1);
    bson_append_document_end(command, &sort);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->fields);
    BSON_APPEND_INT32(command, "limit", 1);
    BSON_APPEND_BOOL(command, "singleBatch", true);
    lh_pipeline_let(vars, command);
}

/* {_id: {$in: ids}}, begun in `filter`. */
static void append_ids(bson_t *filter, const bson_t *ids)
{
    bson_t in;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", ids);
    bson_append_document_end(filter, &in);
}

void lh_pipeline_judge_all(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars, bson_t *command)
{
    BSON_APPEND_UTF8(command, "find", collection);
    BSON_APPEND_DOCUMENT(command, "projection", pipelines->judge);
    BSON_APPEND_INT32(command, "batchSize", 1000);
    lh_pipeline_let(vars, command);
}

void lh_pipeline_remove_many(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars,
                             const bson_t *ids, bson_t *command)
{
    bson_t deletes, statement, filter;
    BSON_APPEND_UTF8(command, "delete", collection);
    BSON_APPEND_ARRAY_BEGIN(command, "deletes", &deletes);
    BSON_APPEND_DOCUMENT_BEGIN(&deletes, "0", &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    append_ids(&filter, ids);
    bson_concat(&filter, pipelines->removable);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_INT32(&statement, "limit", 0);
    bson_append_document_end(&deletes, &statement);
    bson_append_array_end(command, &deletes);
    lh_pipeline_let(vars, command);
}

void lh_pipeline_settle_many(const lh_pipelines *pipelines, const char *collection, const lh_vars *vars,
                             const bson_t *ids, bson_t *command)
{
    bson_t updates, statement, filter;
    BSON_APPEND_UTF8(command, "update", collection);
    BSON_APPEND_ARRAY_BEGIN(command, "updates", &updates);
    BSON_APPEND_DOCUMENT_BEGIN(&updates, "0", &statement);
    BSON_APPEND_DOCUMENT_BEGIN(&statement, "q", &filter);
    append_ids(&filter, ids);
    bson_append_document_end(&statement, &filter);
    BSON_APPEND_ARRAY(&statement, "u", pipelines->updates[LH_DO_SETTLE]);
    BSON_APPEND_BOOL(&statement, "multi", true);
    bson_append_document_end(&updates, &statement);
    bson_append_array_end(command, &updates);
    lh_pipeline_let(vars, command);
}
