#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One at a time: waits for a key's turn, runs a command while it holds the lease, and gives it back.
# With curl alone.
#
#     leasehold serve --listen 127.0.0.1:8080 &
#     ./rebuild.sh project:42 make -C /srv/project42          (in the key, a '/' is written %2F)
#
# Exit status: the command's; 75: somebody else holds the key, and it was not freed in a minute; 69:
# the server does not answer, or refuses.
set -eu
key=$1
shift
url=${LEASEHOLD_HTTP:-http://127.0.0.1:8080}/v1/leases/$key
secret=$(mktemp) # headers come from this file: what stands on a command line can be seen by others
trap 'rm -f "$secret"' EXIT
echo "Authorization: Bearer ${LEASEHOLD_TOKEN:-}" >"$secret"

answer=$(curl -sS --fail-with-body -H "@$secret" \
  --json "{\"owner\":\"$(id \
  -un)\",\"purpose\":\"rebuild\",\"ttl_ms\":${TTL_MS:-30000},\"wait_ms\":60000}" "$url") || {
  case $answer in *'"status":423'*) ;; *) echo "not asked: $answer" >&2; exit 69 ;; esac
  holder=$(echo "$answer" | sed -n 's/.*"holder":{"owner":"\([^"]*\)".*/\1/p')
  echo "busy: ${holder:-somebody} holds $key" >&2
  exit 75
}
echo "Lease-Id: $(echo "$answer" | sed -n 's/.*"lease":"\([0-9a-f]*\)".*/\1/p')" >>"$secret"

# While this stream is open the server renews the lease. It ends when the lease is lost: then the
# command must, too.
curl -sSN -H "@$secret" "$url/session" >/dev/null &
session=$!
"$@" &
work=$!
(while kill -0 $session 2>/dev/null; do sleep 0.2; done; kill $work) 2>/dev/null &
guard=$!
status=0
wait $work || status=$?
kill $guard $session 2>/dev/null || true
curl -sS -H "@$secret" -X DELETE "$url" >/dev/null
exit $status
