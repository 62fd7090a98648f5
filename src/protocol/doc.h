/* SPDX-License-Identifier: Apache-2.0
 * The document of a key, as BSON and as structs: what it contains, and which values cannot be read.
 * Pure. */
#ifndef LH_DOC_H
#define LH_DOC_H

#include <bson/bson.h>

#include "base/error.h"

/* Passed as the server's clock: dead holders and waiters count too. */
#define LH_DOC_ALL INT64_MIN

/* The fields with these names. lh_doc_spread() finds them in one pass that begins at `in`. */
typedef struct lh_field {
    bool there;
    bson_iter_t at;
} lh_field;

void lh_doc_spread(bson_iter_t *in, const char *const *names, size_t n, lh_field *ret_fields);

/* Appends a text to an array that has *n elements. */
void lh_doc_append_text(bson_t *array, uint32_t *n, const char *text, size_t len);

/* A number, or a date, in an object; 0 if there is none with that name. */
int64_t lh_doc_number_in(const bson_iter_t *object, const char *field);
int64_t lh_doc_date_in(const bson_iter_t *object, const char *field);

/* The type as words for a message: "a string", "a number", …. */
const char *lh_doc_type_name(bson_type_t type);

/* Other programs write null or false (long ago also undefined) into a field that has no value. That
 * counts as missing, in each field that a command reads. */
bool lh_doc_is_absent(const bson_iter_t *value);

/* The document's token. 0: missing or unreadable. */
int64_t lh_doc_token(const bson_t *document);

/* Whether the document is free, with a token so high that no higher one could be stored. Then
 * nothing is granted, as if the document could not be read. A holder with such a token keeps the
 * lease. */
bool lh_doc_is_spent(const bson_t *document, int64_t now_ms, int64_t grace_ms);

/* Whether the field is exactly this string. */
bool lh_doc_has_text(const bson_t *document, const char *field, const char *text);

/* False: the document can be read. True: `problem` is the reason, such as "expires_at is an
 * array". */
bool lh_doc_problem(const bson_t *document, char *problem, size_t size);

/* The same for the document in the reply to a findAndModify, in which the server has checked the
 * maps. */
bool lh_doc_reply_problem(const bson_t *document, char *problem, size_t size);

/* Whether it is marked as released, is no longer kept, and was not extended after that by an old
 * program that still believes it holds the key. */
bool lh_doc_is_freed(const bson_t *document, int64_t now_ms);

/* Whether its holder released it, and keeps the key taken until its end. */
bool lh_doc_is_kept(const bson_t *document);

/* The lease id in `released.id`, which is another string while the key is kept. */
const char *lh_doc_released_of(const char *released_id);

/* What the document in the reply to a findAndModify says about one lease id. */
typedef struct lh_mine {
    bool holds; /* it is a holder, exclusive or shared, neither released nor ended by `now_ms` */
    /* … and this command granted or extended it: only then may it be believed */
    bool written;
    bool lapsed;      /* it is a holder whose end has passed; no other process has taken over yet */
    bool released;    /* it was the last one released (or taken over) here */
    bool ended;       /* … by its own release; or it ended, and no other process took over */
    bool transferred; /* it was the last one here, and was transferred to another owner */
    bool first;       /* no lease was released here before, so its grant may have been an insert */
    int mode;         /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token, ttl_ms, acquired_at_ms, expires_at_ms, now_ms;
} lh_mine;

void lh_doc_mine(const bson_t *document, const char *lease_id, lh_mine *ret_mine);

/* How the previous holder ended, as far as the document records it; else NULL and 0. Borrowed from
 * the document. */
typedef struct lh_ended {
    const char *owner;
    int64_t at_ms;
} lh_ended;

lh_ended lh_doc_ended(const bson_t *document);

/* Whether one exclusive holder, who is alive, holds the key, so that no acquire can be granted. A
 * document without a known holder or end counts as held. */
bool lh_doc_is_held_alone(const bson_t *document, int64_t grace_ms);

/* A grant that another process's command made. It comes from that command's reply, a change event,
 * or a poll. */
typedef struct lh_grant {
    char id[LH_LEASE_ID_LEN + 1];
    int64_t beat; /* the beat in the grant; -1: not known */
    int64_t token, expires_at_ms;
} lh_grant;

/* Calls `each` for each entry of `granted`: [{k: lease id, v: {beat, token, expires_at}}]. */
void lh_doc_each_grant(const bson_t *document, void (*each)(void *arg, const lh_grant *grant),
                       void *arg);

/* For the reply to a command that may queue: its place in the queue, from 0 (-1: not in the queue),
 * and the number of waiters. */
int64_t lh_doc_place(const bson_t *document);
int64_t lh_doc_waiting(const bson_t *document);

/* What a record also holds, for the library alone, since lease ids are never shown to others.
 * Borrowed from the record. */
typedef struct lh_doc_mark {
    const char *id;
    int64_t renewed_at_ms;
} lh_doc_mark;

#endif
