/* SPDX-License-Identifier: Apache-2.0
 * Reading a field of a document: of the history, the oplog. */
#ifndef TORTURE_FIELD_H
#define TORTURE_FIELD_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stdint.h>

/* "" where it is no text. It points into `from`. */
const char *field_text(const bson_t *from, const char *name);
/* Also of a date: milliseconds. `otherwise` where it is neither. */
int64_t field_number(const bson_t *from, const char *name, int64_t otherwise);
bool field_flag(const bson_t *from, const char *name);
/* False where it is no document. *ret_part points into `from`, and need not be destroyed. */
bool field_part(const bson_t *from, const char *name, bson_t *ret_part);

#endif
