/* SPDX-License-Identifier: Apache-2.0
 * JSON objects in the form of the contract: built with libbson, printed on one line. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <bson/bson.h>
#include <stdio.h>

/* {"v":1,"outcome":outcome …; without an outcome when that is NULL. To be printed, or destroyed
 * with bson_destroy(). */
void json_init(bson_t *json, const char *outcome);

/* A string; null for NULL and "". */
void json_text(bson_t *json, const char *name, const char *text);
/* A number; null where it is `none`. */
void json_number_or_null(bson_t *json, const char *name, int64_t number, int64_t none);
void json_number(bson_t *json, const char *name, int64_t number);
/* An instant as RFC 3339; null where it is `none`, or beyond what can be written. */
void json_time(bson_t *json, const char *name, int64_t at_ms, int64_t none);

/* Begins the object at index `n` of an array; to be ended with bson_append_document_end(). */
void json_item_begin(bson_t *array, uint32_t n, bson_t *ret_item);

/* Puts `item` there, and destroys it. */
void json_item(bson_t *array, uint32_t n, bson_t *item);

/* Writes it, without an end of line, and destroys it. */
void json_write(FILE *to, bson_t *json);
/* Prints it as a line on stdout and destroys it. */
void json_print(bson_t *json);

#endif
