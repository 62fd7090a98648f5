/* SPDX-License-Identifier: Apache-2.0
 * The terms that the protocol's texts are made of: what the document says now, and what is written into it.
 *
 * The texts are JSON with ' for ", so that they can be read; C joins the pieces. LET_STATE binds what the
 * document says now:
 *
 *   spent    its token is so high that the next one might not be readable: nothing more is granted
 *   ok       it can be read; otherwise nothing is touched (but by a break)
 *   end      when the top-level holder ends; NEVER where there is no end
 *   freed    id = released.id: released, or never granted
 *   readers  it is held by shared holders: their map counts, else only the top level does, where old programs write
 *   x        an exclusive holder is there, and not past its end + grace (or the document cannot be read)
 *   sh, wq   the shared holders and the waiters that are alive, as arrays of {k, v}, in order */
#ifndef LH_PIPELINE_TERMS_H
#define LH_PIPELINE_TERMS_H

// clang-format off
#define NEVER "{'$date':{'$numberLong':'253402300799999'}}"
#define CUT "{'$subtract':['$$NOW','$$grace']}"
#define ZERO "{'$numberLong':'0'}"

/* The highest token that can be read, and the highest behind which another is granted: there is room for all that a grant adds. */
#define LAST_TOKEN "{'$numberLong':'4611686018427387903'}"
#define LAST_TOKEN_BEFORE "{'$numberLong':'4611686018426339327'}"

/* Other programs write null or false where they have nothing to say. (doc.c: lh_doc_is_absent) */
#define IS_ABSENT(field) "{'$eq':[{'$ifNull':['" field "',false]},false]}"
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
    "{'case':" IS_ABSENT("$expires_at") ",'then':" NEVER "},"                                                          \
    "{'case':" IS_TYPE("$expires_at", "string") ",'then':{'$let':{'vars':{'parsed':"                                   \
        "{'$dateFromString':{'dateString':'$expires_at','onError':null}}},'in':{'$cond':[{'$eq':['$$parsed',null]},null,"  \
        "{'$cond':[{'$regexMatch':{'input':'$expires_at','regex':'" ISO "'}},'$$parsed',null]}]}}}},"                  \
    "{'case':{'$and':[{'$isNumber':'$expires_at'},{'$gte':['$expires_at',0]},"                                         \
        "{'$lte':['$expires_at',{'$numberLong':'253402300799999'}]}]},"                                                \
        "'then':{'$toDate':{'$toLong':{'$trunc':{'$cond':[{'$lt':['$expires_at',{'$numberLong':'100000000000'}]},"     \
        "{'$multiply':['$expires_at',1000]},'$expires_at']}}}}}"                                                       \
    "],'default':null}}"

#define ALL_OF(map, as, conditions)                                                                                    \
    "{'$cond':[" IS_ABSENT(map) ",true,{'$cond':[" IS_TYPE(map, "object") ",{'$allElementsTrue':[{'$map':{"   \
    "'input':{'$objectToArray':'" map "'},'as':'" as "','in':{'$and':[" conditions "]}}}]},false]}]}"
#define SHARED_OK                                                                                                      \
    ALL_OF("$shared", "s",                                                                                             \
           IS_TYPE("$$s.v.expires_at", "date") "," IS_NUMBER_IN("$$s.v.token", "0", LAST_TOKEN))
#define WAITERS_OK                                                                                                     \
    ALL_OF("$waiters", "w",                                                                                            \
           IS_TYPE("$$w.v.beat_at", "date") ",{'$in':['$$w.v.mode',['exclusive','shared']]},"                          \
           IS_NUMBER_IN("$$w.v.beat", "0", LAST_TOKEN) ","                                \
           IS_NUMBER_IN("$$w.v.claim_ms", "1", "604800000") "," IS_NUMBER_IN("$$w.v.ttl_ms", "1", "604800000"))
#define TOKEN_OK "{'$or':[" IS_ABSENT("$token") "," IS_NUMBER_IN("$token", "0", LAST_TOKEN) "]}"
#define TOKEN_OR_0 "{'$cond':[" IS_ABSENT("$token") "," ZERO ",'$token']}"
/* Whoever holds a document with such a token goes on with it; behind them nobody does. */
#define OK                                                                                                             \
    "{'$and':[{'$ne':['$$end0',null]}," IS_TYPE("$workspace_id", "string") "," TOKEN_OK "," SHARED_OK "," WAITERS_OK   \
    ",{'$or':[{'$not':['$$spent']},{'$and':[{'$not':['$$freed']},{'$gt':['$$end'," CUT "]}]}]}]}"

/* Released, and not extended since by an old program that still thinks that it holds it: its id may be the one that we marked
 * as ended. `end` is a date. */
#define FREED_TYPES "{'$eq':[[{'$type':'$id'},{'$type':'$released.at'}],{'$literal':['string','date']}]}"
#define FREED(end)                                                                                                     \
    "{'$and':[" FREED_TYPES ",{'$eq':['$id','$released.id']},{'$lte':['" end "','$released.at']}]}"
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
    LET("'end':{'$ifNull':['$$end0'," NEVER "]},'freed':" FREED("$$end0") ",'readers':" READERS                        \
            ",'spent':{'$gt':[" TOKEN_OR_0 "," LAST_TOKEN_BEFORE "]}",                                                      \
    LET("'ok':" OK,                                                                                                    \
    LET("'x':{'$or':[{'$not':['$$ok']},{'$and':[{'$not':[" FRESH "]},{'$not':['$$freed']},{'$not':['$$readers']},"     \
            "{'$gt':['$$end'," CUT "]}]}]},"                                                                           \
        "'sh':" ALIVE_SHARED ",'wq':" ALIVE_WAITERS,                                                                   \
    in))))

/* Without all that: it can be read, has a date for an end, and nobody shares it or waits. (A token that is missing is below all
 * numbers.) */
#define SIMPLE                                                                                                         \
    "{'$and':[{'$eq':[[{'$type':'$workspace_id'},{'$type':'$shared'},{'$type':'$waiters'},{'$type':'$expires_at'}],"   \
    "{'$literal':['string','missing','missing','date']}]},{'$in':[{'$type':'$token'},{'$literal':['long','missing']}]},"  \
    "{'$gte':[{'$ifNull':['$token',0]},0]},{'$lte':['$token'," LAST_TOKEN_BEFORE "]}]}"

/* The next token: it never goes back, even where the document, and the tokens in it, were deleted. */
#define NEXT_TOKEN TOKEN_FROM("'$$clock'")
#define TOKEN_FROM(clock) "{'$max':[{'$add':[{'$toLong':" TOKEN_OR_0 "},1]}," clock "]}"

/* Who held it, in words: older code wrote user_id. (Converting a date that is out of range fails in spite of onError.) */
#define IS_NAME(field) IS_ONE_OF(field, "'string','objectId'")
#define OLD_OWNER                                                                                                      \
    "{'$let':{'vars':{'who':{'$cond':[" IS_NAME("$owner") ",'$owner','$user_id']}},'in':{'$cond':[" IS_NAME("$$who")     \
    ",{'$toString':'$$who'},null]}}}"
#define RELEASED_MORE(id, how, by, reason, more)                                                                       \
    "{'id':" id ",'owner':" OLD_OWNER ",'how':'" how "','by':" by ",'reason':" reason ",'at':'$$NOW'" more "}"
#define RELEASED(id, how, by, reason) RELEASED_MORE(id, how, by, reason, "")

/* The document after the dead are forgotten. */
#define EXPIRED                                                                                                        \
    "{'$and':[{'$not':[" FRESH "]},{'$not':['$$x']},{'$not':['$$freed']},{'$eq':['$$sh',[]]}]}"
#define BASE_EXPIRED                                                                                                   \
    "{'$cond':[" EXPIRED ",{'$mergeObjects':['$$ROOT',{'released':" RELEASED("'$id'", "expire", "null", "null") "}]},'$$ROOT']}"

#define KEEP_ID "'_id':{'$ifNull':['$_id','$$doc_id']}"

#define MINE_EXCLUSIVE "{'$and':[{'$eq':['$id','$$me']},{'$not':['$$freed']},{'$not':['$$readers']}]}"
#define SHARED_ARRAY "{'$cond':['$$readers',{'$objectToArray':'$shared'},[]]}"
#define MINE_SHARED "{'$in':['$$me'," LET("'all':" SHARED_ARRAY, "'$$all.k'") "]}"

#define LATER(at, ttl) "{'$max':['" at "',{'$add':['$$NOW'," ttl "]}]}"
#define TTL_OR(own)                                                                                                    \
    "{'$cond':[{'$gt':['$$ttl',0]},'$$ttl',{'$cond':[" IS_NUMBER_IN(own, "1", "604800000") ",'" own "',{'$numberLong':'30000'}]}]}"

/* What every answer with a document carries; the short acquire's nothing else: who else holds it, the whole form says. */
#define FIELDS_HOLDER                                                                                                  \
    "'_id':1,'workspace_id':1,'id':1,'expires_at':1,'token':1,'released':1,'owner':1,'user_id':1,'host':1,'pid':1,"    \
    "'purpose':1,'mode':1,'acquired_at':1,'renewed_at':1,'ttl_ms':1,'now':'$$NOW'"

#define CASE(condition, then) "{'case':" condition ",'then':" then "}"
#define COUNT_OF(map) "{'$cond':[" IS_TYPE(map, "object") ",{'$size':{'$objectToArray':'" map "'}},0]}"
#define NONE(field) IS_TYPE(field, "missing")
// clang-format on

#endif
