#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fence.sh FILE TOKEN write|read [FRESH]: raises the highest token in FILE.fence, as shared_file.py
# does, and then renames FRESH to FILE. Exit status: 76: the token is not the highest; nothing was
# done. Node has no flock() of its own.
set -eu
file=$1 token=$2 mode=$3
exec 9<>"$file.fence"
flock 9
highest=0
read -r highest <&9 || : # it has no end of line
if [ "$token" -lt "${highest:-0}" ] && [ "$mode" = write ]; then exit 76; fi
if [ "$token" -gt "${highest:-0}" ]; then
  printf '%020d' "$token" 1<>"$file.fence"
  sync "$file.fence"
fi
if [ $# -gt 3 ]; then mv "$4" "$file" && sync "$(dirname "$file")"; fi
