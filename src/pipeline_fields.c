/* SPDX-License-Identifier: Apache-2.0
 * What the answers carry: only what is read; each field costs the server time. And what cleanup asks of a document. */
#include "pipeline_terms.h"
#include "pipeline_text.h"

// clang-format off
/* Cleanup. A document goes when nobody is alive in it and its end, or release, was long ago; and the next one,
 * from the clock, is surely higher than its token ($$behind: let_clock). */
#define REMOVABLE                                                                                                      \
    LET_STATE("{'$and':['$$ok',{'$not':['$$x']},{'$eq':['$$sh',[]]},{'$eq':['$$wq',[]]},"                              \
              "{'$lte':['$$end',{'$subtract':['$$NOW','$$ttl']}]},"                                                    \
              "{'$lte':[" TOKEN_OR_0 ",'$$behind']}]}")
/* How many dead are still in it: the exclusive holder that nobody marked as ended, and the entries of the maps. */
#define DEAD_HOLDERS                                                                                                   \
    LET_STATE("{'$switch':{'branches':["                                                                               \
              CASE("{'$not':['$$ok']}", "0") ","                                                                       \
              CASE("'$$readers'", "{'$subtract':[" COUNT_OF("$shared") ",{'$size':'$$sh'}]}")                          \
              "],'default':{'$cond':[{'$and':[" IS_TYPE("$id", "string") ",{'$not':['$$freed']},{'$not':['$$x']}]},1,0]}}}")
#define DEAD_WAITERS                                                                                                   \
    LET_STATE("{'$cond':['$$ok',{'$subtract':[" COUNT_OF("$waiters") ",{'$size':'$$wq'}]},0]}")

/* `shared` is the holder's own part. `newest` is the token of the reader who stands at top level: the token there is the highest ever,
 * perhaps of one who has left. */
#define FIELDS_MINE                                                                                                    \
    "'shared':{'$cond':[" IS_TYPE("$shared", "object") ",{'$arrayToObject':[{'$filter':{'input':{'$objectToArray':"    \
    "'$shared'},'as':'s','cond':{'$eq':['$$s.k','$$me']}}}]},'$$REMOVE']},'newest':{'$cond':[" READERS ","             \
        LET("'s':{'$last':{'$objectToArray':'$shared'}}", "'$$s.v.token'") ",'$$REMOVE']},'holders':" COUNT_OF("$shared") \
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
    "'_id':0,'workspace_id':1,'wake':1,'now':'$$NOW','end':'$expires_at','granted':{'$cond':[" READERS ",{'$filter':{'input':{'$objectToArray':'$shared'},'as':'s',"  \
    "'cond':{'$in':['$$s.k','$$ids']}}},{'$cond':[{'$and':[{'$in':['$id','$$ids']},{'$ne':['$id','$released.id']}]},["  \
    GRANT_OF_TOP "],[]]}]},"                                                                                           \
    "'queued':{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$objectToArray':'$waiters'}",                   \
        "{'$filter':{'input':'$$q.k','as':'k','cond':{'$in':['$$k','$$ids']}}}") ",[]]},"                              \
    "'first':{'$cond':[" IS_TYPE("$waiters", "object") "," LET("'q':{'$first':{'$objectToArray':'$waiters'}}", "'$$q.k'") ",null]}"

/* Somebody alive holds it, so that a path above or below it may not be held too. */
#define SHUTS_OUT(holders) "{'$expr':" LET_STATE(holders) "}"
// clang-format on

const char lh_text_fields[] = "{" FIELDS_HOLDER "," FIELDS_MINE "}";
const char lh_text_queue_fields[] = "{" FIELDS_HOLDER "," FIELDS_MINE "," FIELDS_QUEUE "}";
const char lh_text_poll_fields[] = "{" FIELDS_POLL "}";
const char lh_text_removable[] = "{'$expr':" REMOVABLE "}";
const char lh_text_shuts_out[] = SHUTS_OUT("{'$or':['$$x',{'$ne':['$$sh',[]]}]}");
const char lh_text_shuts_out_shared[] = SHUTS_OUT("'$$x'");
const char lh_text_judge[] =
    "{'_id':1,'removable':" REMOVABLE ",'dead_holders':" DEAD_HOLDERS ",'dead_waiters':" DEAD_WAITERS "}";
