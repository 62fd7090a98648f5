/* SPDX-License-Identifier: Apache-2.0
 * The short forms (protocol/short.lp): what differs from call to call is filled into their
 * texts. */
#ifndef LH_PIPELINE_SHORT_H
#define LH_PIPELINE_SHORT_H

#include "protocol/pipeline.h"
#include "protocol/pipeline_text.h"

/* Makes a findAndModify on `collection` for the key in `command`, which is initialised and empty:
 * all but its concern. `whole`: the form that decides every document; else the short one, if
 * lh_pipeline_has_short(), which leaves untouched what is not simple. The short renewal and release
 * are an update: all that they have to say is whether they changed the document. */
bool lh_pipeline_has_short(lh_do what, const lh_vars *vars);

/* One of lh_texts_short, made ready. NULL: out of memory. */
lh_fill *lh_short_new(const char *text);

/* `forms`: all of them. `command` is initialised, and empty. */
void lh_short_command(lh_do what, lh_fill *const *forms, const char *collection,
                      const lh_vars *vars, bson_t *command);

#endif
