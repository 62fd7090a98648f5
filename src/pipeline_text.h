/* SPDX-License-Identifier: Apache-2.0
 * Between the files of this module: the constant texts, and how variables are written. */
#ifndef LH_PIPELINE_TEXT_H
#define LH_PIPELINE_TEXT_H

#include "pipeline.h"

extern const char *const lh_texts_whole[LH_DO_COUNT]; /* arrays of stages */
extern const char *const lh_texts_short[LH_DO_COUNT]; /* NULL: there is none */
extern const char lh_text_own_fields[], lh_text_short_fields[], lh_text_fields[], lh_text_queue_fields[],
    lh_text_poll_fields[], lh_text_removable[], lh_text_judge[], lh_text_shuts_out[], lh_text_shuts_out_shared[];

/* name: {$literal: value}: a string in `let` would be an expression otherwise. NULL: null. */
void lh_let_string(bson_t *let, const char *name, const char *value);

/* The scale of tokens: 2^22 a second. On a set from the cluster time, which never goes back over failovers; a standalone has
 * only its own clock. */
void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms);

/* Appends `let` for a short form: they use few variables, and a server takes time for each. */
void lh_let_short(lh_do what, const lh_vars *vars, bson_t *command);

#endif
