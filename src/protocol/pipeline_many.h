/* SPDX-License-Identifier: Apache-2.0
 * The commands of pipeline.h on many keys at once: an `update` with a statement for each. Pure. */
#ifndef LH_PIPELINE_MANY_H
#define LH_PIPELINE_MANY_H

#include "protocol/pipeline.h"

/* Appends an update that does `what` to the document of each of `vars`, in their order, as
 * lh_pipeline_command() would. For those that acquire it is an upsert, and `stop` makes it end,
 * with a writeError, at the first that is not granted: what comes behind is not touched. */
void lh_many_command(const lh_pipelines *pipelines, lh_do what, bool whole, const char *collection,
                     const lh_vars *vars, size_t n, bool stop, bson_t *command);

#endif
