/* SPDX-License-Identifier: Apache-2.0
 * GET /v1/leases/{key}/session: as long as the client keeps this stream open, the server renews the
 * lease. */
#ifndef SERVE_SESSIONS_H
#define SERVE_SESSIONS_H

#include "serve/request.h"

struct sessions;

int sessions_new(struct server *server, struct sessions **ret_sessions, lh_error *error);
/* Takes one of the client's sessions. False: it was answered. */
bool sessions_admit(struct request *request);
/* By a worker. */
void sessions_get(struct request *request);
/* The lease was released through this server: its session gets an event at once. */
void sessions_released(struct sessions *sessions, const char *lease_id);
/* Those of clients whose token was taken away: the renewals end at once, the streams with an
 * event that says so. */
void sessions_revoke(struct sessions *sessions);
/* Once a second or so: tells of renewals, and shows both ends of a silent stream that the other is
 * there. */
void sessions_tick(struct sessions *sessions);
unsigned sessions_count(struct sessions *sessions);
uint64_t sessions_lost(struct sessions *sessions);
/* Ends all streams. The leases stay with the store until sessions_forget(), after which it renews,
 * and releases, none of them. */
void sessions_stop(struct sessions *sessions);
void sessions_forget(struct sessions *sessions);
void sessions_free(struct sessions *sessions);

#endif
