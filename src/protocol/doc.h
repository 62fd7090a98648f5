/* SPDX-License-Identifier: Apache-2.0
 * The document of a key, as BSON and as structs: what is in it, and what in it cannot be read.
 * Pure. */
#ifndef LH_DOC_H
#define LH_DOC_H

#include <bson/bson.h>

#include "base/error.h"

/* As the server's clock: whoever is dead counts, too. */
#define LH_DOC_ALL INT64_MIN

/* The fields with these names, found in one pass from `in` on. */
typedef struct lh_field {
    bool there;
    bson_iter_t at;
} lh_field;

void lh_doc_spread(bson_iter_t *in, const char *const *names, size_t n, lh_field *ret_fields);

/* A number, or a date, in an object; 0: it has none of that name. */
int64_t lh_doc_number_in(const bson_iter_t *object, const char *field);
int64_t lh_doc_date_in(const bson_iter_t *object, const char *field);

/* "a string", "a number", …: for a sentence. */
const char *lh_doc_type_name(bson_type_t type);

/* Other programs write null or false (or undefined, long ago) where they have nothing to say: that
 * counts as missing, in each field that a command reads. */
bool lh_doc_is_absent(const bson_iter_t *value);

/* The document's token; 0: it has none that can be read. */
int64_t lh_doc_token(const bson_t *document);

/* Is it free, with a token behind which none that could be read would follow? Then nothing is
 * granted, as if it could not be read itself; whoever holds it by such a token goes on with it. */
bool lh_doc_is_spent(const bson_t *document, int64_t now_ms, int64_t grace_ms);

/* Is the field this very string? */
bool lh_doc_has_text(const bson_t *document, const char *field, const char *text);

/* Why a document cannot be read: "expires_at is an array", in `problem`; false when it can. */
bool lh_doc_problem(const bson_t *document, char *problem, size_t size);

/* The same of the document that a findAndModify returned, whose maps the server has judged. */
bool lh_doc_reply_problem(const bson_t *document, char *problem, size_t size);

/* Is it marked as released, and was not extended since by an old program that still thinks that it
 * holds it? */
bool lh_doc_is_freed(const bson_t *document);

/* How one lease id stands in the document that a findAndModify returned. */
typedef struct lh_mine {
    bool holds; /* exclusive or shared, and neither released nor ended by `now_ms` */
    /* … and this very command granted or extended it: only then may it be believed */
    bool written;
    bool lapsed;      /* it holds, but its end has passed: nobody took over yet */
    bool released;    /* it was the last to be released (or taken over) here */
    bool ended;       /* … and by its own release, or nobody took over after its end */
    bool transferred; /* it was the last here, and was handed on */
    bool first;       /* nobody was released here before: its grant may have been an insert */
    int mode;         /* LH_EXCLUSIVE or LH_SHARED */
    int64_t token, ttl_ms, acquired_at_ms, expires_at_ms, now_ms;
} lh_mine;

void lh_doc_mine(const bson_t *document, const char *lease_id, lh_mine *ret_mine);

/* How the holder before ended, as a document that is there says; of what it does not say NULL and
 * 0. Borrowed from the document. */
typedef struct lh_ended {
    const char *owner;
    int64_t at_ms;
} lh_ended;

lh_ended lh_doc_ended(const bson_t *document);

/* Is it held by one exclusive holder who is alive (or by nobody knows whom), so that no acquire can
 * be granted? */
bool lh_doc_is_held_alone(const bson_t *document, int64_t grace_ms);

/* A grant that somebody else's command made, as it is told by that command's answer, by a change
 * event, or by a poll. */
typedef struct lh_grant {
    char id[LH_LEASE_ID_LEN + 1];
    int64_t beat; /* the beat that it names; -1: not told */
    int64_t token, expires_at_ms;
} lh_grant;

/* Gives each entry of `granted`: [{k: lease id, v: {beat, token, expires_at}}]. */
void lh_doc_each_grant(const bson_t *document, void (*each)(void *arg, const lh_grant *grant),
                       void *arg);

/* Of a command that may queue: the asker's place in the queue, from 0; -1: not in it. How many
 * wait. */
int64_t lh_doc_place(const bson_t *document);
int64_t lh_doc_waiting(const bson_t *document);

/* What such a record knows besides, for the library alone: lease ids are nobody else's business.
 * Borrowed from the record. */
typedef struct lh_doc_mark {
    const char *id;
    int64_t renewed_at_ms;
} lh_doc_mark;

#endif
