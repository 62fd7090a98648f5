/* SPDX-License-Identifier: Apache-2.0
 * The latest refusals of this server, by key. They are not stored with the keys. */
#ifndef SERVE_BUSY_H
#define SERVE_BUSY_H

#include "serve/request.h"

struct busy;

/* LH_OK, or LH_MEMORY. */
int busy_new(struct busy **ret_busy, lh_error *error);
void busy_free(struct busy *busy);

/* `owner` asked for `key`, and was refused. `record`: the holder and the reason; NULL: a race. */
void busy_note(struct busy *busy, const char *key, const char *owner, const lh_record *record);
void busy_get(struct request *request);

#endif
