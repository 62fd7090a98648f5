/* SPDX-License-Identifier: Apache-2.0
 * Files that are part of the program: CMake turns them into bytes. */
#ifndef SERVE_ASSETS_H
#define SERVE_ASSETS_H

#include "serve/request.h"

void assets_openapi(struct request *request);
/* Replies with the file that the path names: the dashboard's page, or one of its files. */
void assets_page(struct request *request);
void assets_file(struct request *request);

#endif
