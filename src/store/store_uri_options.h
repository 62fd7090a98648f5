/* SPDX-License-Identifier: Apache-2.0
 * The options of a connection string: one table says of each what becomes of it. The driver drops
 * what it does not know without a word; here nothing is lost in silence. The manual page
 * leasehold-connection(7) has the same table (unit/uri compares them). */
#ifndef LH_STORE_URI_OPTIONS_H
#define LH_STORE_URI_OPTIONS_H

#include "base/error.h"
#include "store/store_uri_parts.h"

struct _mongoc_uri_t;

typedef enum { LH_URI_HONOURED, LH_URI_OVERRIDDEN, LH_URI_REFUSED } lh_uri_treatment;

typedef struct lh_uri_option {
    const char *name; /* as it is written; the case of its letters does not count */
    lh_uri_treatment treatment;
    bool about_security; /* losing it would let others in, or send a password elsewhere */
    const char *driver;  /* the driver's name for it where that is another one, or NULL */
    /* what counts instead, why it is refused, or within what it is honoured; "" */
    const char *why;
} lh_uri_option;

/* The i-th of the table; NULL past the end. */
const lh_uri_option *lh_uri_option_at(size_t i);
/* NULL: there is none of that name. */
const lh_uri_option *lh_uri_option_find(lh_span name);
const char *lh_uri_treatment_word(lh_uri_treatment treatment);

/* What is to be said of a connection string that is taken: each a sentence. */
typedef struct lh_remarks {
    char **list;
    size_t n;
} lh_remarks;
void lh_remarks_free(lh_remarks *remarks);
/* LH_OK or LH_MEMORY. */
int lh_remark(lh_remarks *remarks, lh_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Before the driver reads them. LH_OK, LH_MEMORY, or LH_CONFIG: an option that is refused, that is
 * unknown and looks like one about security, or that is given twice with different meanings. Names
 * are printed, values never. */
int lh_uri_options_check(const lh_uri_parts *parts, lh_remarks *remarks, lh_error *error);

/* After the driver has read them: what of them did it not understand? LH_OK, LH_MEMORY, or
 * LH_CONFIG for one about security. */
int lh_uri_options_taken(const lh_uri_parts *parts, const struct _mongoc_uri_t *uri,
                         lh_remarks *remarks, lh_error *error);

/* The last value of the option, without percent-codes, to be freed; NULL: it is not given (or out
 * of memory). */
char *lh_uri_option_value(const lh_uri_parts *parts, const char *name);

#endif
