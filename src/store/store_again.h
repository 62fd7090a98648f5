/* SPDX-License-Identifier: Apache-2.0
 * What has to be looked at before a command is sent again whose answer was lost. Pure. */
#ifndef LH_STORE_AGAIN_H
#define LH_STORE_AGAIN_H

#include <stdbool.h>

#include <bson/bson.h>

/* A find, in `look` (initialised and empty), of all documents that `command` is about, whole.
 * False: it changes none of `collection` by a pipeline. */
bool lh_again_look(const bson_t *command, const char *collection, bson_t *look);

#endif
