#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The work itself: report.sh DAY writes $REPORTS/DAY.txt, unless the note says that it was done.
set -eu
day=$1
if [ "${LEASEHOLD_NOTE:-}" = "$day" ]; then
  echo "$day was done"
  exit 0
fi
fresh=$(mktemp "$REPORTS/$day.XXXXXX")
echo "report of $day, by $(uname -n), with token $LEASEHOLD_TOKEN" >"$fresh"
mv "$fresh" "$REPORTS/$day.txt"
echo "$day is done"
