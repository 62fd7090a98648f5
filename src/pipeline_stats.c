/* SPDX-License-Identifier: Apache-2.0
 * What all documents say together. Most are simple (a date for an end, no maps), and are decided by what the short acquire asks of
 * them; the rest by what every other command goes by, which takes five times as long. */
#include "pipeline_terms.h"
#include "pipeline_text.h"

// clang-format off
/* {at, key, owner}: the least of these is the oldest one, by name where several are as old. Nothing where `at` is no date. */
#define SINCE(at, owner)                                                                                               \
    "{'$cond':[" IS_TYPE(at, "date") ",{'at':'" at "','key':'$workspace_id','owner':" owner "},'$$REMOVE']}"
#define OLDEST_OF(array, at)                                                                                           \
    "{'$min':{'$map':{'input':'" array "','as':'e','in':" SINCE("$$e.v." at, "'$$e.v.owner'") "}}}"
#define HELD_ALONE "{'s':'exclusive','oldest':" SINCE("$acquired_at", OLD_OWNER) "}"
#define OF_SIMPLE                                                                                                      \
    "{'$switch':{'branches':["                                                                                         \
    CASE(FREED("$expires_at"), "{'s':'free'}") ","                                                                     \
    CASE("{'$gt':['$expires_at'," CUT "]}", HELD_ALONE) "],'default':{'s':'expired'}}}"
#define OF_ANY                                                                                                         \
    LET_STATE(                                                                                                         \
    "{'$mergeObjects':[{'$switch':{'branches':["                                                                       \
    CASE("{'$not':['$$ok']}", "{'s':'malformed'}") ","                                                                 \
    CASE("'$$x'", HELD_ALONE) ","                                                                                      \
    CASE("{'$ne':['$$sh',[]]}", "{'s':'shared','readers':{'$size':'$$sh'},'oldest':" OLDEST_OF("$$sh", "acquired_at") "}") ","  \
    CASE("'$$freed'", "{'s':'free'}") "],'default':{'s':'expired'}}},"                                                 \
    "{'$cond':[{'$eq':['$$wq',[]]},{},{'waiters':{'$size':'$$wq'},'longest':" OLDEST_OF("$$wq", "since") "}]}]}")
#define COUNT(state) "'" state "':{'$sum':{'$cond':[{'$eq':['$s','" state "']},1,0]}}"

const char lh_text_stats[] =
    "[{'$replaceWith':{'$cond':[" SIMPLE "," OF_SIMPLE "," OF_ANY "]}},"
    "{'$group':{'_id':null,'documents':{'$sum':1}," COUNT("exclusive") "," COUNT("shared") "," COUNT("free") ","
    COUNT("expired") "," COUNT("malformed") ",'readers':{'$sum':'$readers'},"
    "'queues':{'$sum':{'$cond':[{'$gt':['$waiters',0]},1,0]}},'waiters':{'$sum':'$waiters'},"
    "'oldest':{'$min':'$oldest'},'longest':{'$min':'$longest'},'now':{'$max':'$$NOW'}}}]";
// clang-format on
