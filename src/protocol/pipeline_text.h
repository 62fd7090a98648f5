/* SPDX-License-Identifier: Apache-2.0
 * Between the files of this module: the constant texts, and how variables are written. */
#ifndef LH_PIPELINE_TEXT_H
#define LH_PIPELINE_TEXT_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_fill.h"

enum { LH_SHORT_COUNT = 16 };
extern const char *const lh_texts_whole[LH_DO_COUNT];    /* arrays of stages */
extern const char *const lh_texts_short[LH_SHORT_COUNT]; /* whole commands, with holes */
extern const char lh_text_fields[], lh_text_queue_fields[], lh_text_poll_fields[], lh_text_removable[], lh_text_judge[],
    lh_text_shuts_out[], lh_text_shuts_out_shared[], lh_text_stats[];

/* name: {$literal: value}: a string would be an expression otherwise. NULL: null. */
void lh_append_literal(bson_t *to, const char *name, const char *value);

/* The scale of tokens: 2^22 a second. On a set from the cluster time, which never goes back over failovers; a standalone has
 * only its own clock. */
void lh_let_clock(bson_t *let, const char *name, bool set, int64_t ago_ms);

/* One of lh_texts_short, made ready. NULL: out of memory. */
lh_fill *lh_short_new(const char *text);

/* `forms`: all of them. `command` is initialised, and empty. */
void lh_short_command(lh_do what, lh_fill *const *forms, const char *collection, const lh_vars *vars, bson_t *command);

#endif
