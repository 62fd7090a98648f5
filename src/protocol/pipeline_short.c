/* SPDX-License-Identifier: Apache-2.0
 * The short forms (protocol/short.lp): the values of a call are filled into their texts. */
#include "protocol/pipeline_short.h"

#include "protocol/pipeline_fill.h"
#include "protocol/pipeline_text.h"

enum { COLLECTION, KEY, ME, OWNER, HOST, PURPOSE, LEFT, PROC, PID, TTL, GRACE, TOKEN, NAMES };

lh_fill *lh_short_new(const char *text)
{
    static const char *const names[NAMES] = {"<collection>", "<key>",     "<me>",    "<owner>",
                                             "<host>",       "<purpose>", "<note>",  "<proc>",
                                             "<pid>",        "<ttl>",     "<grace>", "<token>"};
    return lh_fill_new(text, names, NAMES);
}

bool lh_pipeline_has_short(lh_op op, const lh_vars *vars)
{
    return op == LH_OP_ACQUIRE_EXCLUSIVE || op == LH_OP_RELEASE ||
           (op == LH_OP_RENEW && vars->ttl_ms != 0);
}

/* The index of the form, in the order of lh_texts_short. */
static size_t form_of(lh_op op, const lh_vars *vars)
{
    bool note = vars->note && *vars->note;
    size_t base = op == LH_OP_ACQUIRE_EXCLUSIVE ? 0 : op == LH_OP_RENEW ? 4 : note ? 12 : 8;
    bool second = op == LH_OP_ACQUIRE_EXCLUSIVE ? vars->set : vars->token != 0;
    return base + (second ? 2 : 0) + (vars->own ? 1 : 0);
}

void lh_short_command(lh_op op, lh_fill *const *forms, const char *collection, const lh_vars *vars,
                      bson_t *command)
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
    lh_fill_make(forms[form_of(op, vars)], values, command);
}
