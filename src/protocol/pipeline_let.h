/* SPDX-License-Identifier: Apache-2.0
 * The variables of a command: the values that differ from call to call, separate from the constant
 * texts. */
#ifndef LH_PIPELINE_LET_H
#define LH_PIPELINE_LET_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_text.h"

/* Appends `let` with the variables of a command. */
void lh_pipeline_let(const lh_vars *vars, bson_t *command);

/* Appends name: {$literal: value}. Without $literal, a string would be an expression. NULL:
 * null. */
void lh_append_literal(bson_t *to, const char *name, const char *value);

/* Appends the clock for tokens: 2^22 units a second. On a set it is the cluster time, which never
 * goes back, even after failovers. A standalone only has its own clock. */
void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms);

#endif
