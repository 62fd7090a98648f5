/* SPDX-License-Identifier: Apache-2.0
 * Commands in messages. */
#include "base/shell.h"

#include <bson/bson.h>
#include <stdio.h>
#include <string.h>

static void cut_off(int len, char call[LH_CALL_ROOM])
{
    if (len < 0 || len >= LH_CALL_ROOM)
        *call = '\0';
}

/* The name as JSON has it. To be freed. */
static char *escaped(const char *name)
{
    char *text = bson_utf8_escape_for_json(name, -1);
    return text ? text : bson_strdup("");
}

void lh_shell_drop_index(const char *db, const char *collection, const char *index,
                         char call[LH_CALL_ROOM])
{
    char *in = escaped(db), *of = escaped(collection), *name = escaped(index);
    cut_off(snprintf(call, LH_CALL_ROOM,
                     "db.getSiblingDB(\"%s\").getCollection(\"%s\").dropIndex(\"%s\")", in, of,
                     name),
            call);
    bson_free(in);
    bson_free(of);
    bson_free(name);
}

void lh_shell_warn_only(const char *db, const char *collection, char call[LH_CALL_ROOM])
{
    char *in = escaped(db), *of = escaped(collection);
    cut_off(snprintf(
                call, LH_CALL_ROOM,
                "db.getSiblingDB(\"%s\").runCommand({collMod: \"%s\", validationAction: \"warn\"})",
                in, of),
            call);
    bson_free(in);
    bson_free(of);
}

bool lh_shell_quote(const char *before, const char *word, char *to, size_t size)
{
    size_t len = (size_t)snprintf(to, size, "%s'", before);
    for (; *word && len + 6 < size; word++)
        len += (size_t)snprintf(to + len, size - len, *word == '\'' ? "'\\''" : "%c", *word);
    if (*word) {
        *to = '\0';
        return false;
    }
    (void)snprintf(to + len, size - len, "'");
    return true;
}

void lh_shell_key(const char *key, char word[LH_WORD_ROOM])
{
    if (!lh_shell_quote(*key == '-' ? "-- " : "", key, word, LH_WORD_ROOM))
        (void)snprintf(word, LH_WORD_ROOM, "KEY");
}
