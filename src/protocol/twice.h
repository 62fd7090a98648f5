/* SPDX-License-Identifier: Apache-2.0
 * Fields that are stored twice in one object. BSON allows it and a server stores it; but MongoDB
 * 6.0 aborts when a pipeline changes such a field, on every member that the command reaches. So
 * such a document cannot be read, and a command that met it is not sent again. */
#ifndef LH_TWICE_H
#define LH_TWICE_H

#include <bson/bson.h>

#include "base/error.h"

/* Is a field that a command of ours reads or writes stored twice, at top level or below? `problem`
 * says which; false: none is. Also of the document that a findAndModify returned. Fields of other
 * programs may be there any number of times. */
bool lh_twice_find(const bson_t *document, char *problem, size_t size);

/* LH_DATA: cannot do `what`, because of this document's problem. */
int lh_twice_fail(const char *what, const bson_t *document, const char *problem, lh_error *error);

#endif
