/* SPDX-License-Identifier: Apache-2.0
 *
 * Migration: creating the unique index `workspace_id_unique`, and removing the duplicates in its
 * way.
 *
 * Of the documents of one key, the one with the newest `expires_at` stays. (Dates, ISO-8601 strings
 * and numbers are compared as instants; null, missing and unreadable values are oldest; the highest
 * _id wins a tie.) The others are moved to the archive. It is safe to migrate at every boot, from
 * any number of processes at once, while others write. If interrupted at any point, the next call
 * resumes. */
#ifndef LEASEHOLD_MIGRATE_H
#define LEASEHOLD_MIGRATE_H

#include <leasehold/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LH_INDEX_PRESENT = 0, LH_INDEX_CREATED = 1, LH_INDEX_CONVERTED = 2, LH_INDEX_MISSING = 3 };

/* "present", "created", "converted" or "missing". */
LH_API const char *lh_index_word(int index);

/* Which document of a key stays, and why; borrowed for the call of `verdict`. */
typedef struct lh_verdict {
    const char *key;
    const char *survivor; /* its _id as extended JSON */
    const char *reason;   /* a sentence: why it stays */
    uint64_t losers;      /* how many documents go */
} lh_verdict;

typedef struct lh_migrate_options {
    size_t size;
    bool dry_run; /* report only, change nothing */
    /* true (default): duplicates may be moved to the archive. false: duplicates are LH_CONFIG. */
    bool remove;
    bool no_archive;     /* delete the losers without keeping a copy */
    const char *archive; /* NULL: "<collection>_archive" */
    /* Also move documents that cannot be read to the archive, such as those whose workspace_id is
     * not a string. */
    bool quarantine;
    /* A collection in which no document has a string workspace_id is assumed to belong to another
     * program, and refused. true: it is a collection of leases. */
    bool adopt;
    /* true: leave documents whose workspace_id is not a string, live ones too. false (default):
     * live ones are LH_CONFIG. */
    bool accept_foreign_keys;
    /* With quarantine: also documents that are live, because their end is in the future or
     * unknown. */
    bool even_live;
    bool even_most; /* With quarantine: also more than half of all documents. */
    /* If the index exists: also search for documents whose workspace_id is not a string. The search
     * is a second round trip, which reads a few keys of the index. Without this option, quarantine
     * and dry_run, a call that finds the index takes one round trip. The command line sets it. */
    bool check_keys;
    /* false (default): a migration that created the index then tries leases, as the trial of
     * lh_doctor() does. It fails if they do not work, and the index stays. For a user who may not
     * acquire leases nothing is tried, and the report shows that. A call that finds the index tries
     * nothing. true: nothing is tried. */
    bool no_trial;
    /* For the whole migration, including the wait for other migrators: up to 7 days; 0: the
     * store's; default 600,000 */
    int64_t timeout_ms;
    /* Called as the work goes on; `total` 0: unknown. Any value but 0 ends the call with
     * LH_STOPPED. */
    int (*progress)(void *arg, const char *step, uint64_t done, uint64_t total);
    void *progress_arg;
    void (*verdict)(void *arg, const lh_verdict *verdict); /* called for each duplicate key */
    void *verdict_arg;
    /* For a store with `audit`, whose indexes are created too: the server removes entries that are
     * older than this: 1,000 … ten years; default 30 days */
    int64_t audit_keep_ms;
    /* With quarantine: move only the document with this _id (extended JSON), and leave the index
     * alone. */
    const char *id;
} lh_migrate_options;

#define LH_MIGRATE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(lh_migrate_options), false, true, false, NULL, false, false, false, false, false,   \
            false, false, 600000, NULL, NULL, NULL, NULL, INT64_C(2592000000), NULL                \
    }
LH_API void lh_migrate_options_init(lh_migrate_options *options, size_t size);

/* The types of a workspace_id that is not a string. */
enum {
    LH_KEY_MISSING = 0,
    LH_KEY_NULL = 1,
    LH_KEY_OBJECT_ID = 2,
    LH_KEY_INT = 3,
    LH_KEY_LONG = 4,
    LH_KEY_DOUBLE = 5,
    LH_KEY_DECIMAL = 6,
    LH_KEY_BINARY = 7, /* UUIDs too */
    LH_KEY_ARRAY = 8,
    LH_KEY_OBJECT = 9,
    LH_KEY_BOOL = 10,
    LH_KEY_DATE = 11,
    LH_KEY_REGEX = 12,
    LH_KEY_OTHER = 13, /* symbols, code, timestamps, the smallest and the largest key */
    LH_KEY_TYPES = 14,
};
/* "missing", "null", "objectId", "int", "long", "double", "decimal", "binData", "array", "object",
 * "bool", "date", "regex" or "other". */
LH_API const char *lh_key_type_word(int type);

typedef struct lh_migrate_report {
    size_t size;
    int index; /* LH_INDEX_… at the end */
    /* A dry run found an index in the state in which an interrupted migration left it; the next
     * migration resumes, or puts the index back. */
    bool interrupted;
    bool tried;              /* a trial of leases succeeded */
    uint64_t scanned;        /* documents read (0 if the index existed) */
    uint64_t duplicate_keys; /* keys with more than one document */
    uint64_t removed;        /* losers deleted (dry run: would be) */
    uint64_t archived;       /* copies written to the archive */
    uint64_t quarantined;    /* unreadable documents moved to the archive (dry run: would be) */
    /* documents that cannot be read: their workspace_id is not a string, or another field is
     * unreadable */
    uint64_t malformed;
    uint64_t waited_ms; /* the wait for another migrator */
    uint64_t elapsed_ms;
    /* documents whose workspace_id is not a string, by LH_KEY_…; they count as malformed too */
    uint64_t foreign[LH_KEY_TYPES];
    uint64_t foreign_live; /* live ones: their end is in the future, missing, or unreadable */
    /* Odd values in the documents that were read, by field and type, with the number of documents:
     * values that cannot be read, and values that a grant would overwrite because Leasehold uses a
     * field of that name. "" if there are none. */
    char problems[512];
} lh_migrate_report;

#define LH_MIGRATE_REPORT_INIT                                                                     \
    {                                                                                              \
        sizeof(lh_migrate_report), LH_INDEX_MISSING, false, false, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, \
            ""                                                                                     \
    }
LH_API void lh_migrate_report_init(lh_migrate_report *report, size_t size);

/* Migrates the store's collection. The report is filled on every outcome with what was
 * done so far.
 *
 * LH_OK: the index exists (dry run: nothing prevents it).
 * LH_CONFIG: the message names the cause, one of
 *   - an index of that name with other options; an index by which the server deletes leases that
 *     are held (a TTL index on another field than expires_at, or one that does not wait for the
 *     grace)
 *   - a validator that refuses documents of leases; a feature compatibility version below 6.0; a
 *     collation; a view; a capped or time-series collection
 *   - duplicates, without `remove`
 *   - documents whose workspace_id is not a string, and that are live (without
 *     `accept_foreign_keys`), prevent the index (without `quarantine`), or are the only documents
 *     of the collection (without `adopt`); the cases of `even_live` and `even_most`
 *   All this is checked before anything is changed. If a cause appears later, the migration puts
 *   the index back; after a crash, the next call does. A dry run has the same outcome and changes
 *   nothing; but duplicates alone are LH_OK.
 * LH_UNREACHABLE: out of time; the next call resumes. LH_DENIED: the message names the missing
 * privilege. LH_STOPPED: `progress` asked for it. LH_INVALID, LH_SERVER, … */
LH_API int lh_migrate(lh_store *store, const lh_migrate_options *options, lh_migrate_report *report,
                      lh_error *error);

#ifdef __cplusplus
}
#endif

#endif
