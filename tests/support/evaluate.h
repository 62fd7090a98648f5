/* SPDX-License-Identifier: Apache-2.0
 * MongoDB's expressions, evaluated here: those that the protocol is written in, on one document.
 *
 * For what a real server cannot be asked a million times a second: the model, and simulations.
 * live/evaluate holds it and a server together, over documents of all shapes. */
#ifndef LH_TESTS_EVALUATE_H
#define LH_TESTS_EVALUATE_H

#include <bson/bson.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct evaluate_clock {
    int64_t now_ms;              /* $$NOW */
    uint32_t seconds, increment; /* $$CLUSTER_TIME */
} evaluate_clock;

typedef enum evaluate_outcome {
    EVALUATE_DONE, /* *ret_after is the document afterwards: NULL where there is none */
    /* the server would refuse the command, or it uses what is not known here: `problem` */
    EVALUATE_FAILED,
} evaluate_outcome;

/* What `command` (a findAndModify, or an update of one statement, by a pipeline) makes of `before`,
 * the document that its filter finds (NULL: none, and nothing is inserted without an upsert). An
 * insert without an _id gets `fresh_id`. `*ret_after` is new, also where nothing has changed. */
evaluate_outcome evaluate_update(const bson_t *command, const bson_t *before, evaluate_clock clock,
                                 const bson_oid_t *fresh_id, bson_t **ret_after, char *problem,
                                 size_t size);

/* What the command's `fields` (of a findAndModify) or `projection` (of a find) show of
 * `document`. */
evaluate_outcome evaluate_fields(const bson_t *command, const bson_t *document,
                                 evaluate_clock clock, bson_t **ret_shown, char *problem,
                                 size_t size);

#ifdef __cplusplus
}
#endif

#endif
