/* SPDX-License-Identifier: Apache-2.0
 * The short forms.
 *
 * Nearly every command meets a document that is simple: a date for an end, no readers, nobody waiting. What a server spends on our
 * commands is mostly the parsing of their expressions (a microsecond or two for each), so these decide the simple documents and
 * leave all others untouched; lease_run.c then asks with the whole form. They may refuse what the whole form grants, never the
 * other way round: a test holds them together. (But a renewal does not look at the maps: a holder keeps its lease where somebody
 * spoilt its queue.)
 *
 * What differs from call to call stands in them under $literal, or as a number: a variable in `let` costs more. <names> are what
 * pipeline_fill.h fills. Types are compared all at once, as an array with a constant one. The workspace_id is compared because the
 * filter may be the _id alone. */
#include "pipeline_terms.h"
#include "pipeline_text.h"

// clang-format off
#define SAME_ID "{'$eq':['$id','$released.id']}"
#define BY_KEY "{'workspace_id':'<key>'}"
#define BY_ID "{'_id':'<key>'}"

/* Of such a one: released. Where the ids differ it is the end that counts; where they are the same and this is false, the whole
 * form has to say. */
#define SIMPLE_RELEASED "{'$and':[" FREED_TYPES ",{'$lte':['$expires_at','$released.at']}]}"
#define OVER                                                                                                           \
    SIMPLE ",{'$cond':[" SAME_ID "," SIMPLE_RELEASED ",{'$lte':['$expires_at',{'$subtract':['$$NOW','<grace>']}]}]}"
/* Neither mine nor released by me, which never acquires again (the whole form says what it is then). */
#define NOT_MINE "{'$not':[{'$in':[{'$literal':'<me>'},['$id','$released.id']]}]}"
#define FREE_BY_KEY "{'$and':[" NOT_MINE ",{'$or':[" FRESH ",{'$and':[" OVER "]}]}]}"
#define FREE_BY_ID "{'$and':[" NOT_MINE ",{'$eq':['$workspace_id',{'$literal':'<key>'}]}," OVER "]}"

/* How the last one ended: as it is noted, or by its end. A first grant has nothing to note. */
#define ENDED "{'$cond':[" SAME_ID ",'$released'," RELEASED("'$id'", "expire", "null", "null") "]}"
/* An own _id, if there is one, overrides the key. A sum with what is missing is null: no maximum. */
#define GRANTED(before, clock)                                                                                         \
    "{'$mergeObjects':[" before "'$$ROOT',{'$literal':{'id':'<me>','owner':'<owner>','mode':'exclusive','host':'<host>',"  \
    "'pid':'<pid>','proc':'<proc>','purpose':'<purpose>','ttl_ms':'<ttl>','beat':" ZERO ",'v':1}},{'expires_at':{'$add':['$$NOW','<ttl>']},"  \
    "'acquired_at':'$$NOW','renewed_at':'$$NOW','released':" ENDED ",'token':{'$max':[{'$add':['$token',1]}," clock "]}}]}"
#define CLOCK_SET                                                                                                      \
    "{'$add':[{'$multiply':[{'$tsSecond':'$$CLUSTER_TIME'},{'$numberLong':'4194304'}]},{'$tsIncrement':'$$CLUSTER_TIME'}]}"
#define CLOCK_ALONE "{'$toLong':{'$multiply':[{'$toLong':'$$NOW'},4194.304]}}"

#define DECIDE(condition, then) "[{'$replaceWith':{'$cond':[" condition "," then ",'$$ROOT']}}]"
/* Without upsert where the filter is the _id: such an insert would fail where another document has the key. */
#define ACQUIRE_BY_KEY(clock)                                                                                          \
    "{'findAndModify':'<collection>','query':" BY_KEY ",'update':"                                                     \
    DECIDE(FREE_BY_KEY, GRANTED("{'$literal':{'_id':'<key>'}},", clock)) ",'new':true,'upsert':true,'fields':{" FIELDS_HOLDER "}}"
#define ACQUIRE_BY_ID(clock)                                                                                           \
    "{'findAndModify':'<collection>','query':" BY_ID ",'update':"                                                      \
    DECIDE(FREE_BY_ID, GRANTED("", clock)) ",'new':true,'fields':{" FIELDS_HOLDER "}}"

/* The lease id is mine and not the one that was released, the rest is simple, and the token is mine (0: any that there may be). */
#define TOKEN_MINE "{'$eq':['$token','<token>']}"
#define TOKEN_ANY "{'$gte':['$token'," ZERO "]},{'$lt':['$token',{'$numberLong':'4611686018427387904'}]}"
#define STILL_MINE(fields, types, token)                                                                               \
    "{'$ne':['$released.id',{'$literal':'<me>'}]},{'$eq':[['$id','$workspace_id',{'$type':'$token'},{'$type':'$expires_at'}" fields  \
    "],{'$literal':['<me>','<key>','long','date'" types "]}]}," token
#define UPDATE(filter, pipeline) "{'update':'<collection>','updates':[{'q':" filter ",'u':" pipeline "}]}"
/* Its end must be to come. */
#define RENEW(filter, token)                                                                                           \
    UPDATE(filter, DECIDE("{'$and':[" STILL_MINE("", "", token) ",{'$gt':['$expires_at','$$NOW']}]}",                  \
    "{'$mergeObjects':['$$ROOT',{'expires_at':" LATER("$expires_at", "'<ttl>'") ",'renewed_at':'$$NOW','ttl_ms':'<ttl>'}]}"))
#define LEAVE(filter, token, note)                                                                                           \
    UPDATE(filter, DECIDE("{'$and':[" STILL_MINE(",{'$type':'$owner'},{'$type':'$shared'},{'$type':'$waiters'}",        \
                                                 ",'string','missing','missing'", token) "]}",                         \
    "{'$mergeObjects':['$$ROOT',{'expires_at':{'$min':['$expires_at','$$NOW']},'released':{'id':{'$literal':'<me>'},"  \
    "'owner':'$owner','how':'release','by':null,'reason':null,'at':'$$NOW'" note "}}]}"))
#define NOTE ",'note':{'text':{'$literal':'<note>'},'token':'$token','at':'$$NOW'}"
// clang-format on

const char *const lh_texts_short[LH_SHORT_COUNT] = {
    ACQUIRE_BY_KEY(CLOCK_ALONE),    ACQUIRE_BY_ID(CLOCK_ALONE),    ACQUIRE_BY_KEY(CLOCK_SET),
    ACQUIRE_BY_ID(CLOCK_SET),       RENEW(BY_KEY, TOKEN_ANY),      RENEW(BY_ID, TOKEN_ANY),
    RENEW(BY_KEY, TOKEN_MINE),      RENEW(BY_ID, TOKEN_MINE),      LEAVE(BY_KEY, TOKEN_ANY, ""),
    LEAVE(BY_ID, TOKEN_ANY, ""),    LEAVE(BY_KEY, TOKEN_MINE, ""), LEAVE(BY_ID, TOKEN_MINE, ""),
    LEAVE(BY_KEY, TOKEN_ANY, NOTE), LEAVE(BY_ID, TOKEN_ANY, NOTE), LEAVE(BY_KEY, TOKEN_MINE, NOTE),
    LEAVE(BY_ID, TOKEN_MINE, NOTE),
};

enum { COLLECTION, KEY, ME, OWNER, HOST, PURPOSE, LEFT, PROC, PID, TTL, GRACE, TOKEN, NAMES };

lh_fill *lh_short_new(const char *text)
{
    static const char *const names[NAMES] = {"<collection>", "<key>",  "<me>",  "<owner>", "<host>",  "<purpose>",
                                             "<note>",       "<proc>", "<pid>", "<ttl>",   "<grace>", "<token>"};
    return lh_fill_new(text, names, NAMES);
}

bool lh_pipeline_has_short(lh_do what, const lh_vars *vars)
{
    return what == LH_DO_ACQUIRE_EXCLUSIVE || what == LH_DO_LEAVE || (what == LH_DO_RENEW && vars->ttl_ms != 0);
}

/* In the order of the texts. */
static size_t form_of(lh_do what, const lh_vars *vars)
{
    bool note = vars->note && *vars->note;
    size_t base = what == LH_DO_ACQUIRE_EXCLUSIVE ? 0 : what == LH_DO_RENEW ? 4 : note ? 12 : 8;
    bool second = what == LH_DO_ACQUIRE_EXCLUSIVE ? vars->set : vars->token != 0;
    return base + (second ? 2 : 0) + (vars->own ? 1 : 0);
}

void lh_short_command(lh_do what, lh_fill *const *forms, const char *collection, const lh_vars *vars, bson_t *command)
{
    const lh_value values[NAMES] = {
        [COLLECTION] = {.text = collection},
        [KEY] = {.text = vars->key},
        [ME] = {.text = vars->me},
        [OWNER] = {.text = vars->owner},
        [HOST] = {.text = vars->host},
        [PURPOSE] = {.text = vars->purpose},
        [PROC] = {.text = *vars->proc ? vars->proc : NULL},
        [LEFT] = {.text = vars->note},
        [PID] = {.is_number = true, .number = vars->pid},
        [TTL] = {.is_number = true, .number = vars->ttl_ms},
        [GRACE] = {.is_number = true, .number = vars->grace_ms},
        [TOKEN] = {.is_number = true, .number = vars->token},
    };
    lh_fill_make(forms[form_of(what, vars)], values, command);
}
