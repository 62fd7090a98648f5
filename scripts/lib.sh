# shellcheck shell=bash
# Shared by the scripts in this folder; sourced, never run.

shopt -s inherit_errexit # a failure inside $(…) ends the script too

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # used by the scripts that source this file
root=$(dirname "$here")
# shellcheck disable=SC2034
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/leasehold

# The opening comment of the running script is its help.
help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$here/${0##*/}"; }

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }
misuse() { say "$@" "(see --help)"; exit 64; }

# The system's Python, not one that a version manager puts in front of it.
system_python() {
  if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else type -P python3; fi
}
