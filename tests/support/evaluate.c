/* SPDX-License-Identifier: Apache-2.0
 * Values are a small tree in an arena that lives for one call. A name of an operator is looked up
 * in a table; each is a function of its arguments, which it evaluates itself. Rules of types, order
 * and arithmetic: MongoDB's manual, "Aggregation Operators" and "Comparison/Sort Order". */
#include "evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/doc.h"
#include "protocol/doc_instant.h"

typedef struct value value;
struct value {
    bson_type_t type; /* BSON_TYPE_EOD: missing */
    union {
        int64_t number; /* int32, int64, date, bool */
        double real;
        struct {
            const char *at;
            uint32_t len;
        } text;
        struct {
            const char **names; /* NULL: an array */
            value *items;
            uint32_t n;
        } many;
        bson_value_t other;
    } as;
};

typedef struct block {
    struct block *next;
    size_t used, size;
    max_align_t room[];
} block;

typedef struct variable {
    const struct variable *outer;
    const char *name;
    value is;
} variable;

typedef struct {
    block *blocks;
    evaluate_clock clock;
    value root;
    jmp_buf failed;
    char *problem;
    size_t size;
} run;

static _Noreturn void fail(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void fail(run *r, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(r->problem, r->size, format, list);
    va_end(list);
    longjmp(r->failed, 1);
}

static void *room(run *r, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!r->blocks || r->blocks->size - r->blocks->used < size) {
        size_t want = size > 65536 ? size : 65536;
        block *b = malloc(sizeof *b + want);
        if (!b)
            fail(r, "out of memory");
        *b = (block){.next = r->blocks, .size = want};
        r->blocks = b;
    }
    void *at = (char *)r->blocks->room + r->blocks->used;
    r->blocks->used += size;
    return at;
}

static void free_room(run *r)
{
    while (r->blocks) {
        block *next = r->blocks->next;
        free(r->blocks);
        r->blocks = next;
    }
}

/* ---- Values -----------------------------------------------------------------------------------*/

static const value missing = {.type = BSON_TYPE_EOD}, null = {.type = BSON_TYPE_NULL};

static value a_bool(bool is)
{
    return (value){.type = BSON_TYPE_BOOL, .as.number = is};
}

static value a_long(int64_t number)
{
    return (value){.type = BSON_TYPE_INT64, .as.number = number};
}

static value an_int(int64_t number)
{
    bool small = number >= INT32_MIN && number <= INT32_MAX;
    return (value){.type = small ? BSON_TYPE_INT32 : BSON_TYPE_INT64, .as.number = number};
}

static value a_date(int64_t ms)
{
    return (value){.type = BSON_TYPE_DATE_TIME, .as.number = ms};
}

static value a_double(double real)
{
    return (value){.type = BSON_TYPE_DOUBLE, .as.real = real};
}

static value a_text(const char *text)
{
    return (value){.type = BSON_TYPE_UTF8, .as.text = {text, (uint32_t)strlen(text)}};
}

static value an_array(run *r, uint32_t n)
{
    return (value){.type = BSON_TYPE_ARRAY, .as.many = {NULL, room(r, (n + 1) * sizeof(value)), n}};
}

static value an_object(run *r, uint32_t n)
{
    return (value){
        .type = BSON_TYPE_DOCUMENT,
        .as.many = {room(r, (n + 1) * sizeof(char *)), room(r, (n + 1) * sizeof(value)), n}};
}

static bool is_absent(value v)
{
    return v.type == BSON_TYPE_EOD || v.type == BSON_TYPE_NULL || v.type == BSON_TYPE_UNDEFINED;
}

static bool is_whole(value v)
{
    return v.type == BSON_TYPE_INT32 || v.type == BSON_TYPE_INT64;
}

static bool is_number(value v)
{
    return is_whole(v) || v.type == BSON_TYPE_DOUBLE || v.type == BSON_TYPE_DECIMAL128;
}

static long double number_of(value v)
{
    char decimal[BSON_DECIMAL128_STRING];
    if (v.type == BSON_TYPE_DOUBLE)
        return (long double)v.as.real;
    if (v.type != BSON_TYPE_DECIMAL128)
        return (long double)v.as.number;
    bson_decimal128_to_string(&v.as.other.value.v_decimal128, decimal);
    return strtold(decimal, NULL);
}

static bool is_true(value v)
{
    if (is_absent(v))
        return false;
    if (v.type == BSON_TYPE_BOOL)
        return v.as.number != 0;
    return !is_number(v) || number_of(v) != 0;
}

static value read_value(run *r, const bson_iter_t *at);

static value read_many(run *r, bson_iter_t in, bool array)
{
    bson_iter_t count = in;
    uint32_t n = 0;
    while (bson_iter_next(&count))
        n++;
    value v = array ? an_array(r, n) : an_object(r, n);
    for (uint32_t i = 0; i < n && bson_iter_next(&in); i++) {
        if (!array)
            v.as.many.names[i] = bson_iter_key(&in);
        v.as.many.items[i] = read_value(r, &in);
    }
    return v;
}

/* Borrows texts from what is read. */
static value read_value(run *r, const bson_iter_t *at)
{
    bson_iter_t inner;
    value v = {.type = bson_iter_type(at)};
    switch (v.type) {
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        if (!bson_iter_recurse(at, &inner))
            fail(r, "the document cannot be read");
        return read_many(r, inner, v.type == BSON_TYPE_ARRAY);
    case BSON_TYPE_UTF8:
        v.as.text.at = bson_iter_utf8(at, &v.as.text.len);
        break;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_BOOL:
        v.as.number = bson_iter_as_int64(at);
        break;
    case BSON_TYPE_DATE_TIME:
        v.as.number = bson_iter_date_time(at);
        break;
    case BSON_TYPE_DOUBLE:
        v.as.real = bson_iter_double(at);
        break;
    default:
        v.as.other = *bson_iter_value((bson_iter_t *)(uintptr_t)at);
    }
    return v;
}

static value read_document(run *r, const bson_t *document)
{
    bson_iter_t in;
    if (!bson_iter_init(&in, document))
        fail(r, "the document cannot be read");
    return read_many(r, in, false);
}

/* The texts of commands are long, and few: each is read once. */
typedef struct known_text {
    struct known_text *next;
    value tree;
    run owner;
    uint32_t len;
    uint8_t bytes[];
} known_text;

static _Thread_local known_text *known_texts;

static value read_text(run *r, const bson_iter_t *at)
{
    bool array = BSON_ITER_HOLDS_ARRAY(at);
    const uint8_t *bytes;
    bson_iter_t in;
    bson_t parsed;
    uint32_t len;
    (array ? bson_iter_array : bson_iter_document)(at, &len, &bytes);
    for (known_text *t = known_texts; t; t = t->next)
        if (t->len == len && memcmp(t->bytes, bytes, len) == 0)
            return t->tree;
    known_text *t = calloc(1, sizeof *t + len);
    if (!t)
        fail(r, "out of memory");
    memcpy(t->bytes, bytes, len);
    t->len = len;
    t->owner.problem = r->problem;
    t->owner.size = r->size;
    if (setjmp(t->owner.failed) || !bson_init_static(&parsed, t->bytes, len) ||
        !bson_iter_init(&in, &parsed)) {
        free_room(&t->owner);
        free(t);
        fail(r, "the command cannot be read");
    }
    t->tree = read_many(&t->owner, in, array);
    t->next = known_texts;
    known_texts = t;
    return t->tree;
}

static bool is_text(const char *name, const bson_iter_t *at)
{
    return (strcmp(name, "update") == 0 && BSON_ITER_HOLDS_ARRAY(at)) ||
           ((strcmp(name, "fields") == 0 || strcmp(name, "projection") == 0) &&
            BSON_ITER_HOLDS_DOCUMENT(at));
}

static value read_command(run *r, const bson_t *command)
{
    bson_iter_t in;
    value v = an_object(r, bson_count_keys(command));
    if (!bson_iter_init(&in, command))
        fail(r, "the command cannot be read");
    for (uint32_t i = 0; i < v.as.many.n && bson_iter_next(&in); i++) {
        v.as.many.names[i] = bson_iter_key(&in);
        v.as.many.items[i] =
            is_text(bson_iter_key(&in), &in) ? read_text(r, &in) : read_value(r, &in);
    }
    return v;
}

static void write_value(bson_t *to, const char *name, value v);

static void write_many(bson_t *to, value v)
{
    char number[16];
    const char *name;
    for (uint32_t i = 0; i < v.as.many.n; i++) {
        if (v.as.many.names)
            name = v.as.many.names[i];
        else
            (void)bson_uint32_to_string(i, &name, number, sizeof number);
        write_value(to, name, v.as.many.items[i]);
    }
}

static void write_value(bson_t *to, const char *name, value v)
{
    bson_t inner;
    switch (v.type) {
    case BSON_TYPE_EOD:
        return;
    case BSON_TYPE_NULL:
        bson_append_null(to, name, -1);
        return;
    case BSON_TYPE_DOCUMENT:
        bson_append_document_begin(to, name, -1, &inner);
        write_many(&inner, v);
        bson_append_document_end(to, &inner);
        return;
    case BSON_TYPE_ARRAY:
        bson_append_array_begin(to, name, -1, &inner);
        write_many(&inner, v);
        bson_append_array_end(to, &inner);
        return;
    case BSON_TYPE_UTF8:
        bson_append_utf8(to, name, -1, v.as.text.at, (int)v.as.text.len);
        return;
    case BSON_TYPE_INT32:
        bson_append_int32(to, name, -1, (int32_t)v.as.number);
        return;
    case BSON_TYPE_INT64:
        bson_append_int64(to, name, -1, v.as.number);
        return;
    case BSON_TYPE_BOOL:
        bson_append_bool(to, name, -1, v.as.number != 0);
        return;
    case BSON_TYPE_DATE_TIME:
        bson_append_date_time(to, name, -1, v.as.number);
        return;
    case BSON_TYPE_DOUBLE:
        bson_append_double(to, name, -1, v.as.real);
        return;
    default:
        bson_append_value(to, name, -1, &v.as.other);
    }
}

/* The order of types; those that compare with each other have one place. */
static int place_of(bson_type_t type)
{
    switch (type) {
    case BSON_TYPE_MINKEY:
        return -1;
    case BSON_TYPE_EOD:
    case BSON_TYPE_UNDEFINED:
        return 0;
    case BSON_TYPE_NULL:
        return 5;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_DECIMAL128:
        return 10;
    case BSON_TYPE_UTF8:
    case BSON_TYPE_SYMBOL:
        return 15;
    case BSON_TYPE_DOCUMENT:
        return 20;
    case BSON_TYPE_ARRAY:
        return 25;
    case BSON_TYPE_BINARY:
        return 30;
    case BSON_TYPE_OID:
        return 35;
    case BSON_TYPE_BOOL:
        return 40;
    case BSON_TYPE_DATE_TIME:
        return 45;
    case BSON_TYPE_TIMESTAMP:
        return 47;
    case BSON_TYPE_REGEX:
        return 50;
    case BSON_TYPE_DBPOINTER:
        return 55;
    case BSON_TYPE_CODE:
        return 60;
    case BSON_TYPE_CODEWSCOPE:
        return 65;
    default:
        return 127;
    }
}

static int sign(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

static int compare_bytes(const void *left, uint32_t left_len, const void *right, uint32_t right_len)
{
    int order = memcmp(left, right, left_len < right_len ? left_len : right_len);
    return order ? order : sign(left_len, right_len);
}

static int compare_numbers(value left, value right)
{
    if (is_whole(left) && is_whole(right))
        return sign(left.as.number, right.as.number);
    long double l = number_of(left), r = number_of(right);
    if (isnan(l) || isnan(r))
        return sign(!isnan(l), !isnan(r)); /* least of all numbers */
    return (l > r) - (l < r);
}

static int compare(run *r, value left, value right);

static int compare_many(run *r, value left, value right)
{
    for (uint32_t i = 0; i < left.as.many.n && i < right.as.many.n; i++) {
        value l = left.as.many.items[i], m = right.as.many.items[i];
        int order = sign(place_of(l.type), place_of(m.type));
        if (order == 0 && left.as.many.names)
            order = strcmp(left.as.many.names[i], right.as.many.names[i]);
        if (order == 0)
            order = compare(r, l, m);
        if (order != 0)
            return order;
    }
    return sign(left.as.many.n, right.as.many.n);
}

static int compare(run *r, value left, value right)
{
    int order = sign(place_of(left.type), place_of(right.type));
    if (order != 0)
        return order;
    switch (left.type) {
    case BSON_TYPE_EOD:
    case BSON_TYPE_NULL:
    case BSON_TYPE_UNDEFINED:
    case BSON_TYPE_MINKEY:
    case BSON_TYPE_MAXKEY:
        return 0;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
    case BSON_TYPE_DOUBLE:
    case BSON_TYPE_DECIMAL128:
        return compare_numbers(left, right);
    case BSON_TYPE_BOOL:
    case BSON_TYPE_DATE_TIME:
        return sign(left.as.number, right.as.number);
    case BSON_TYPE_DOCUMENT:
    case BSON_TYPE_ARRAY:
        return compare_many(r, left, right);
    case BSON_TYPE_UTF8:
        if (right.type == BSON_TYPE_UTF8)
            return compare_bytes(left.as.text.at, left.as.text.len, right.as.text.at,
                                 right.as.text.len);
        break;
    case BSON_TYPE_OID:
        return bson_oid_compare(&left.as.other.value.v_oid, &right.as.other.value.v_oid);
    default:
        break;
    }
    /* Rare ones are only ever asked whether they are the same. */
    bson_t l = BSON_INITIALIZER, m = BSON_INITIALIZER;
    write_value(&l, "", left);
    write_value(&m, "", right);
    order = bson_compare(&l, &m);
    bson_destroy(&l);
    bson_destroy(&m);
    return order;
}

static value field_of(value object, const char *name, size_t len)
{
    if (object.type == BSON_TYPE_DOCUMENT)
        for (uint32_t i = 0; i < object.as.many.n; i++)
            if (strncmp(object.as.many.names[i], name, len) == 0 &&
                object.as.many.names[i][len] == '\0')
                return object.as.many.items[i];
    return missing;
}

/* Through an array a path gives the array of what it gives for each object in it. */
static value follow(run *r, value from, const char *path)
{
    if (!*path)
        return from;
    if (from.type == BSON_TYPE_ARRAY) {
        value all = an_array(r, from.as.many.n);
        all.as.many.n = 0;
        for (uint32_t i = 0; i < from.as.many.n; i++) {
            value one = follow(r, from.as.many.items[i], path);
            if (one.type != BSON_TYPE_EOD)
                all.as.many.items[all.as.many.n++] = one;
        }
        return all;
    }
    size_t len = strcspn(path, ".");
    return follow(r, field_of(from, path, len), path[len] ? path + len + 1 : path + len);
}

static const char *type_word(bson_type_t type)
{
    static const struct {
        bson_type_t type;
        const char *word;
    } words[] = {{BSON_TYPE_EOD, "missing"},        {BSON_TYPE_NULL, "null"},
                 {BSON_TYPE_DOUBLE, "double"},      {BSON_TYPE_UTF8, "string"},
                 {BSON_TYPE_DOCUMENT, "object"},    {BSON_TYPE_ARRAY, "array"},
                 {BSON_TYPE_BINARY, "binData"},     {BSON_TYPE_UNDEFINED, "undefined"},
                 {BSON_TYPE_OID, "objectId"},       {BSON_TYPE_BOOL, "bool"},
                 {BSON_TYPE_DATE_TIME, "date"},     {BSON_TYPE_REGEX, "regex"},
                 {BSON_TYPE_INT32, "int"},          {BSON_TYPE_INT64, "long"},
                 {BSON_TYPE_DECIMAL128, "decimal"}, {BSON_TYPE_TIMESTAMP, "timestamp"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].type == type)
            return words[i].word;
    return "another";
}

/* ---- Expressions ------------------------------------------------------------------------------*/

typedef value operation(run *r, value argument, const variable *scope);

static value evaluate(run *r, value expression, const variable *scope);

/* An operator's arguments are an array, or one value that stands for an array of one. */
static value argument(run *r, value given, uint32_t i, const variable *scope)
{
    if (given.type != BSON_TYPE_ARRAY)
        return i == 0 ? evaluate(r, given, scope) : missing;
    return i < given.as.many.n ? evaluate(r, given.as.many.items[i], scope) : missing;
}

static uint32_t arguments(value given)
{
    return given.type == BSON_TYPE_ARRAY ? given.as.many.n : 1;
}

static value named(run *r, value given, const char *name, const variable *scope)
{
    return evaluate(r, field_of(given, name, strlen(name)), scope);
}

static value op_and(run *r, value given, const variable *scope)
{
    for (uint32_t i = 0; i < arguments(given); i++)
        if (!is_true(argument(r, given, i, scope)))
            return a_bool(false);
    return a_bool(true);
}

static value op_or(run *r, value given, const variable *scope)
{
    for (uint32_t i = 0; i < arguments(given); i++)
        if (is_true(argument(r, given, i, scope)))
            return a_bool(true);
    return a_bool(false);
}

static value op_not(run *r, value given, const variable *scope)
{
    return a_bool(!is_true(argument(r, given, 0, scope)));
}

static int order_of(run *r, value given, const variable *scope)
{
    return compare(r, argument(r, given, 0, scope), argument(r, given, 1, scope));
}

static value op_eq(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) == 0);
}

static value op_ne(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) != 0);
}

static value op_lt(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) < 0);
}

static value op_lte(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) <= 0);
}

static value op_gt(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) > 0);
}

static value op_gte(run *r, value given, const variable *scope)
{
    return a_bool(order_of(r, given, scope) >= 0);
}

static value op_cond(run *r, value given, const variable *scope)
{
    return argument(r, given, is_true(argument(r, given, 0, scope)) ? 1 : 2, scope);
}

static value op_if_null(run *r, value given, const variable *scope)
{
    value first = argument(r, given, 0, scope);
    return is_absent(first) ? argument(r, given, 1, scope) : first;
}

static value op_switch(run *r, value given, const variable *scope)
{
    value branches = field_of(given, "branches", 8);
    for (uint32_t i = 0; i < branches.as.many.n; i++)
        if (is_true(named(r, branches.as.many.items[i], "case", scope)))
            return named(r, branches.as.many.items[i], "then", scope);
    return named(r, given, "default", scope);
}

static value op_let(run *r, value given, const variable *scope)
{
    value vars = field_of(given, "vars", 4);
    variable *bound = room(r, (vars.as.many.n + 1) * sizeof *bound);
    const variable *inner = scope;
    for (uint32_t i = 0; i < vars.as.many.n; i++) {
        bound[i] =
            (variable){inner, vars.as.many.names[i], evaluate(r, vars.as.many.items[i], scope)};
        inner = &bound[i];
    }
    return named(r, given, "in", inner);
}

static value op_literal(run *r, value given, const variable *scope)
{
    (void)r;
    (void)scope;
    return given;
}

static value op_type(run *r, value given, const variable *scope)
{
    return a_text(type_word(argument(r, given, 0, scope).type));
}

static value op_is_number(run *r, value given, const variable *scope)
{
    return a_bool(is_number(argument(r, given, 0, scope)));
}

static value op_in(run *r, value given, const variable *scope)
{
    value what = argument(r, given, 0, scope), list = argument(r, given, 1, scope);
    if (list.type != BSON_TYPE_ARRAY)
        fail(r, "$in wants an array");
    for (uint32_t i = 0; i < list.as.many.n; i++)
        if (compare(r, what, list.as.many.items[i]) == 0)
            return a_bool(true);
    return a_bool(false);
}

static value sum(run *r, value left, value right, int factor)
{
    if (is_absent(left) || is_absent(right))
        return null;
    if (left.type == BSON_TYPE_DATE_TIME && right.type == BSON_TYPE_DATE_TIME && factor < 0)
        return a_long(left.as.number - right.as.number);
    if (left.type == BSON_TYPE_DATE_TIME && is_number(right))
        return a_date(left.as.number + factor * (int64_t)number_of(right));
    if (right.type == BSON_TYPE_DATE_TIME && is_number(left) && factor > 0)
        return a_date(right.as.number + (int64_t)number_of(left));
    if (!is_number(left) || !is_number(right))
        fail(r, "a sum of a %s and a %s", type_word(left.type), type_word(right.type));
    if (!is_whole(left) || !is_whole(right))
        return a_double((double)(number_of(left) + factor * number_of(right)));
    int64_t total;
    if (factor > 0 ? __builtin_add_overflow(left.as.number, right.as.number, &total)
                   : __builtin_sub_overflow(left.as.number, right.as.number, &total))
        return a_double((double)(number_of(left) + factor * number_of(right)));
    return left.type == BSON_TYPE_INT32 && right.type == BSON_TYPE_INT32 ? an_int(total)
                                                                         : a_long(total);
}

static value op_add(run *r, value given, const variable *scope)
{
    value total = argument(r, given, 0, scope);
    for (uint32_t i = 1; i < arguments(given); i++)
        total = sum(r, total, argument(r, given, i, scope), 1);
    return total;
}

static value op_subtract(run *r, value given, const variable *scope)
{
    return sum(r, argument(r, given, 0, scope), argument(r, given, 1, scope), -1);
}

static value op_multiply(run *r, value given, const variable *scope)
{
    value left = argument(r, given, 0, scope), right = argument(r, given, 1, scope);
    int64_t product;
    if (is_absent(left) || is_absent(right))
        return null;
    if (!is_number(left) || !is_number(right))
        fail(r, "a product of a %s and a %s", type_word(left.type), type_word(right.type));
    if (is_whole(left) && is_whole(right) &&
        !__builtin_mul_overflow(left.as.number, right.as.number, &product))
        return left.type == BSON_TYPE_INT32 && right.type == BSON_TYPE_INT32 ? an_int(product)
                                                                             : a_long(product);
    return a_double((double)(number_of(left) * number_of(right)));
}

/* Of several arguments, or of the one array that there is. */
static value extreme(run *r, value given, const variable *scope, int wanted)
{
    value all = given, best = null;
    bool made = given.type != BSON_TYPE_ARRAY || given.as.many.n == 1;
    if (made) {
        all = argument(r, given, 0, scope);
        if (all.type != BSON_TYPE_ARRAY)
            return is_absent(all) ? null : all;
    }
    for (uint32_t i = 0; i < all.as.many.n; i++) {
        value one = made ? all.as.many.items[i] : evaluate(r, all.as.many.items[i], scope);
        if (!is_absent(one) && (is_absent(best) || compare(r, one, best) * wanted > 0))
            best = one;
    }
    return best;
}

static value op_max(run *r, value given, const variable *scope)
{
    return extreme(r, given, scope, 1);
}

static value op_min(run *r, value given, const variable *scope)
{
    return extreme(r, given, scope, -1);
}

static value op_trunc(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    if (v.type == BSON_TYPE_DOUBLE)
        v.as.real = trunc(v.as.real);
    else if (v.type == BSON_TYPE_DECIMAL128)
        return a_double((double)truncl(number_of(v)));
    return v;
}

static value op_to_long(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    if (is_absent(v))
        return null;
    if (v.type == BSON_TYPE_DATE_TIME)
        return a_long(v.as.number);
    long double number = number_of(v);
    if (!is_number(v) || isnan(number) || number >= 0x1p63L || number < -0x1p63L)
        fail(r, "no long can be made of a %s", type_word(v.type));
    return a_long(is_whole(v) ? v.as.number : (int64_t)number);
}

static value op_to_date(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    if (is_absent(v))
        return null;
    if (!is_whole(v))
        fail(r, "no date can be made of a %s", type_word(v.type));
    return a_date(v.as.number);
}

static value op_to_string(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    char *text = room(r, 32);
    if (is_absent(v))
        return null;
    if (v.type == BSON_TYPE_UTF8)
        return v;
    if (v.type == BSON_TYPE_OID)
        bson_oid_to_string(&v.as.other.value.v_oid, text);
    else if (is_whole(v))
        (void)snprintf(text, 32, "%lld", (long long)v.as.number);
    else
        fail(r, "no string is made of a %s here", type_word(v.type));
    return a_text(text);
}

/* What the server reads beyond our own pattern is refused by the pattern, so both are one here. */
static bool read_time(value v, int64_t *ret_ms)
{
    bson_t document = BSON_INITIALIZER;
    bson_iter_t at;
    write_value(&document, "t", v);
    bool is = bson_iter_init_find(&at, &document, "t") && lh_doc_instant(&at, ret_ms);
    bson_destroy(&document);
    return is;
}

static value op_date_from_string(run *r, value given, const variable *scope)
{
    int64_t ms;
    return read_time(named(r, given, "dateString", scope), &ms) ? a_date(ms) : null;
}

static value op_regex_match(run *r, value given, const variable *scope)
{
    int64_t ms;
    return a_bool(read_time(named(r, given, "input", scope), &ms));
}

static value op_size(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    if (v.type != BSON_TYPE_ARRAY)
        fail(r, "$size wants an array");
    return an_int(v.as.many.n);
}

static value end_of_array(run *r, value given, const variable *scope, bool last)
{
    value v = argument(r, given, 0, scope);
    if (is_absent(v))
        return null;
    if (v.type != BSON_TYPE_ARRAY)
        fail(r, "$first and $last want an array");
    return v.as.many.n == 0 ? missing : v.as.many.items[last ? v.as.many.n - 1 : 0];
}

static value op_first(run *r, value given, const variable *scope)
{
    return end_of_array(r, given, scope, false);
}

static value op_last(run *r, value given, const variable *scope)
{
    return end_of_array(r, given, scope, true);
}

static value op_element(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope), at = argument(r, given, 1, scope);
    if (is_absent(v) || is_absent(at))
        return null;
    if (v.type != BSON_TYPE_ARRAY)
        fail(r, "$arrayElemAt wants an array");
    int64_t i = at.as.number < 0 ? at.as.number + v.as.many.n : at.as.number;
    return i >= 0 && i < v.as.many.n ? v.as.many.items[i] : missing;
}

static value op_slice(run *r, value given, const variable *scope)
{
    value v = argument(r, given, 0, scope);
    int64_t from = 0, n = argument(r, given, 1, scope).as.number;
    if (arguments(given) == 3) {
        from = n;
        n = argument(r, given, 2, scope).as.number;
    }
    if (v.type != BSON_TYPE_ARRAY || from < 0 || n < 0)
        fail(r, "$slice is known here of an array, from its beginning");
    int64_t size = v.as.many.n;
    from = from > size ? size : from;
    n = n > size - from ? size - from : n;
    v.as.many.items += from;
    v.as.many.n = (uint32_t)n;
    return v;
}

static value op_index(run *r, value given, const variable *scope)
{
    value list = argument(r, given, 0, scope), what = argument(r, given, 1, scope);
    if (is_absent(list))
        return null;
    for (uint32_t i = 0; i < list.as.many.n; i++)
        if (compare(r, list.as.many.items[i], what) == 0)
            return an_int(i);
    return an_int(-1);
}

static value op_range(run *r, value given, const variable *scope)
{
    int64_t from = argument(r, given, 0, scope).as.number,
            to = argument(r, given, 1, scope).as.number;
    value all = an_array(r, to > from ? (uint32_t)(to - from) : 0);
    for (uint32_t i = 0; i < all.as.many.n; i++)
        all.as.many.items[i] = an_int(from + i);
    return all;
}

static value op_concat(run *r, value given, const variable *scope)
{
    value *parts = room(r, (arguments(given) + 1) * sizeof *parts);
    size_t size = 1;
    for (uint32_t i = 0; i < arguments(given); i++) {
        parts[i] = argument(r, given, i, scope);
        if (is_absent(parts[i]))
            return null;
        if (parts[i].type != BSON_TYPE_UTF8)
            fail(r, "$concat wants strings");
        size += parts[i].as.text.len;
    }
    char *text = room(r, size);
    value all = {.type = BSON_TYPE_UTF8, .as.text = {text, 0}};
    for (uint32_t i = 0; i < arguments(given); i++) {
        memcpy(text + all.as.text.len, parts[i].as.text.at, parts[i].as.text.len);
        all.as.text.len += parts[i].as.text.len;
    }
    text[all.as.text.len] = '\0';
    return all;
}

static value op_concat_arrays(run *r, value given, const variable *scope)
{
    value *parts = room(r, (arguments(given) + 1) * sizeof *parts);
    uint32_t n = 0;
    for (uint32_t i = 0; i < arguments(given); i++) {
        parts[i] = argument(r, given, i, scope);
        if (is_absent(parts[i]))
            return null;
        if (parts[i].type != BSON_TYPE_ARRAY)
            fail(r, "$concatArrays wants arrays");
        n += parts[i].as.many.n;
    }
    value all = an_array(r, n);
    value *to = all.as.many.items;
    for (uint32_t i = 0; i < arguments(given); i++) {
        memcpy(to, parts[i].as.many.items, parts[i].as.many.n * sizeof(value));
        to += parts[i].as.many.n;
    }
    return all;
}

static value op_object_to_array(run *r, value given, const variable *scope)
{
    value object = argument(r, given, 0, scope);
    if (is_absent(object))
        return null;
    if (object.type != BSON_TYPE_DOCUMENT)
        fail(r, "$objectToArray wants an object");
    value all = an_array(r, object.as.many.n);
    for (uint32_t i = 0; i < object.as.many.n; i++) {
        value pair = an_object(r, 2);
        pair.as.many.names[0] = "k";
        pair.as.many.items[0] = a_text(object.as.many.names[i]);
        pair.as.many.names[1] = "v";
        pair.as.many.items[1] = object.as.many.items[i];
        all.as.many.items[i] = pair;
    }
    return all;
}

static void set_field(value *object, const char *name, value v)
{
    for (uint32_t i = 0; i < object->as.many.n; i++)
        if (strcmp(object->as.many.names[i], name) == 0) {
            object->as.many.items[i] = v;
            return;
        }
    object->as.many.names[object->as.many.n] = name;
    object->as.many.items[object->as.many.n++] = v;
}

/* A copy with room for `more`, without what was removed. */
static value copy_object(run *r, value object, uint32_t more)
{
    value copy = an_object(r, object.as.many.n + more);
    copy.as.many.n = 0;
    for (uint32_t i = 0; i < object.as.many.n; i++)
        if (object.as.many.items[i].type != BSON_TYPE_EOD) {
            copy.as.many.names[copy.as.many.n] = object.as.many.names[i];
            copy.as.many.items[copy.as.many.n++] = object.as.many.items[i];
        }
    return copy;
}

static value op_array_to_object(run *r, value given, const variable *scope)
{
    value list = argument(r, given, 0, scope);
    if (is_absent(list))
        return null;
    value object = an_object(r, list.as.many.n);
    object.as.many.n = 0;
    for (uint32_t i = 0; i < list.as.many.n; i++) {
        value name = field_of(list.as.many.items[i], "k", 1);
        if (name.type != BSON_TYPE_UTF8)
            fail(r, "$arrayToObject wants names");
        set_field(&object, name.as.text.at, field_of(list.as.many.items[i], "v", 1));
    }
    return object;
}

/* The object with another one's fields set in it. */
static value merged(run *r, value object, value more)
{
    value all = copy_object(r, object, more.as.many.n);
    for (uint32_t i = 0; i < more.as.many.n; i++)
        if (more.as.many.items[i].type != BSON_TYPE_EOD)
            set_field(&all, more.as.many.names[i], more.as.many.items[i]);
    return all;
}

static value op_merge(run *r, value given, const variable *scope)
{
    value all = an_object(r, 0);
    for (uint32_t i = 0; i < arguments(given); i++) {
        value one = argument(r, given, i, scope);
        if (is_absent(one))
            continue;
        if (one.type != BSON_TYPE_DOCUMENT)
            fail(r, "$mergeObjects wants objects");
        all = merged(r, all, one);
    }
    return all;
}

static value op_set_field(run *r, value given, const variable *scope)
{
    value object = named(r, given, "input", scope), v = named(r, given, "value", scope);
    if (is_absent(object))
        return null;
    object = copy_object(r, object, 1);
    set_field(&object, field_of(given, "field", 5).as.text.at, v);
    return copy_object(r, object, 0);
}

typedef enum { MAP, FILTER } looping;

static value loop(run *r, value given, const variable *scope, looping what)
{
    value list = named(r, given, "input", scope), as = field_of(given, "as", 2);
    if (is_absent(list))
        return null;
    if (list.type != BSON_TYPE_ARRAY)
        fail(r, "$map and $filter want an array");
    value all = an_array(r, list.as.many.n);
    uint32_t n = 0;
    for (uint32_t i = 0; i < list.as.many.n; i++) {
        variable *one = room(r, sizeof *one);
        *one = (variable){scope, as.as.text.at, list.as.many.items[i]};
        value made = named(r, given, what == MAP ? "in" : "cond", one);
        if (what == MAP)
            all.as.many.items[n++] = made.type == BSON_TYPE_EOD ? null : made;
        else if (is_true(made))
            all.as.many.items[n++] = list.as.many.items[i];
    }
    all.as.many.n = n;
    return all;
}

static value op_map(run *r, value given, const variable *scope)
{
    return loop(r, given, scope, MAP);
}

static value op_filter(run *r, value given, const variable *scope)
{
    return loop(r, given, scope, FILTER);
}

static value op_reduce(run *r, value given, const variable *scope)
{
    value list = named(r, given, "input", scope), so_far = named(r, given, "initialValue", scope);
    if (is_absent(list))
        return null;
    for (uint32_t i = 0; i < list.as.many.n; i++) {
        variable *bound = room(r, 2 * sizeof *bound);
        bound[0] = (variable){scope, "value", so_far};
        bound[1] = (variable){&bound[0], "this", list.as.many.items[i]};
        so_far = named(r, given, "in", &bound[1]);
    }
    return so_far;
}

static value op_all_true(run *r, value given, const variable *scope)
{
    value list = argument(r, given, 0, scope);
    for (uint32_t i = 0; i < list.as.many.n; i++)
        if (!is_true(list.as.many.items[i]))
            return a_bool(false);
    return a_bool(true);
}

static value op_any_true(run *r, value given, const variable *scope)
{
    value list = argument(r, given, 0, scope);
    for (uint32_t i = 0; i < list.as.many.n; i++)
        if (is_true(list.as.many.items[i]))
            return a_bool(true);
    return a_bool(false);
}

static value op_seconds(run *r, value given, const variable *scope)
{
    (void)given;
    (void)scope;
    return a_long(r->clock.seconds);
}

static value op_increment(run *r, value given, const variable *scope)
{
    (void)given;
    (void)scope;
    return a_long(r->clock.increment);
}

static const struct {
    const char *name;
    operation *run;
} operations[] = {
    {"$add", op_add},
    {"$allElementsTrue", op_all_true},
    {"$and", op_and},
    {"$anyElementTrue", op_any_true},
    {"$arrayElemAt", op_element},
    {"$arrayToObject", op_array_to_object},
    {"$concat", op_concat},
    {"$concatArrays", op_concat_arrays},
    {"$cond", op_cond},
    {"$dateFromString", op_date_from_string},
    {"$eq", op_eq},
    {"$filter", op_filter},
    {"$first", op_first},
    {"$gt", op_gt},
    {"$gte", op_gte},
    {"$ifNull", op_if_null},
    {"$in", op_in},
    {"$indexOfArray", op_index},
    {"$isNumber", op_is_number},
    {"$last", op_last},
    {"$let", op_let},
    {"$literal", op_literal},
    {"$lt", op_lt},
    {"$lte", op_lte},
    {"$map", op_map},
    {"$max", op_max},
    {"$mergeObjects", op_merge},
    {"$min", op_min},
    {"$multiply", op_multiply},
    {"$ne", op_ne},
    {"$not", op_not},
    {"$objectToArray", op_object_to_array},
    {"$or", op_or},
    {"$range", op_range},
    {"$reduce", op_reduce},
    {"$regexMatch", op_regex_match},
    {"$setField", op_set_field},
    {"$size", op_size},
    {"$slice", op_slice},
    {"$subtract", op_subtract},
    {"$switch", op_switch},
    {"$toDate", op_to_date},
    {"$toLong", op_to_long},
    {"$toString", op_to_string},
    {"$trunc", op_trunc},
    {"$tsIncrement", op_increment},
    {"$tsSecond", op_seconds},
    {"$type", op_type},
};

static int compare_names(const void *name, const void *entry)
{
    return strcmp(name, *(const char *const *)entry);
}

static operation *operation_of(run *r, const char *name)
{
    const void *found = bsearch(name, operations, sizeof operations / sizeof *operations,
                                sizeof *operations, compare_names);
    if (!found)
        fail(r, "%s is not known here", name);
    return ((const __typeof__(*operations) *)found)->run;
}

static value variable_of(run *r, const char *path, const variable *scope)
{
    size_t len = strcspn(path, ".");
    const char *rest = path[len] ? path + len + 1 : path + len;
    for (; scope; scope = scope->outer)
        if (strncmp(scope->name, path, len) == 0 && scope->name[len] == '\0')
            return follow(r, scope->is, rest);
    if (strncmp(path, "ROOT", len) == 0)
        return follow(r, r->root, rest);
    if (strncmp(path, "NOW", len) == 0)
        return a_date(r->clock.now_ms);
    if (strncmp(path, "REMOVE", len) == 0 || strncmp(path, "CLUSTER_TIME", len) == 0)
        return missing;
    fail(r, "there is no variable %s", path);
}

/* A field of an object whose value is missing is not there. */
static value evaluate_object(run *r, value expression, const variable *scope)
{
    value made = an_object(r, expression.as.many.n);
    for (uint32_t i = 0; i < expression.as.many.n; i++) {
        made.as.many.names[i] = expression.as.many.names[i];
        made.as.many.items[i] = evaluate(r, expression.as.many.items[i], scope);
    }
    return copy_object(r, made, 0);
}

static value evaluate(run *r, value expression, const variable *scope)
{
    if (expression.type == BSON_TYPE_UTF8 && *expression.as.text.at == '$') {
        const char *path = expression.as.text.at + 1;
        return *path == '$' ? variable_of(r, path + 1, scope) : follow(r, r->root, path);
    }
    if (expression.type == BSON_TYPE_ARRAY) {
        value made = an_array(r, expression.as.many.n);
        for (uint32_t i = 0; i < expression.as.many.n; i++) {
            value one = evaluate(r, expression.as.many.items[i], scope);
            made.as.many.items[i] = one.type == BSON_TYPE_EOD ? null : one;
        }
        return made;
    }
    if (expression.type != BSON_TYPE_DOCUMENT)
        return expression;
    if (expression.as.many.n == 1 && *expression.as.many.names[0] == '$')
        return operation_of(r, expression.as.many.names[0])(r, expression.as.many.items[0], scope);
    return evaluate_object(r, expression, scope);
}

/* ---- Commands ---------------------------------------------------------------------------------*/

static const variable *variables_of(run *r, value command)
{
    value let = field_of(command, "let", 3);
    const variable *scope = NULL;
    for (uint32_t i = 0; let.type == BSON_TYPE_DOCUMENT && i < let.as.many.n; i++) {
        variable *one = room(r, sizeof *one);
        *one = (variable){scope, let.as.many.names[i], evaluate(r, let.as.many.items[i], NULL)};
        scope = one;
    }
    return scope;
}

static value only(run *r, const char *name, value v)
{
    value object = an_object(r, 1);
    object.as.many.names[0] = name;
    object.as.many.items[0] = v;
    return object;
}

/* The server keeps the _id of what it updates, and puts it first. */
static void run_stages(run *r, value stages, const variable *scope)
{
    for (uint32_t i = 0; i < stages.as.many.n; i++) {
        value stage = stages.as.many.items[i], id = field_of(r->root, "_id", 3);
        if (strcmp(stage.as.many.names[0], "$replaceWith") != 0)
            fail(r, "the stage %s is not known here", stage.as.many.names[0]);
        value made = evaluate(r, stage.as.many.items[0], scope);
        if (made.type != BSON_TYPE_DOCUMENT)
            fail(r, "$replaceWith wants an object");
        if (id.type == BSON_TYPE_EOD)
            id = field_of(made, "_id", 3);
        r->root = merged(r, only(r, "_id", id), made);
    }
}

static void finish(run *r, bson_t **ret)
{
    *ret = bson_new();
    write_many(*ret, r->root);
}

/* Runs `body` so that a failure anywhere in it ends here. */
static evaluate_outcome guarded(run *r, void (*body)(run *r, const void *arg), const void *arg)
{
    bool failed = setjmp(r->failed) != 0;
    if (!failed)
        body(r, arg);
    free_room(r);
    return failed ? EVALUATE_FAILED : EVALUATE_DONE;
}

typedef struct {
    const bson_t *command, *document;
    const bson_oid_t *fresh_id;
    bson_t **ret;
} asked;

static void update(run *r, const void *arg)
{
    const asked *a = arg;
    value command = read_command(r, a->command), one = command;
    bool find_and_modify = field_of(command, "findAndModify", 13).type != BSON_TYPE_EOD;
    if (!find_and_modify)
        one = follow(r, command, "updates").as.many.items[0];
    value query = field_of(one, find_and_modify ? "query" : "q", find_and_modify ? 5 : 1);
    value stages = field_of(one, find_and_modify ? "update" : "u", find_and_modify ? 6 : 1);
    const variable *scope = variables_of(r, command);
    *a->ret = NULL;
    if (!a->document && !is_true(field_of(one, "upsert", 6)))
        return;
    r->root = a->document ? read_document(r, a->document) : query;
    run_stages(r, stages, scope);
    if (field_of(r->root, "_id", 3).type == BSON_TYPE_EOD) {
        value id = {.type = BSON_TYPE_OID};
        id.as.other.value_type = BSON_TYPE_OID;
        id.as.other.value.v_oid = *a->fresh_id;
        r->root = merged(r, only(r, "_id", id), r->root);
    }
    finish(r, a->ret);
}

/* What is named by 1 stands in the document's order, with the _id unless it is 0; then what is
 * computed. */
static void show(run *r, const void *arg)
{
    const asked *a = arg;
    value command = read_command(r, a->command), fields = field_of(command, "fields", 6);
    if (fields.type == BSON_TYPE_EOD)
        fields = field_of(command, "projection", 10);
    const variable *scope = variables_of(r, command);
    r->root = read_document(r, a->document);
    value shown = an_object(r, r->root.as.many.n + fields.as.many.n);
    shown.as.many.n = 0;
    for (uint32_t i = 0; i < r->root.as.many.n; i++) {
        const char *name = r->root.as.many.names[i];
        value wanted = field_of(fields, name, strlen(name));
        if (is_number(wanted) ? is_true(wanted)
                              : wanted.type == BSON_TYPE_EOD && strcmp(name, "_id") == 0)
            set_field(&shown, name, r->root.as.many.items[i]);
    }
    for (uint32_t i = 0; i < fields.as.many.n; i++)
        if (!is_number(fields.as.many.items[i]))
            set_field(&shown, fields.as.many.names[i], evaluate(r, fields.as.many.items[i], scope));
    r->root = shown;
    finish(r, a->ret);
}

evaluate_outcome evaluate_update(const bson_t *command, const bson_t *before, evaluate_clock clock,
                                 const bson_oid_t *fresh_id, bson_t **ret_after, char *problem,
                                 size_t size)
{
    run r = {.clock = clock, .problem = problem, .size = size};
    return guarded(&r, update, &(asked){command, before, fresh_id, ret_after});
}

evaluate_outcome evaluate_fields(const bson_t *command, const bson_t *document,
                                 evaluate_clock clock, bson_t **ret_shown, char *problem,
                                 size_t size)
{
    run r = {.clock = clock, .problem = problem, .size = size};
    return guarded(&r, show, &(asked){command, document, NULL, ret_shown});
}
