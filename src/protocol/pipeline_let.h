/* SPDX-License-Identifier: Apache-2.0
 * The variables of a command: what differs from call to call, apart from the constant texts. */
#ifndef LH_PIPELINE_LET_H
#define LH_PIPELINE_LET_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_text.h"

/* Appends `let`: the variables of every command above. */
void lh_pipeline_let(const lh_vars *vars, bson_t *command);

/* name: {$literal: value}: a string would be an expression otherwise. NULL: null. */
void lh_append_literal(bson_t *to, const char *name, const char *value);

/* The scale of tokens: 2^22 a second. On a set from the cluster time, which never goes back over
 * failovers; a standalone has only its own clock. */
void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms);

#endif
