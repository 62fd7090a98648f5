/* SPDX-License-Identifier: Apache-2.0
 * What the wording of a command costs on a server: runs
 * variants in turn, in one run, and compares each to the first. Prints; asserts nothing. The
 * variants that were tried are in pipelines_*.txt beside this file.
 *
 *     pipelines URI FILE [rounds]         (default: 1000)
 *
 * FILE has a block for each variant; blank lines part them, a line that begins with a blank goes on
 * from the last:
 *
 *     name: what it is
 *     before: {'update': …}          not measured; may be missing
 *     measure: {'findAndModify': …}  with majority and journal, unless it has a concern, or reads
 *
 * The collection is `c`, with the unique index on workspace_id. ' stands for ", @id for a fresh
 * lease id, @old for the last round's, @round for its number. `define: NAME text` makes @NAME stand
 * for a text in all that follows. */
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DB           "pipelines_bench"
#define VARIANTS_MAX 64
#define DEFINES_MAX  64

typedef struct {
    char *name, *before, *measure;
    double *ms;
} variant;

static variant variants[VARIANTS_MAX];
static struct {
    char *name, *text;
} defines[DEFINES_MAX];
static size_t n_variants, n_defines;

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

/* A new text, in which every `from` is a `to`. */
static char *replace(char *text, const char *from, const char *to)
{
    char *out = NULL;
    size_t size;
    FILE *stream = open_memstream(&out, &size);
    const char *rest = text;
    if (!stream)
        fail("out of memory", from);
    for (const char *at; (at = strstr(rest, from)); rest = at + strlen(from))
        (void)fprintf(stream, "%.*s%s", (int)(at - rest), rest, to);
    (void)fputs(rest, stream);
    (void)fclose(stream);
    free(text);
    return out;
}

static char *expand(const char *text)
{
    char *out = strdup(text);
    /* a define may use earlier ones; a longer name comes before its beginning */
    for (size_t i = n_defines; i-- > 0;)
        out = replace(out, defines[i].name, defines[i].text);
    return replace(out, "'", "\"");
}

static void take_line(char *line)
{
    char *value = strchr(line, ':');
    if (*line == '#' || !*line)
        return;
    if (!value || n_variants == VARIANTS_MAX || n_defines == DEFINES_MAX)
        fail("cannot read the line", line);
    *value++ = '\0';
    value += strspn(value, " ");
    if (strcmp(line, "define") == 0) {
        char *blank = strchr(value, ' ');
        if (!blank)
            fail("a define has no text", value);
        *blank = '\0';
        defines[n_defines].name = bson_strdup_printf("@%s", value);
        defines[n_defines++].text = strdup(blank + 1);
    } else if (strcmp(line, "name") == 0) {
        variants[n_variants++].name = strdup(value);
    } else if (n_variants > 0 && strcmp(line, "before") == 0) {
        variants[n_variants - 1].before = expand(value);
    } else if (n_variants > 0 && strcmp(line, "measure") == 0) {
        variants[n_variants - 1].measure = expand(value);
    } else {
        fail("neither name, before, measure nor define", line);
    }
}

static void read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail("cannot open", path);
    char *whole = bson_strdup(""), *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (*line != ' ') {
            take_line(whole);
            *whole = '\0';
        }
        char *longer = bson_strdup_printf("%s%s", whole, line + strspn(line, " "));
        bson_free(whole);
        whole = longer;
    }
    take_line(whole);
    bson_free(whole);
    free(line);
    (void)fclose(file);
}

static bson_t *command_of(const char *text, const char *id, const char *old, int round)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", round);
    char *json = replace(replace(replace(strdup(text), "@id", id), "@old", old), "@round", number);
    bson_error_t error;
    bson_t *command = bson_new_from_json((const uint8_t *)json, -1, &error);
    if (!command)
        fail(error.message, json);
    free(json);
    return command;
}

static double run(mongoc_client_t *client, const bson_t *command, const bson_t *options)
{
    bson_error_t error;
    bson_t reply;
    double start = now();
    bool good = mongoc_client_write_command_with_opts(client, DB, command, options, &reply, &error);
    double ms = now() - start;
    if (!good || bson_has_field(&reply, "writeErrors"))
        fail("the server refuses a variant",
             good ? bson_as_canonical_extended_json(&reply, NULL) : error.message);
    bson_destroy(&reply);
    return ms;
}

static void play(mongoc_client_t *client, int rounds)
{
    bson_t none = BSON_INITIALIZER,
           *majority = BCON_NEW("writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "}");
    char id[33], old[33] = "00000000000000000000000000000000";
    for (int round = -rounds / 10; round < rounds; round++) { /* the first tenth warms up */
        (void)snprintf(id, sizeof id, "%08x%024x", (unsigned)rand(), (unsigned)round + (1u << 31));
        for (size_t k = 0; k < n_variants; k++) {
            variant *v =
                /* none is always behind the same one */
                &variants[(k + (size_t)(round + rounds)) % n_variants];
            bson_t *before = v->before ? command_of(v->before, id, old, round) : NULL;
            bson_t *measure = command_of(v->measure, id, old, round);
            if (before)
                (void)run(client, before, &none);
            double ms =
                run(client, measure, bson_has_field(measure, "writeConcern") ? &none : majority);
            if (round >= 0)
                v->ms[round] = ms;
            bson_destroy(before);
            bson_destroy(measure);
        }
        memcpy(old, id, sizeof id);
    }
    bson_destroy(majority);
    bson_destroy(&none);
}

static void make_index(mongoc_client_t *client)
{
    bson_t *command = BCON_NEW("createIndexes", "c", "indexes", "[", "{", "key", "{",
                               "workspace_id", BCON_INT32(1), "}", "name", "workspace_id_unique",
                               "unique", BCON_BOOL(true), "}", "]");
    bson_t none = BSON_INITIALIZER;
    (void)run(client, command, &none);
    bson_destroy(command);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[3]) : 1000;
    if (argc < 3 || rounds < 10 || rounds > 1000000) {
        (void)fprintf(stderr, "usage: pipelines URI FILE [rounds]\n");
        return 64;
    }
    read_file(argv[2]);
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(argv[1]);
    if (!client)
        fail("cannot use the connection string", "mongodb://…");
    mongoc_database_t *db = mongoc_client_get_database(client, DB);
    (void)mongoc_database_drop(db, NULL); /* of a run that failed */
    make_index(client);
    for (size_t k = 0; k < n_variants; k++)
        if (!(variants[k].ms = calloc((size_t)rounds, sizeof(double))) || !variants[k].measure)
            fail("nothing to measure", variants[k].name);
    play(client, rounds);
    for (size_t k = 0; k < n_variants; k++) {
        double *ms = variants[k].ms;
        qsort(ms, (size_t)rounds, sizeof *ms, by_size);
        printf("%-56s p10 %6.3f  p50 %6.3f  p90 %6.3f ms   %5.2f x\n", variants[k].name,
               ms[rounds / 10], ms[rounds / 2], ms[rounds * 9 / 10],
               ms[rounds / 2] / variants[0].ms[rounds / 2]);
    }
    (void)mongoc_database_drop(db, NULL);
    mongoc_database_destroy(db);
    mongoc_client_destroy(client);
    return 0;
}
