/* SPDX-License-Identifier: Apache-2.0
 * The rights that commands and roles need. tests/cli/test_roles.py removes each one and checks
 * which command fails. */
#include "store/rights.h"

#include <stdio.h>
#include <string.h>

/* ---- Commands ---------------------------------------------------------------------------------*/

static bool is_true_at(const bson_t *command, const char *path)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, command) && bson_iter_find_descendant(&top, path, &value) &&
           bson_iter_as_bool(&value);
}

/* True if the aggregate has such a stage. */
static bool has_stage(const bson_t *command, const char *name)
{
    bson_iter_t top, list, stage, value;
    if (!bson_iter_init(&top, command) || !bson_iter_find_descendant(&top, "pipeline", &list) ||
        !bson_iter_recurse(&list, &stage))
        return false;
    while (bson_iter_next(&stage))
        if (bson_iter_recurse(&stage, &value) && bson_iter_find(&value, name))
            return true;
    return false;
}

void lh_rights_of_command(const bson_t *command, const char *db,
                          void (*each)(void *arg, const lh_right *right), void *arg)
{
    static const struct {
        const char *command, *actions[2];
    } plain[] = {
        {"findAndModify", {"find", "update"}},
        {"update", {"update", NULL}},
        {"find", {"find", NULL}},
        {"count", {"find", NULL}},
        {"aggregate", {"find", NULL}},
        {"delete", {"remove", NULL}},
        {"insert", {"insert", NULL}},
        {"listIndexes", {"listIndexes", NULL}},
        {"createIndexes", {"createIndex", NULL}},
        {"dropIndexes", {"dropIndex", NULL}},
        {"collMod", {"collMod", NULL}},
        {"listCollections", {"listCollections", NULL}},
    };
    bson_iter_t first;
    if (!bson_iter_init(&first, command) || !bson_iter_next(&first))
        return;
    const char *name = bson_iter_key(&first);
    lh_right right = {
        .db = db, .collection = BSON_ITER_HOLDS_UTF8(&first) ? bson_iter_utf8(&first, NULL) : ""};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        for (size_t j = 0; j < 2 && strcmp(plain[i].command, name) == 0 && plain[i].actions[j];
             j++) {
            right.action = plain[i].actions[j];
            each(arg, &right);
        }
    }
    if (is_true_at(command, "upsert") || is_true_at(command, "updates.0.upsert")) {
        right.action = "insert";
        each(arg, &right);
    }
    if (has_stage(command, "$changeStream")) {
        right.action = "changeStream";
        each(arg, &right);
    }
    /* our $merge changes existing documents of the same collection, and inserts nothing */
    if (has_stage(command, "$merge")) {
        right.action = "update";
        each(arg, &right);
    }
}

/* ---- Roles ------------------------------------------------------------------------------------*/

enum { ON_DB, ON_LOCKS, ON_ARCHIVE, ON_MIGRATION, ON_FENCES, ON_AUDIT, PLACES };

static const char *const role_names[] = {"leaseholdRuntime", "leaseholdSetup", "leaseholdOps"};

/* The actions by role and place, separated by blanks. */
static const char *const role_actions[][PLACES] = {
    [LH_ROLE_RUNTIME] = {[ON_LOCKS] = "find insert update listIndexes changeStream",
                         [ON_FENCES] = "find insert update",
                         [ON_AUDIT] = "insert"},
    [LH_ROLE_SETUP] = {[ON_DB] = "listCollections",
                       [ON_LOCKS] = "find update remove listIndexes createIndex dropIndex collMod",
                       [ON_ARCHIVE] = "find insert update",
                       [ON_MIGRATION] = "find insert update remove",
                       [ON_AUDIT] = "createIndex collMod"},
    [LH_ROLE_OPS] =
        {[ON_LOCKS] = "find update remove listIndexes changeStream", [ON_AUDIT] = "find insert"},
};

typedef struct {
    char name[LH_RIGHT_ROOM];
} place;

/* The collection of a place; "": the whole database. */
static place name_place(int where, const lh_rights_on *on)
{
    static const char *const suffix[PLACES] = {"", "", "_archive", "_migration", ".fences", ""};
    const char *collection = where == ON_AUDIT ? on->audit : on->collection;
    place p = {""};
    if (where == ON_FENCES && strcmp(collection, "workspace_locks") == 0)
        (void)snprintf(p.name, sizeof p.name, "workspace_fences");
    else if (where != ON_DB)
        (void)snprintf(p.name, sizeof p.name, "%s%s", collection, suffix[where]);
    return p;
}

/* The next word of a list; false at its end. */
static bool next_word(const char **list, char word[32])
{
    *list += strspn(*list, " ");
    size_t len = strcspn(*list, " ");
    if (len == 0 || len >= 32)
        return false;
    memcpy(word, *list, len);
    word[len] = '\0';
    *list += len;
    return true;
}

/* The actions of a role at a place, and the collection of that place. NULL: none. */
static const char *actions_at(int role, int where, const lh_rights_on *on, place *ret_place)
{
    if (where == ON_AUDIT && !on->audit)
        return NULL;
    *ret_place = name_place(where, on);
    return role_actions[role][where];
}

void lh_rights_of_role(int role, const lh_rights_on *on,
                       void (*each)(void *arg, const lh_right *right), void *arg)
{
    for (int where = 0; where < PLACES; where++) {
        place p;
        const char *list = actions_at(role, where, on, &p);
        char action[32];
        while (list && next_word(&list, action)) {
            lh_right right = {.action = action, .db = on->db, .collection = p.name};
            each(arg, &right);
        }
    }
}

static void append_privilege(bson_t *privileges, int i, const lh_right *on, const char *list)
{
    bson_t privilege, resource, actions;
    char index[16], action[32];
    const char *key;
    bson_uint32_to_string((uint32_t)i, &key, index, sizeof index);
    BSON_APPEND_DOCUMENT_BEGIN(privileges, key, &privilege);
    BSON_APPEND_DOCUMENT_BEGIN(&privilege, "resource", &resource);
    BSON_APPEND_UTF8(&resource, "db", on->db);
    BSON_APPEND_UTF8(&resource, "collection", on->collection);
    bson_append_document_end(&privilege, &resource);
    BSON_APPEND_ARRAY_BEGIN(&privilege, "actions", &actions);
    for (uint32_t n = 0; next_word(&list, action); n++) {
        bson_uint32_to_string(n, &key, index, sizeof index);
        BSON_APPEND_UTF8(&actions, key, action);
    }
    bson_append_array_end(&privilege, &actions);
    bson_append_document_end(privileges, &privilege);
}

void lh_rights_append_create(int role, const lh_rights_on *on, bson_t *command)
{
    bson_t privileges, roles;
    BSON_APPEND_UTF8(command, "createRole", role_names[role]);
    BSON_APPEND_ARRAY_BEGIN(command, "privileges", &privileges);
    for (int where = 0, n = 0; where < PLACES; where++) {
        place p;
        const char *list = actions_at(role, where, on, &p);
        if (list)
            append_privilege(&privileges, n++, &(lh_right){.db = on->db, .collection = p.name},
                             list);
    }
    bson_append_array_end(command, &privileges);
    BSON_APPEND_ARRAY_BEGIN(command, "roles", &roles);
    bson_append_array_end(command, &roles);
}

/* ---- What a user has --------------------------------------------------------------------------*/

static bool text_is(const bson_t *document, const char *path, const char *text)
{
    bson_iter_t top, value;
    return bson_iter_init(&top, document) && bson_iter_find_descendant(&top, path, &value) &&
           BSON_ITER_HOLDS_UTF8(&value) && strcmp(bson_iter_utf8(&value, NULL), text) == 0;
}

/* {db, collection}, where "" means any, or {anyResource: true}. A collection of that name in any
 * database matches too. */
static bool covers(const bson_t *privilege, const lh_right *right)
{
    if (is_true_at(privilege, "resource.anyResource"))
        return true;
    bool db = text_is(privilege, "resource.db", "") || text_is(privilege, "resource.db", right->db);
    bool any = text_is(privilege, "resource.collection", "");
    return db && (any || (*right->collection &&
                          text_is(privilege, "resource.collection", right->collection)));
}

static bool lists(const bson_t *privilege, const char *action)
{
    bson_iter_t actions, one;
    if (!bson_iter_init_find(&actions, privilege, "actions") || !bson_iter_recurse(&actions, &one))
        return false;
    while (bson_iter_next(&one))
        if (BSON_ITER_HOLDS_UTF8(&one) && (strcmp(bson_iter_utf8(&one, NULL), action) == 0 ||
                                           strcmp(bson_iter_utf8(&one, NULL), "anyAction") == 0))
            return true;
    return false;
}

bool lh_rights_has(const bson_t *status, const lh_right *right)
{
    bson_iter_t top, list, one;
    if (!bson_iter_init(&top, status) ||
        !bson_iter_find_descendant(&top, "authInfo.authenticatedUserPrivileges", &list) ||
        !bson_iter_recurse(&list, &one))
        return false;
    while (bson_iter_next(&one)) {
        const uint8_t *data;
        uint32_t len;
        bson_t privilege;
        if (!BSON_ITER_HOLDS_DOCUMENT(&one))
            continue;
        bson_iter_document(&one, &len, &data);
        if (bson_init_static(&privilege, data, len) && covers(&privilege, right) &&
            lists(&privilege, right->action))
            return true;
    }
    return false;
}

char *lh_rights_user(const bson_t *status)
{
    bson_iter_t top, user, db;
    if (!bson_iter_init(&top, status) ||
        !bson_iter_find_descendant(&top, "authInfo.authenticatedUsers.0.user", &user) ||
        !BSON_ITER_HOLDS_UTF8(&user) || !bson_iter_init(&top, status) ||
        !bson_iter_find_descendant(&top, "authInfo.authenticatedUsers.0.db", &db) ||
        !BSON_ITER_HOLDS_UTF8(&db))
        return NULL;
    return bson_strdup_printf("%s@%s", bson_iter_utf8(&user, NULL), bson_iter_utf8(&db, NULL));
}

void lh_rights_place(const lh_right *right, char text[LH_RIGHT_ROOM])
{
    (void)snprintf(text, LH_RIGHT_ROOM, "%s%s%s%s", *right->collection ? "" : "the database ",
                   right->db, *right->collection ? "." : "", right->collection);
}
