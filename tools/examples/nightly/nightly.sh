#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The report of a day, once, on whichever machine comes first. All machines run this every night.
#
#     nightly.sh [DAY]        by default today, in UTC
#
# --wait 0 -E 0: if another machine is at work, that is fine. --keep: a machine whose clock is late
# finds the key still taken. --note: what was done; the next run reads it, on any machine. It is
# stored only if the report succeeded, so a failed one is made by the next run. Exit status: 0; that
# of report.sh; 69: the database is unreachable; 76: the lease was lost, and report.sh was ended.
set -eu
day=${1:-$(date -u +%F)}
exec leasehold run nightly --wait 0 -E 0 --keep 10m --purpose "report of $day" \
  --note "$day" -- "$(dirname "$0")/report.sh" "$day"
