/* SPDX-License-Identifier: Apache-2.0
 * The commands of pipeline.h for many keys at once: an `update` with a statement for each key.
 * Pure. */
#ifndef LH_PIPELINE_MANY_H
#define LH_PIPELINE_MANY_H

#include "protocol/pipeline.h"

typedef struct {
    lh_op op;
    bool whole; /* the whole form; else the short one */
    /* at the first key that is not granted, with a writeError; later keys stay untouched */
    bool stop;
    const char *collection;
    const lh_vars *vars; /* of each key */
    size_t n;
} lh_many_form;

/* Appends an update that does to the document of each key, in their order, what
 * lh_pipeline_command() would do. For an acquire it is an upsert. */
void lh_many_command(const lh_pipelines *pipelines, const lh_many_form *form, bson_t *command);

#endif
