/* SPDX-License-Identifier: Apache-2.0
 * The documents to read before a command is sent again whose reply was lost. Pure. */
#ifndef LH_STORE_AGAIN_H
#define LH_STORE_AGAIN_H

#include <stdbool.h>

#include <bson/bson.h>

/* Writes to `look` (initialised and empty) a find of all documents that `command` names. False: the
 * command changes no document of `collection` with a pipeline. */
bool lh_again_look(const bson_t *command, const char *collection, bson_t *look);

#endif
