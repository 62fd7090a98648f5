/* SPDX-License-Identifier: Apache-2.0
 * Between the files of this module: the constant texts, and how variables are written. */
#ifndef LH_PIPELINE_TEXT_H
#define LH_PIPELINE_TEXT_H

#include "pipeline.h"

extern const char *const lh_texts_whole[LH_DO_COUNT];                    /* arrays of stages */
extern const char lh_text_simple[], lh_text_released[], lh_text_ended[]; /* expressions, of the short acquire */
extern const char lh_text_renew_fields[], lh_text_leave_fields[], lh_text_short_fields[], lh_text_fields[],
    lh_text_queue_fields[], lh_text_poll_fields[], lh_text_removable[], lh_text_judge[], lh_text_shuts_out[],
    lh_text_shuts_out_shared[], lh_text_stats[];

/* name: {$literal: value}: a string would be an expression otherwise. NULL: null. */
void lh_append_literal(bson_t *to, const char *name, const char *value);

/* The scale of tokens: 2^22 a second. On a set from the cluster time, which never goes back over failovers; a standalone has
 * only its own clock. */
void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms);

/* The constant expressions of the short acquire. */
typedef struct lh_terms {
    bson_t *simple, *released, *ended;
} lh_terms;

/* Appends `update`: the short form, in which all that a call gives stands as a literal. */
void lh_short_update(lh_do what, const lh_terms *terms, const lh_vars *vars, bson_t *command);

#endif
