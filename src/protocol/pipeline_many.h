/* SPDX-License-Identifier: Apache-2.0
 * The commands of pipeline.h for many keys at once: an `update` with a statement for each key.
 * Pure. */
#ifndef LH_PIPELINE_MANY_H
#define LH_PIPELINE_MANY_H

#include "protocol/pipeline.h"

/* Appends an update that does to the document of each of `vars`, in their order, what
 * lh_pipeline_command() would do. For an acquire it is an upsert. `stop` ends it, with a
 * writeError, at the first key that is not granted; later keys are not touched. */
void lh_many_command(const lh_pipelines *pipelines, lh_do what, bool whole, const char *collection,
                     const lh_vars *vars, size_t n, bool stop, bson_t *command);

#endif
