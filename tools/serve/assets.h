/* SPDX-License-Identifier: Apache-2.0
 * Files that are part of the program: CMake turns them into bytes. */
#ifndef SERVE_ASSETS_H
#define SERVE_ASSETS_H

#include "request.h"

void assets_openapi(struct request *request);

#endif
