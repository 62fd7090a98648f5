/* SPDX-License-Identifier: Apache-2.0
 * Prints the commands that the library sends, one JSON object {name: command} a line, with
 * sentinels where the variables are: commands.py makes commands.json of it, and its test holds the
 * file and the library together. */
#include <stdio.h>
#include <string.h>

#include "protocol/pipeline.h"
#include "protocol/pipeline_batch.h"

enum { TTL = 900000001, GRACE, TOKEN, MAX_SHARED, PID, CLAIM, BEAT, MAX_WAITERS, KEEP };

static void print(const char *name, bson_t *command)
{
    char *json = bson_as_canonical_extended_json(command, NULL);
    printf("{\"%s\": %s}\n", name, json);
    bson_free(json);
    bson_destroy(command);
}

static void print_pipeline(const lh_pipelines *pipelines, const char *name, lh_op what, bool whole,
                           const lh_vars *vars)
{
    bson_t command = BSON_INITIALIZER;
    lh_pipeline_command(pipelines, what, whole, "<collection>", vars, &command);
    print(name, &command);
}

int main(void)
{
    lh_pipelines *pipelines = lh_pipelines_new();
    if (!pipelines)
        return 1;
    lh_vars asks = {.key = "<key>",
                    .me = "<lease>",
                    .owner = "<owner>",
                    .host = "<host>",
                    .purpose = "<purpose>",
                    .pid = PID,
                    .ttl_ms = TTL,
                    .grace_ms = GRACE,
                    .token = TOKEN,
                    .max_shared = MAX_SHARED,
                    .proc = "<proc>",
                    .set = true};
    lh_vars waits = asks;
    waits.claim_ms = CLAIM;
    waits.beat = BEAT;
    waits.max_waiters = MAX_WAITERS;
    lh_vars hands = asks;
    hands.to = "<to>";
    hands.to_owner = "<to_owner>";
    lh_vars leaves = asks;
    leaves.note = "<note>";
    print_pipeline(pipelines, "acquire", LH_OP_ACQUIRE_EXCLUSIVE, true, &asks);
    print_pipeline(pipelines, "acquire_short", LH_OP_ACQUIRE_EXCLUSIVE, false, &asks);
    print_pipeline(pipelines, "acquire_shared", LH_OP_ACQUIRE_SHARED, true, &asks);
    print_pipeline(pipelines, "wait", LH_OP_WAIT_EXCLUSIVE, true, &waits);
    print_pipeline(pipelines, "wait_shared", LH_OP_WAIT_SHARED, true, &waits);
    print_pipeline(pipelines, "renew", LH_OP_RENEW, true, &asks);
    print_pipeline(pipelines, "renew_short", LH_OP_RENEW, false, &asks);
    print_pipeline(pipelines, "release", LH_OP_RELEASE, true, &leaves);
    print_pipeline(pipelines, "release_short", LH_OP_RELEASE, false, &asks);
    leaves.keep_ms = KEEP;
    print_pipeline(pipelines, "release_kept", LH_OP_RELEASE_KEPT, true, &leaves);
    print_pipeline(pipelines, "transfer", LH_OP_TRANSFER, true, &hands);
    lh_vars breaks = asks;
    bson_value_t seen[3] = {{.value_type = BSON_TYPE_UTF8},
                            {.value_type = BSON_TYPE_UTF8},
                            {.value_type = BSON_TYPE_UTF8}};
    static const char *const names[] = {"<seen_doc_id>", "<seen_id>", "<seen_token>"};
    for (size_t i = 0; i < 3; i++) {
        seen[i].value.v_utf8.str = bson_strdup(names[i]);
        seen[i].value.v_utf8.len = (uint32_t)strlen(names[i]);
    }
    breaks.by = "<by>";
    breaks.reason = "<reason>";
    breaks.seen_doc_id = &seen[0];
    breaks.seen_id = &seen[1];
    breaks.seen_token = &seen[2];
    print_pipeline(pipelines, "break", LH_OP_BREAK, true, &breaks);
    for (size_t i = 0; i < 3; i++)
        bson_free(seen[i].value.v_utf8.str);
    bson_t command = BSON_INITIALIZER;
    lh_batch_beat beat = {.key = "<key>", .id = "<lease>", .beat = BEAT};
    size_t statements;
    lh_batch_beats("<collection>", &beat, 1, &statements, &command);
    print("beat", &command);
    lh_pipelines_free(pipelines);
    return 0;
}
