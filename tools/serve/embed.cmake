# SPDX-License-Identifier: Apache-2.0
# Turns a file into a C array and an ETag: cmake -DIN=FILE -DOUT=FILE.c -DNAME=symbol -P embed.cmake
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR len "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes
       "${bytes}")
file(SHA256 ${IN} hash)
string(SUBSTRING ${hash} 0 16 tag)
file(WRITE ${OUT} "#include <stddef.h>
extern const unsigned char asset_${NAME}[];
extern const size_t asset_${NAME}_len;
extern const char asset_${NAME}_etag[];
const unsigned char asset_${NAME}[] = {
${bytes}};
const size_t asset_${NAME}_len = ${len};
const char asset_${NAME}_etag[] = \"\\\"${tag}\\\"\";
")
