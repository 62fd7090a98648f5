/* SPDX-License-Identifier: Apache-2.0
 * The process behind a server of scripts/mongod. Its pid is read from its pid file: what
 * `serverStatus` reports may be the number of another process here (a server in a container, or
 * under wine), and tests kill it. */
#include "process.h"

bool server_folder(mongoc_client_t *client, char *ret_folder, size_t size)
{
    bson_t *ask = BCON_NEW("getCmdLineOpts", BCON_INT32(1)), reply;
    bson_iter_t top, path;
    bool good = mongoc_client_command_simple(client, "admin", ask, NULL, &reply, NULL) &&
                bson_iter_init(&top, &reply) &&
                bson_iter_find_descendant(&top, "parsed.storage.dbPath", &path) &&
                BSON_ITER_HOLDS_UTF8(&path);
    if (good)
        (void)snprintf(ret_folder, size, "%s/..", bson_iter_utf8(&path, NULL));
    bson_destroy(&reply);
    bson_destroy(ask);
    return good;
}

pid_t server_pid(const char *folder)
{
    char path[600];
    long pid = 0;
    (void)snprintf(path, sizeof path, "%s/pid", folder);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld", &pid) != 1)
        pid = 0;
    (void)fclose(file);
    return (pid_t)pid;
}
