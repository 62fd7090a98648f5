/* SPDX-License-Identifier: Apache-2.0
 * What the server's error codes mean, and the sentence for what it refuses for good. */
#ifndef LH_STORE_REFUSED_H
#define LH_STORE_REFUSED_H

#include <bson/bson.h>

#include "base/error.h"
#include "base/shell.h"

/* What a server's error code says of the command that it answers. */
typedef enum {
    /* not applied, and would not be the next time: a person must change something */
    LH_CODE_REFUSED,
    LH_CODE_DENIED,  /* likewise: credentials or privileges */
    LH_CODE_NOT_RUN, /* surely not applied; worth another attempt */
    /* surely not applied; another operation of the server must end first, which may take long */
    LH_CODE_LATER,
    LH_CODE_OPEN, /* may have been applied */
} lh_code_kind;
lh_code_kind lh_store_code_kind(uint32_t code);

/* Why what was not applied was not, where the code says: the reason of an LH_UNREACHABLE. */
int lh_store_code_reason(uint32_t code);

/* The server's error codes that more than one file knows by name. */
enum {
    LH_MONGO_BAD_VALUE = 2,
    LH_MONGO_NAMESPACE_NOT_FOUND = 26,
    LH_MONGO_INDEX_NOT_FOUND = 27,
    LH_MONGO_INDEX_OPTIONS_CONFLICT = 85,
    LH_MONGO_DUPLICATE_KEY = 11000,
};

enum { LH_CODE_NO_API_VERSION = 498870 }; /* requireApiVersion is set, and none was declared */

typedef struct lh_refusal {
    const char *what;            /* "acquire the lease": for the sentence */
    const char *db, *collection; /* that the command was about; NULL: unknown */
    const bson_t *reply;         /* the server's answer; NULL: there is none */
    uint32_t code;
    const char *message; /* the server's */
} lh_refusal;

/* What to do about a validator that refuses; `advice` has room for it. */
enum { LH_ADVICE_ROOM = LH_CALL_ROOM + 128 };
void lh_store_validator_advice(const char *db, const char *collection, char advice[LH_ADVICE_ROOM]);

/* LH_CONFIG: the feature compatibility version is below 6.0. `version`: which it is; NULL:
 * unknown. */
int lh_store_fail_old_compatibility(const char *version, lh_error *error);

/* The collection that a command is about: the text of its first field. NULL: it names none. */
const char *lh_store_collection_of(const bson_t *command);

/* Fills `error` with what was refused, why, and, where we know, what to do; returns LH_CONFIG,
 * LH_DATA or LH_SERVER. */
int lh_store_fail_refused(const lh_refusal *refusal, lh_error *error);

/* A document would be larger than the server allows: a code of its own at each place, and BadValue
 * at inserts. */
bool lh_store_is_too_large(uint32_t code, const char *message);

/* The refusal in a reply's first write error whose code is not `harmless` (0: none is); false:
 * there is none. */
bool lh_store_write_error(const bson_t *reply, uint32_t harmless, lh_refusal *ret_refusal);

#endif
