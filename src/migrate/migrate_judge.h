/* SPDX-License-Identifier: Apache-2.0
 * Chooses the document of a key that stays, and gives the reason. */
#ifndef LH_MIGRATE_JUDGE_H
#define LH_MIGRATE_JUDGE_H

#include "migrate/migrate_parts.h"

void lh_group_init(lh_group *group);
void lh_group_fini(lh_group *group);
void lh_group_clear(lh_group *group);

/* The key of the group, borrowed until the group changes. NULL if the group is empty. */
const char *lh_group_key(const lh_group *group, uint32_t *ret_len);

/* Judges one more document of the same key. */
void lh_group_add(lh_group *group, const bson_t *document);

/* Reports a group with duplicates to the caller's `verdict`. */
void lh_group_report(const lh_group *group, const lh_migration *m);

/* A view of the BSON at `data`, which begins with its length. */
void lh_document_view(const uint8_t *data, bson_t *ret_document);

/* The string key of a document. NULL if its workspace_id is not a string. */
const char *lh_document_key(const bson_t *document, uint32_t *ret_len);

/* The value of _id as extended JSON, truncated to `size`. */
void lh_document_id_text(const bson_t *document, char *ret_text, size_t size);

#endif
