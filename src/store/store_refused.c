/* SPDX-License-Identifier: Apache-2.0
 * The one table of the server's error codes (error_codes.yml: https://github.com/mongodb/mongo,
 * src/mongo/base; codes above 10000 are also assertions in its source). Home of the rule that only
 * what may pass by itself is asked again, or called unreachable. */
#include "store/store_refused.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/key.h"

enum { CODE_VALIDATION = 121, CODE_TOO_LARGE = 10334, NAMES_ROOM = 160 };

/* `advice` may name the collection, once. */
typedef struct {
    uint32_t code;
    lh_code_kind kind;
    /* an outcome, or a reason, which has one; what is LH_CODE_OPEN may be LH_UNKNOWN instead */
    int outcome;
    const char *advice;
} meaning;

#define PASSES(code, kind)                                                                         \
    {                                                                                              \
        code, kind, LH_REASON_TIMED_OUT, NULL                                                      \
    }
#define ELECTS(code, kind)                                                                         \
    {                                                                                              \
        code, kind, LH_REASON_NO_PRIMARY, NULL                                                     \
    }
#define LOADED(code)                                                                               \
    {                                                                                              \
        code, LH_CODE_NOT_RUN, LH_REASON_OVERLOADED, NULL                                          \
    }
#define LATER(code)                                                                                \
    {                                                                                              \
        code, LH_CODE_LATER, LH_REASON_IN_PROGRESS, NULL                                           \
    }
#define UNFIT(code, why, advice)                                                                   \
    {                                                                                              \
        code, LH_CODE_REFUSED, why, advice                                                         \
    }

static const char not_mongodb[] = "the server is not MongoDB 6.0 or newer, or a proxy does not "
                                  "pass all commands on: leases need all of MongoDB's commands";
static const char too_large[] = "the document would be larger than MongoDB's limit of 16 MiB: "
                                "remove fields that are not Leasehold's ($unset)";
static const char no_api_version[] =
    "Leasehold declares no API version: in mongosh --apiVersion 1, run "
    "db.adminCommand({setParameter: 1, requireApiVersion: false}), or connect to another server";
/* Only MongoDB 6.0 can be at a version that lacks a command of Leasehold; a newer server would take
 * this call for a downgrade. */
#define SET_VERSION "on MongoDB 6.0, run db.adminCommand({setFeatureCompatibilityVersion: \"6.0\"})"
static const char old_compatibility[] = "finish the upgrade of all members; then, " SET_VERSION;

static const meaning meanings[] = {
    {13, LH_CODE_DENIED, LH_DENIED, NULL}, /* Unauthorized */
    {18, LH_CODE_DENIED, LH_DENIED, NULL}, /* AuthenticationFailed */

    PASSES(24, LH_CODE_NOT_RUN), /* LockTimeout */
    PASSES(46, LH_CODE_NOT_RUN), /* LockBusy */
    PASSES(50,
           /* MaxTimeMSExpired: in the command; while waiting for the majority it is a
         * writeConcernError */
           LH_CODE_NOT_RUN),
    PASSES(107, LH_CODE_NOT_RUN), /* LockFailed */
    PASSES(109, LH_CODE_NOT_RUN), /* ConfigurationInProgress */
    PASSES(112, LH_CODE_NOT_RUN), /* WriteConflict */
    PASSES(122, LH_CODE_NOT_RUN), /* ReadAfterOptimeTimeout */
    ELECTS(133, LH_CODE_NOT_RUN), /* FailedToSatisfyReadPreference */
    PASSES(134, LH_CODE_NOT_RUN), /* ReadConcernMajorityNotAvailableYet: just started */
    /* QueryPlanKilled: an index or the collection was dropped under it */
    PASSES(175, LH_CODE_NOT_RUN),
    /* LinearizableReadConcernError: no longer the primary, perhaps */
    ELECTS(187, LH_CODE_NOT_RUN),
    PASSES(215, LH_CODE_NOT_RUN),   /* DatabaseDropPending */
    ELECTS(216, LH_CODE_NOT_RUN),   /* ElectionInProgress */
    PASSES(234, LH_CODE_NOT_RUN),   /* RetryChangeStream */
    LOADED(261),                    /* TooManyLogicalSessions */
    PASSES(262, LH_CODE_NOT_RUN),   /* ExceededTimeLimit */
    LOADED(264),                    /* TooManyFilesOpen */
    PASSES(308, LH_CODE_NOT_RUN),   /* CurrentConfigNotCommittedYet */
    PASSES(314, LH_CODE_NOT_RUN),   /* ObjectIsBusy */
    LOADED(365),                    /* TemporarilyUnavailable: rolled back, for lack of cache */
    LOADED(402),                    /* ResourceExhausted */
    LOADED(433),                    /* AdmissionQueueOverflow */
    LOADED(449),                    /* RateLimitExceeded */
    LOADED(462),                    /* IngressRequestRateLimitExceeded */
    ELECTS(10058, LH_CODE_NOT_RUN), /* LegacyNotPrimary */
    ELECTS(10107, LH_CODE_NOT_RUN), /* NotWritablePrimary */
    ELECTS(13435, LH_CODE_NOT_RUN), /* NotPrimaryNoSecondaryOk */
    ELECTS(13436, LH_CODE_NOT_RUN), /* NotPrimaryOrSecondary */
    LOADED(16500),                  /* of Azure's Cosmos DB: too many requests a second */

    LATER(117),   /* ConflictingOperationInProgress */
    LATER(267),   /* PreparedTransactionInProgress */
    LATER(285),   /* IndexBuildAlreadyInProgress */
    LATER(12586), /* BackgroundOperationInProgressForDatabase */
    /* BackgroundOperationInProgressForNamespace: an index is being built */
    LATER(12587),

    /* To ask again by the same cursor is of no use; to begin anew is. */
    UNFIT(43, LH_REASON_CURSOR, NULL),  /* CursorNotFound */
    UNFIT(237, LH_REASON_CURSOR, NULL), /* CursorKilled */

    PASSES(6, LH_CODE_OPEN),     /* HostUnreachable */
    PASSES(7, LH_CODE_OPEN),     /* HostNotFound */
    PASSES(89, LH_CODE_OPEN),    /* NetworkTimeout */
    ELECTS(91, LH_CODE_OPEN),    /* ShutdownInProgress */
    ELECTS(189, LH_CODE_OPEN),   /* PrimarySteppedDown */
    PASSES(202, LH_CODE_OPEN),   /* NetworkInterfaceExceededTimeLimit */
    PASSES(279, LH_CODE_OPEN),   /* ClientDisconnect */
    PASSES(355, LH_CODE_OPEN),   /* InterruptedDueToStorageChange */
    PASSES(9001, LH_CODE_OPEN),  /* SocketException */
    ELECTS(11600, LH_CODE_OPEN), /* InterruptedAtShutdown */
    /* Interrupted: somebody's killOp, perhaps while it waited for the majority */
    PASSES(11601, LH_CODE_OPEN),
    ELECTS(11602, LH_CODE_OPEN), /* InterruptedDueToReplStateChange */
    PASSES(46841, LH_CODE_OPEN), /* ClientMarkedKilled */

    UNFIT(59, LH_REASON_VERSION, not_mongodb),    /* CommandNotFound */
    UNFIT(115, LH_REASON_VERSION, not_mongodb),   /* CommandNotSupported */
    UNFIT(238, LH_REASON_VERSION, not_mongodb),   /* NotImplemented */
    UNFIT(168, LH_REASON_VERSION, not_mongodb),   /* InvalidPipelineOperator */
    UNFIT(40324, LH_REASON_VERSION, not_mongodb), /* Unrecognized pipeline stage name */
    UNFIT(148, LH_CONFIG,
          "start the server with majority read concern (enableMajorityReadConcern), the default"),
    UNFIT(166, LH_REASON_COLLECTION, "the collection's name belongs to a view: choose another"),
    UNFIT(CODE_VALIDATION, LH_REASON_VALIDATOR,
          "let the collection's validator accept the documents of leases, or only warn"),
    UNFIT(243, LH_REASON_COMPATIBILITY, old_compatibility),
    UNFIT(258, LH_REASON_COMPATIBILITY, old_compatibility),
    UNFIT(322, LH_REASON_API_VERSION, no_api_version),                    /* APIVersionError */
    UNFIT(323, LH_REASON_API_VERSION, no_api_version),                    /* APIStrictError */
    UNFIT(LH_CODE_NO_API_VERSION, LH_REASON_API_VERSION, no_api_version), /* none was declared */
    UNFIT(13297, LH_REASON_NAME,
          "spell the name of the database as the server has it (--db)"), /* DatabaseDifferCase */
    {73, LH_CODE_REFUSED, LH_REASON_NAME,
     "choose another name for the database or the collection (--db, --collection)"},
    {291, LH_CODE_REFUSED, LH_REASON_NO_SCAN,
     "the server refuses a command that needs a scan, because it has no index (notablescan): run "
     "the migration (leasehold migrate) if the unique index is missing, else "
     "db.adminCommand({setParameter: 1, notablescan: false})"},
    {8000, LH_CODE_REFUSED, LH_REASON_LIMIT,
     "this is a limit of MongoDB Atlas, such as the space or the number of names: raise the limit"},
    {14031, LH_CODE_REFUSED, LH_REASON_DISK_FULL, "the server's disk is full: free some space"},
    {CODE_TOO_LARGE, LH_CODE_REFUSED, LH_REASON_TOO_LARGE, too_large},
    /* MongoDB 7.0; 6.0 dies of it (protocol/twice.h) */
    {7693400, LH_CODE_REFUSED, LH_DATA,
     "a field of the document is stored twice: `leasehold status KEY` names the field"},
    {17280, LH_CODE_REFUSED, LH_REASON_KEY_TOO_LONG,
     "the key is too long for an index of this server"},
};

bool lh_store_is_too_large(uint32_t code, const char *message)
{
    return code == CODE_TOO_LARGE || code == 17419 || code == 17420 ||
           (code == LH_MONGO_BAD_VALUE && strstr(message, "too large"));
}

static const meaning *find(uint32_t code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return NULL;
}

lh_code_kind lh_store_code_kind(uint32_t code)
{
    const meaning *known = find(code);
    return known ? known->kind : LH_CODE_REFUSED;
}

int lh_store_code_reason(uint32_t code)
{
    const meaning *known = find(code);
    lh_assert(known && known->kind != LH_CODE_REFUSED && known->kind != LH_CODE_DENIED);
    return known->outcome;
}

/* ---- What a validator wants -------------------------------------------------------------------*/

/* Lease ids are names of fields, too: those are for their holders alone. */
static void note_name(char names[NAMES_ROOM], const char *name)
{
    size_t len = strlen(names);
    if (*name == '$' || lh_lease_id_check(name, NULL) == LH_OK)
        return;
    int more = snprintf(names + len, NAMES_ROOM - len, "%s\"%.60s\"", len ? ", " : "", name);
    if (more < 0 || (size_t)more >= NAMES_ROOM - len)
        names[len] = '\0';
}

/* The names of the fields that a part of the server's explanation is about. */
static void note_rule(char names[NAMES_ROOM], bson_iter_t *field)
{
    const char *key = bson_iter_key(field);
    bson_iter_t in;
    if (strcmp(key, "propertyName") == 0 && BSON_ITER_HOLDS_UTF8(field))
        note_name(names, bson_iter_utf8(field, NULL));
    else if ((strcmp(key, "missingProperties") == 0 || strcmp(key, "additionalProperties") == 0) &&
             BSON_ITER_HOLDS_ARRAY(field) && bson_iter_recurse(field, &in))
        while (bson_iter_next(&in))
            note_name(names, BSON_ITER_HOLDS_UTF8(&in) ? bson_iter_utf8(&in, NULL) : "$");
    else if (strcmp(key, "specifiedAs") == 0 && BSON_ITER_HOLDS_DOCUMENT(field) &&
             bson_iter_recurse(field, &in) && bson_iter_next(&in) && BSON_ITER_HOLDS_DOCUMENT(&in))
        note_name(names, bson_iter_key(&in));
}

/* errInfo.details: rules within rules, five deep. */
static void note_rules(char names[NAMES_ROOM], const bson_iter_t *at, int depth)
{
    static const char *const inner[] = {"schemaRulesNotSatisfied", "propertiesNotSatisfied",
                                        "clausesNotSatisfied"};
    bson_iter_t field;
    if (depth > 5 || !bson_iter_recurse(at, &field))
        return;
    while (bson_iter_next(&field)) {
        bool goes_on = BSON_ITER_HOLDS_ARRAY(at) || strcmp(bson_iter_key(&field), "details") == 0;
        for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
            goes_on |= strcmp(bson_iter_key(&field), inner[i]) == 0;
        note_rule(names, &field);
        if (goes_on && (BSON_ITER_HOLDS_ARRAY(&field) || BSON_ITER_HOLDS_DOCUMENT(&field)))
            note_rules(names, &field, depth + 1);
    }
}

void lh_store_validator_advice(const char *db, const char *collection, char advice[LH_ADVICE_ROOM])
{
    char call[LH_CALL_ROOM] = "";
    if (db && collection)
        lh_shell_warn_only(db, collection, call);
    (void)snprintf(advice, LH_ADVICE_ROOM, "%s%s%s", find(CODE_VALIDATION)->advice,
                   *call ? ": " : "", call);
}

int lh_store_fail_old_compatibility(const char *version, lh_error *error)
{
    return lh_fail(
        error, LH_REASON_COMPATIBILITY,
        "the feature compatibility version of this deployment is %s: Leasehold needs 6.0, because "
        "only then can the server make an index unique. When no older member is left, " SET_VERSION,
        version ? version : "below 6.0");
}

static int fail_validator(const lh_refusal *r, lh_error *error)
{
    char names[NAMES_ROOM] = "", advice[LH_ADVICE_ROOM];
    bson_iter_t top, details;
    if (r->reply && bson_iter_init(&top, r->reply) &&
        bson_iter_find_descendant(&top, "errInfo.details", &details))
        note_rules(names, &details, 0);
    lh_store_validator_advice(r->db, r->collection, advice);
    return lh_fail(error, LH_REASON_VALIDATOR,
                   "the server refused to %s: the collection's validator does not accept the "
                   "document%s%s%s (code %u); %s",
                   r->what, *names ? " (see " : "", names, *names ? ")" : "", r->code, advice);
}

/* ---- Sentences --------------------------------------------------------------------------------*/

/* The server's message is cut rather than the advice behind it. */
static int message_room(const char *advice)
{
    int left = (int)sizeof((lh_error *)NULL)->message - 160 - (int)strlen(advice);
    return left > 260 ? 260 : left > 60 ? left : 60;
}

int lh_store_fail_refused(const lh_refusal *r, lh_error *error)
{
    const meaning *known =
        find(lh_store_is_too_large(r->code, r->message) ? CODE_TOO_LARGE : r->code);
    bson_iter_t name;
    bool named =
        r->reply && bson_iter_init_find(&name, r->reply, "codeName") && BSON_ITER_HOLDS_UTF8(&name);
    int outcome = known ? known->outcome : LH_SERVER;
    const char *advice = known && known->advice ? known->advice : "";
    if (r->code == CODE_VALIDATION)
        outcome = fail_validator(r, error);
    else
        outcome = lh_fail(error, outcome, "the server refused to %s: %.*s (code %u%s%.40s)%s%s",
                          r->what, message_room(advice), r->message, r->code, named ? ", " : "",
                          named ? bson_iter_utf8(&name, NULL) : "", *advice ? "; " : "", advice);
    if (error)
        error->server_code = (int)r->code;
    return outcome;
}

const char *lh_store_collection_of(const bson_t *command)
{
    bson_iter_t first;
    bool named =
        bson_iter_init(&first, command) && bson_iter_next(&first) && BSON_ITER_HOLDS_UTF8(&first);
    return named ? bson_iter_utf8(&first, NULL) : NULL;
}

bool lh_store_write_error(const bson_t *reply, uint32_t harmless, lh_refusal *ret_refusal)
{
    bson_iter_t list, entry, field;
    if (!bson_iter_init_find(&list, reply, "writeErrors") || !bson_iter_recurse(&list, &entry))
        return false;
    while (bson_iter_next(&entry)) {
        ret_refusal->code = 0;
        ret_refusal->message = "no reason given";
        ret_refusal->reply = NULL;
        if (bson_iter_recurse(&entry, &field) && bson_iter_find(&field, "code"))
            ret_refusal->code = (uint32_t)bson_iter_as_int64(&field);
        if (bson_iter_recurse(&entry, &field) && bson_iter_find(&field, "errmsg") &&
            BSON_ITER_HOLDS_UTF8(&field))
            ret_refusal->message = bson_iter_utf8(&field, NULL);
        if (ret_refusal->code != harmless || harmless == 0)
            return true;
    }
    return false;
}
