/* SPDX-License-Identifier: Apache-2.0
 * From (base, x, sh, wq), PROMOTE makes the document in which the head of the queue, or its head run of readers, is granted
 * if that may be. */
#ifndef LH_PIPELINE_GRANT_H
#define LH_PIPELINE_GRANT_H

#include "pipeline_terms.h"

// clang-format off
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
    "'owner':'" w ".v.owner','host':{'$ifNull':['" w ".v.host',null]},'pid':{'$ifNull':['" w ".v.pid',null]},'proc':{'$ifNull':['" w ".v.proc',null]},'purpose':{'$ifNull':['" w ".v.purpose',null]},'acquired_at':'$$NOW',"  \
    "'renewed_at':'$$NOW','ttl_ms':'" w ".v.ttl_ms','beat':'" w ".v.beat'"
/* The waiters to grant: the head when it is exclusive and nobody holds; the leading readers when no writer holds. */
#define RUN                                                                                                            \
    "{'$cond':[{'$or':['$$x','$$spent',{'$eq':['$$wq',[]]}]},[],"                                                                \
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

/* The last of a run takes the greater of token + n and the clock: if each took the next from the clock on,
 * n - 1 would be ahead of it, and a grant after the document's deletion would be lower. */
#define FIRST_TOKEN TOKEN_FROM("{'$subtract':['$$clock',{'$subtract':[{'$size':'$$run'},1]}]}")
#define NEW_READERS                                                                                                    \
    "{'$map':{'input':{'$range':[0,{'$size':'$$run'}]},'as':'i','in':"                                                 \
    LET("'w':{'$arrayElemAt':['$$run','$$i']}",                                                                        \
    "{'k':'$$w.k','v':{" HOLDER("$$w") ",'token':{'$add':[" FIRST_TOKEN ",'$$i']},'expires_at':" UNTIL("$$w") "}}") "}}"
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
// clang-format on

#endif
