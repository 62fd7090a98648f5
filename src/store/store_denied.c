/* SPDX-License-Identifier: Apache-2.0
 * Names the missing privilege when the server does not permit a command. The server's own sentence
 * names the command, not the action, so this compares the user's privileges. That costs one round
 * trip, after a refusal only. */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/rights.h"
#include "store/store.h"
#include "store/store_denied.h"

typedef struct {
    const bson_t *status;
    char missing[192];
    lh_right at; /* of the last one that is missing: its place */
} search;

static void note_missing(void *arg, const lh_right *right)
{
    search *s = arg;
    if (lh_rights_has(s->status, right))
        return;
    size_t len = strlen(s->missing);
    (void)snprintf(s->missing + len, sizeof s->missing - len, "%s%s", len ? ", " : "",
                   right->action);
    s->at = *right;
}

void lh_store_name_missing(const lh_store *store, mongoc_client_t *client, const lh_call *call,
                           lh_error *error)
{
    bson_t reply,
        *command = BCON_NEW("connectionStatus", BCON_INT32(1), "showPrivileges", BCON_BOOL(true));
    bson_error_t ignored;
    search s = {.status = &reply};
    if (mongoc_client_command_simple(client, "admin", command, NULL, &reply, &ignored)) {
        char *user = lh_rights_user(&reply), place[LH_RIGHT_ROOM];
        lh_rights_of_command(call->command, call->db ? call->db : store->db, note_missing, &s);
        if (!user) {
            (void)lh_fail(error, LH_REASON_NO_CREDENTIALS,
                          "not permitted to %s: the server requires a user and password, and the "
                          "connection string has none",
                          call->what);
        } else if (*s.missing) {
            lh_rights_place(&s.at, place);
            (void)lh_fail(error, LH_REASON_PRIVILEGE,
                          "not permitted to %s: the user %s lacks %s on %s; `leasehold doctor "
                          "--roles` prints roles "
                          "that suffice",
                          call->what, user, s.missing, place);
        }
        bson_free(user);
    }
    bson_destroy(&reply);
    bson_destroy(command);
}
