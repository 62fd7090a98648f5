/* SPDX-License-Identifier: Apache-2.0
 * Structs of a caller that may be older or newer than this library: which bytes are read, refused
 * and written. */
#include "base/options.h"

#include <stdalign.h>
#include <string.h>

#include "base/error.h"

typedef struct {
    const char *name, *macro;
    const void *defaults; /* the values of its macro */
    size_t known;         /* its size in this version */
    size_t least;         /* no version has a smaller one */
} layout;

/* A new field must not fit into padding: the size would stay the same. */
#define FULL(type, last)                                                                           \
    _Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type),               \
                   #type " ends in padding: see options.h");
#define X(type, macro, last)                                                                       \
    FULL(type, last)                                                                               \
    static const type type##_defaults = macro##_INIT;                                              \
    static const layout type##_kind = {#type, #macro "_INIT", &type##_defaults, sizeof(type),      \
                                       sizeof(size_t)};
LH_OPTIONS(X) /* NOLINT(bugprone-sizeof-expression): of a pointer, too */
#undef X
#define X(type, macro, last, least)                                                                \
    FULL(type, last)                                                                               \
    static const type type##_defaults = macro##_INIT;                                              \
    static const layout type##_kind = {#type, #macro "_INIT", &type##_defaults, sizeof(type),      \
                                       offsetof(type, least) + sizeof(((type *)0)->least)};
LH_REPORTS(X)
#undef X
FULL(lh_error, message)
static const lh_error lh_error_defaults = LH_ERROR_INIT;
static const layout lh_error_kind = {"lh_error", "LH_ERROR_INIT", &lh_error_defaults,
                                     sizeof(lh_error), LH_ERROR_LEAST};

/* Whether a version of the struct can have this size. One that ends within a field is impossible:
 * the size of a struct is a multiple of its alignment, and fields of that size are aligned to
 * it. */
static bool is_size(const layout *kind, size_t size)
{
    return size >= kind->least && size <= LH_SIZE_MAX && size % alignof(size_t) == 0;
}

static int refuse_size(const layout *kind, size_t size, lh_error *error)
{
    return lh_fail(error, LH_INVALID,
                   "the size of %s is %zu, which no version has: initialise the struct with %s "
                   "(Leasehold " LH_VERSION " knows %zu bytes)",
                   kind->name, size, kind->macro, kind->known);
}

static int take(const layout *kind, void *ret_options, const void *given, lh_error *error)
{
    size_t size = kind->known;
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (given)
        memcpy(&size, given, sizeof size);
    if (!is_size(kind, size))
        return refuse_size(kind, size, error);
    for (size_t at = kind->known; at < size; at++)
        if (((const unsigned char *)given)[at] != 0)
            return lh_fail(
                error, LH_INVALID,
                "%s sets an option that this library (Leasehold " LH_VERSION
                ") does not know: byte %zu of %zu is set, and the library knows %zu bytes. Use a "
                "newer library, or leave that option out",
                kind->name, at, size, kind->known);
    memcpy(ret_options, kind->defaults, kind->known);
    if (given)
        memcpy((char *)ret_options + sizeof size, (const char *)given + sizeof size,
               (size < kind->known ? size : kind->known) - sizeof size);
    return LH_OK;
}

static int check(const layout *kind, const void *ret_report, lh_error *error)
{
    size_t size = kind->known;
    if (lh_error_check(error) != LH_OK)
        return LH_INVALID;
    if (ret_report)
        memcpy(&size, ret_report, sizeof size);
    return is_size(kind, size) ? LH_OK : refuse_size(kind, size, error);
}

static void give(const layout *kind, void *ret_report, const void *all)
{
    size_t size;
    if (!ret_report)
        return;
    memcpy(&size, ret_report, sizeof size);
    memcpy((char *)ret_report + sizeof size, (const char *)all + sizeof size,
           (size < kind->known ? size : kind->known) - sizeof size);
}

static void init(const layout *kind, void *ret, size_t size)
{
    if (size < sizeof size)
        return;
    memset(ret, 0, size);
    memcpy(ret, kind->defaults, size < kind->known ? size : kind->known);
    memcpy(ret, &size, sizeof size);
}

#define X(type, ...)                                                                               \
    void type##_init(type *ret, size_t size)                                                       \
    {                                                                                              \
        init(&type##_kind, ret, size);                                                             \
    }
LH_OPTIONS(X)
LH_REPORTS(X)
X(lh_error, )
#undef X

#define X(type, macro, last)                                                                       \
    int type##_take(type *ret_options, const type *given, lh_error *error)                         \
    {                                                                                              \
        return take(&type##_kind, ret_options, given, error);                                      \
    }
LH_OPTIONS(X)
#undef X

#define X(type, macro, last, least)                                                                \
    int type##_check(const type *ret_report, lh_error *error)                                      \
    {                                                                                              \
        return check(&type##_kind, ret_report, error);                                             \
    }                                                                                              \
    void type##_give(type *ret_report, const type *all)                                            \
    {                                                                                              \
        give(&type##_kind, ret_report, all);                                                       \
    }
LH_REPORTS(X)
#undef X

const char *lh_rollout_word(int rollout)
{
    static const char *const words[] = {
        [LH_ENFORCE] = "enforce", [LH_OBSERVE] = "observe", [LH_OFF] = "off"};
    return rollout >= LH_ENFORCE && rollout <= LH_OFF ? words[rollout] : "";
}
