/* SPDX-License-Identifier: Apache-2.0
 * Commands in messages. */
#include "base/shell.h"

#include <stdio.h>
#include <string.h>

/* Appends the text, and then the name as a string of JSON has it. True: it fits. */
static bool add(char call[LH_CALL_ROOM], const char *text, const char *name)
{
    size_t len = strlen(call);
    len += (size_t)snprintf(call + len, LH_CALL_ROOM - len, "%s", text);
    for (; *name && len + 7 < LH_CALL_ROOM; name++) {
        bool special = *name == '"' || *name == '\\';
        len += (size_t)snprintf(call + len, LH_CALL_ROOM - len,
                                (unsigned char)*name < ' ' ? "\\u%04x"
                                : special                  ? "\\%c"
                                                           : "%c",
                                *name);
    }
    return !*name && len < LH_CALL_ROOM;
}

void lh_shell_drop_index(const char *db, const char *collection, const char *index,
                         char call[LH_CALL_ROOM])
{
    *call = '\0';
    if (!add(call, "db.getSiblingDB(\"", db) || !add(call, "\").getCollection(\"", collection) ||
        !add(call, "\").dropIndex(\"", index) || !add(call, "\")", ""))
        *call = '\0';
}

void lh_shell_warn_only(const char *db, const char *collection, char call[LH_CALL_ROOM])
{
    *call = '\0';
    if (!add(call, "db.getSiblingDB(\"", db) ||
        !add(call, "\").runCommand({collMod: \"", collection) ||
        !add(call, "\", validationAction: \"warn\"})", ""))
        *call = '\0';
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
