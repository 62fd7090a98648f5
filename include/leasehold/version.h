/* SPDX-License-Identifier: Apache-2.0
 *
 * The version of this header, and of the library that is loaded. */
#ifndef LEASEHOLD_VERSION_H
#define LEASEHOLD_VERSION_H

#include <leasehold/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. Use the number in #if: 1,000,000 for a major version, 1,000 for a
 * minor version, 1 for a patch. */
#define LH_VERSION        "0.1.0"
#define LH_VERSION_MAJOR  0
#define LH_VERSION_MINOR  1
#define LH_VERSION_PATCH  0
#define LH_VERSION_NUMBER (LH_VERSION_MAJOR * 1000000 + LH_VERSION_MINOR * 1000 + LH_VERSION_PATCH)

/* The version of the library that is loaded, in the form of LH_VERSION. */
LH_API const char *lh_version(void);

/* The version of the library that is loaded, in the form of LH_VERSION_NUMBER. */
LH_API int lh_version_number(void);

#ifdef __cplusplus
}
#endif

#endif
