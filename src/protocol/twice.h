/* SPDX-License-Identifier: Apache-2.0
 * Fields that are stored twice in one object. BSON allows this, and a server stores it. But MongoDB
 * 6.0 aborts when a pipeline changes such a field, and so does every member that the command
 * reaches. So such a document counts as unreadable, and a command that met one is never sent
 * again. */
#ifndef LH_TWICE_H
#define LH_TWICE_H

#include <bson/bson.h>

#include "base/error.h"

/* Whether a field that our commands read or write is stored twice, at the top level or below. If
 * so, `problem` names it. Also works on the document in the reply to a findAndModify. Fields of
 * other programs may occur any number of times. */
bool lh_twice_find(const bson_t *document, char *problem, size_t size);

/* Returns LH_DATA: cannot do `what`, because of this document's problem. */
int lh_twice_fail(const char *what, const bson_t *document, const char *problem, lh_error *error);

#endif
