/* SPDX-License-Identifier: Apache-2.0
 * The JSON objects of the contract: the same on the command line and over HTTP. */
#include "common/objects.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

static const char *const state_words[] = {
    [LH_FREE] = "free", [LH_HELD] = "held", [LH_MALFORMED] = "malformed"};
static const char *const mode_words[] = {[LH_EXCLUSIVE] = "exclusive", [LH_SHARED] = "shared"};

static bool hides_hosts;

void objects_hide_hosts(void)
{
    hides_hosts = true;
}

static void append_host(bson_t *json, const char *host, int64_t pid)
{
    json_text(json, "host", hides_hosts ? NULL : host);
    json_number_or_null(json, "pid", hides_hosts ? 0 : pid, 0);
}

static void append_holder(bson_t *json, const lh_holder *holder)
{
    json_text(json, "owner", holder->owner);
    append_host(json, holder->host, holder->pid);
    json_text(json, "purpose", holder->purpose);
    json_text(json, "mode", mode_words[holder->mode]);
    json_number_or_null(json, "token", holder->token, 0);
    json_time(json, "acquired_at", holder->acquired_at_ms, 0);
    json_time(json, "expires_at", holder->expires_at_ms, LH_NEVER);
    json_number_or_null(json, "remaining_ms", holder->remaining_ms, LH_NEVER);
    bson_append_bool(json, "kept", -1, holder->kept);
}

void object_append_holders(bson_t *json, const lh_record *record)
{
    bson_t array, item;
    const lh_holder *holder;
    bson_append_array_begin(json, "holders", -1, &array);
    for (size_t i = 0; (holder = lh_record_holder(record, i)); i++) {
        json_item_begin(&array, (uint32_t)i, &item);
        append_holder(&item, holder);
        bson_append_document_end(&array, &item);
    }
    bson_append_array_end(json, &array);
}

static void append_waiters(bson_t *json, const lh_record *record)
{
    bson_t array, item;
    const lh_waiter *waiter;
    bson_append_array_begin(json, "waiters", -1, &array);
    for (size_t i = 0; (waiter = lh_record_waiter(record, i)); i++) {
        json_item_begin(&array, (uint32_t)i, &item);
        json_text(&item, "owner", waiter->owner);
        json_text(&item, "purpose", waiter->purpose);
        json_text(&item, "mode", mode_words[waiter->mode]);
        json_time(&item, "since", waiter->since_ms, 0);
        bson_append_document_end(&array, &item);
    }
    bson_append_array_end(json, &array);
}

/* null where there is no text. */
static void append_note(bson_t *json, const char *text, int64_t token, int64_t at_ms)
{
    bson_t note;
    if (!text || !*text) {
        json_text(json, "note", NULL);
        return;
    }
    bson_append_document_begin(json, "note", -1, &note);
    json_text(&note, "text", text);
    json_number_or_null(&note, "token", token, 0);
    json_time(&note, "at", at_ms, 0);
    bson_append_document_end(json, &note);
}

static void append_released(bson_t *json, const lh_record *record)
{
    if (!*record->released_how) {
        json_text(json, "released", NULL);
        return;
    }
    bson_t released;
    bson_append_document_begin(json, "released", -1, &released);
    json_text(&released, "owner", record->released_owner);
    json_text(&released, "how", record->released_how);
    json_text(&released, "by", record->released_by);
    json_text(&released, "reason", record->released_reason);
    json_time(&released, "at", record->released_at_ms, 0);
    bson_append_document_end(json, &released);
}

void object_status(bson_t *json, const lh_record *record)
{
    json_init(json, NULL);
    json_text(json, "key", record->key);
    json_text(json, "state", state_words[record->state]);
    json_number(json, "token", record->token);
    object_append_holders(json, record);
    append_waiters(json, record);
    append_released(json, record);
    append_note(json, record->note, record->note_token, record->note_at_ms);
    if (record->state == LH_MALFORMED)
        json_text(json, "problem", record->problem);
    if (*record->id_json)
        json_text(json, "id_json", record->id_json);
    if (*record->document_id)
        json_text(json, "document_id", record->document_id);
    if (*record->id_taken_by)
        json_text(json, "id_taken_by", record->id_taken_by);
}

void object_free(bson_t *json, const char *key)
{
    bson_t nobody = BSON_INITIALIZER;
    json_init(json, NULL);
    json_text(json, "key", key);
    json_text(json, "state", state_words[LH_FREE]);
    json_number(json, "token", 0);
    BSON_APPEND_ARRAY(json, "holders", &nobody);
    BSON_APPEND_ARRAY(json, "waiters", &nobody);
    json_text(json, "released", NULL);
    json_text(json, "note", NULL);
}

void object_append_reason(bson_t *json, const lh_error *error)
{
    if (error->reason)
        json_text(json, "reason", lh_reason_word(error->reason));
}

void object_append_busy(bson_t *json, const char *key, const lh_record *record,
                        const lh_error *error)
{
    const lh_holder *holder = record ? lh_record_holder(record, 0) : NULL;
    bson_t item;
    json_text(json, "key", key);
    json_text(json, "reason",
              error->reason ? lh_reason_word(error->reason)
                            : lh_why_word(record ? record->why : LH_WHY_RACE));
    if (record && record->why == LH_WHY_PATH)
        json_text(json, "holder_key", record->key);
    if (holder) {
        bson_append_document_begin(json, "holder", -1, &item);
        append_holder(&item, holder);
        bson_append_document_end(json, &item);
    } else {
        json_text(json, "holder", NULL);
    }
    json_number(json, "holders", record ? (int64_t)record->holders : 0);
    json_number(json, "waiters", record ? (int64_t)record->waiters : 0);
    json_number(json, "retry_after_ms", record ? record->retry_after_ms : 0);
}

/* Whether the lease is enforced; and if it would have been refused, the outcome and the reason. */
static void append_rollout(bson_t *json, const lh_lease *lease)
{
    const lh_error *refusal = lh_lease_refusal(lease);
    bson_append_bool(json, "enforced", -1, lh_lease_enforced(lease));
    if (!refusal)
        return;
    json_text(json, "refusal", lh_outcome_word(refusal->code));
    object_append_reason(json, refusal);
    json_text(json, "message", refusal->message);
}

void object_lease(bson_t *json, const char *outcome, lh_lease *lease, const char *owner)
{
    json_init(json, outcome);
    json_text(json, "key", lh_lease_key(lease));
    json_text(json, "lease", lh_lease_id(lease));
    if (owner) {
        json_text(json, "owner", owner);
        json_text(json, "mode", mode_words[lh_lease_mode(lease)]);
    }
    json_number(json, "token", lh_lease_token(lease));
    json_number(json, "ttl_ms", lh_lease_ttl_ms(lease));
    json_time(json, "expires_at", lh_lease_expires_at_ms(lease), 0);
    json_number(json, "remaining_ms", lh_lease_remaining_ms(lease));
    json_number(json, "renew_after_ms", lh_lease_remaining_ms(lease) / 3);
    append_rollout(json, lease);
    const lh_note *note = NULL;
    if (owner && lh_lease_note(lease, &note, NULL) != LH_OK)
        note = NULL;
    if (owner)
        append_note(json, note ? note->text : NULL, note ? note->token : 0, note ? note->at_ms : 0);
}

void object_audit(bson_t *json, const lh_audit_entry *e)
{
    bool grant = strcmp(e->event, "granted") == 0 || strcmp(e->event, "taken_over") == 0;
    json_init(json, NULL);
    json_time(json, "at", e->at_ms, 0);
    json_text(json, "event", e->event);
    json_text(json, "key", e->key);
    json_text(json, "owner", e->owner);
    append_host(json, e->host, e->pid);
    json_text(json, "purpose", e->purpose);
    json_text(json, "mode", grant ? mode_words[e->mode] : NULL); /* ends do not tell */
    json_number_or_null(json, "token", e->token, 0);
    json_text(json, "by", e->by);
    json_text(json, "reason", e->reason);
    json_text(json, "to", e->to);
    json_number_or_null(json, "to_token", e->to_token, 0);
    json_text(json, "previous_owner", e->previous_owner);
    json_text(json, "previous_how", e->previous_how);
}

void object_event(bson_t *json, const lh_event *e)
{
    bool told = e->key[0] != '\0', held = e->expires_at_ms != 0;
    json_init(json, NULL);
    json_text(json, "event", lh_event_word(e->kind));
    json_text(json, "key", e->key);
    json_time(json, "at", e->at_ms, 0);
    json_text(json, "how", e->how);
    json_text(json, "owner", e->owner);
    append_host(json, e->host, e->pid);
    json_text(json, "purpose", e->purpose);
    json_text(json, "mode", told ? mode_words[e->mode] : NULL);
    json_number_or_null(json, "token", e->token, 0);
    json_time(json, "expires_at", held ? e->expires_at_ms : LH_NEVER, LH_NEVER);
    json_text(json, "by", e->by);
    json_text(json, "reason", e->reason);
    append_note(json, e->note, e->token, e->at_ms);
    json_time(json, "kept_until", e->kept_until_ms, 0);
    json_text(json, "id", e->id);
}
