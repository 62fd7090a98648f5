/* SPDX-License-Identifier: Apache-2.0
 * The JSON objects of the contract. Those that are begun here are printed, written or destroyed by
 * the caller. */
#ifndef COMMON_OBJECTS_H
#define COMMON_OBJECTS_H

#include <bson/bson.h>
#include <leasehold/leasehold.h>

/* From now on hosts and process numbers are null. Before there are threads. */
void objects_hide_hosts(void);

/* That of a key without a document. */
void object_free(bson_t *json, const char *key);
/* Begins the status object. */
void object_status(bson_t *json, const lh_record *record);
/* Begins {"v":1,"outcome":outcome, …} of a lease, for its holder. `owner` NULL: without owner, mode
 * and note (which may have to be read first; it is null where that cannot be done). */
void object_lease(bson_t *json, const char *outcome, lh_lease *lease, const char *owner);
/* Begins the object of an entry of the trail. */
void object_audit(bson_t *json, const lh_audit_entry *entry);
/* Begins an event's object. */
void object_event(bson_t *json, const lh_event *event);

/* Appends "holders":[…]. */
void object_append_holders(bson_t *json, const lh_record *record);
/* Appends the fields of a busy object after v and outcome. `record` may be NULL. */
void object_append_busy(bson_t *json, const char *key, const lh_record *record,
                        const lh_error *error);
/* "reason": the word of the error's reason, if it has one. */
void object_append_reason(bson_t *json, const lh_error *error);

#endif
