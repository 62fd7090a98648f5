/* SPDX-License-Identifier: Apache-2.0
 * The short forms (protocol/short.lp): the values of a call are filled into their texts. */
#ifndef LH_PIPELINE_SHORT_H
#define LH_PIPELINE_SHORT_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_text.h"

/* Whether the operation has a short form with these variables. */
bool lh_pipeline_has_short(lh_op op, const lh_vars *vars);

/* Parses one of lh_texts_short. NULL: out of memory. */
lh_fill *lh_short_new(const char *text);

/* `forms` has all short forms. `command` is initialised and empty. */
void lh_short_command(lh_op op, lh_fill *const *forms, const char *collection, const lh_vars *vars,
                      bson_t *command);

#endif
