/* SPDX-License-Identifier: Apache-2.0
 * Which document of a key stays, and the sentence why. */
#ifndef LH_MIGRATE_JUDGE_H
#define LH_MIGRATE_JUDGE_H

#include "migrate/migrate_parts.h"

void lh_group_init(lh_group *group);
void lh_group_fini(lh_group *group);
void lh_group_clear(lh_group *group);

/* Its key, as in the best document; valid until the next change. NULL when empty. */
const char *lh_group_key(const lh_group *group, uint32_t *ret_len);

/* Judges one more document of the same key. */
void lh_group_add(lh_group *group, const bson_t *document);

/* Tells the caller's `verdict` about a group with duplicates. */
void lh_group_tell(const lh_group *group, const lh_migration *m);

/* A view of BSON in somebody's memory; it begins with its length. */
void lh_document_view(const uint8_t *data, bson_t *ret_document);

/* The string key of a document, NULL when its workspace_id is no string. */
const char *lh_document_key(const bson_t *document, uint32_t *ret_len);

/* The value of _id as extended JSON, cut to fit. */
void lh_document_id_text(const bson_t *document, char *ret_text, size_t size);

#endif
