/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files pipeline*.c: the constant texts. */
#ifndef LH_PIPELINE_TEXT_H
#define LH_PIPELINE_TEXT_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_fill.h"

enum { LH_SHORT_COUNT = 16 };
extern const char *const lh_texts_whole[LH_OP_COUNT];    /* arrays of stages */
extern const char *const lh_texts_short[LH_SHORT_COUNT]; /* whole commands, with holes */
extern const char lh_text_fields[], lh_text_queue_fields[], lh_text_poll_fields[],
    lh_text_removable[], lh_text_judge[], lh_text_shuts_out[], lh_text_shuts_out_shared[],
    lh_text_stats[];

#endif
