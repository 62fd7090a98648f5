#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs ShedLock's own tests of providers on LeaseholdLockProvider, by hand: it needs Maven, JDK 17,
# `leasehold` in PATH, a server in LEASEHOLD_URI, and a clone of ShedLock's repository.
#
#     try.sh CLONE
#
# The tests are those of the release that pom.xml names. Nothing is written into this folder. Exit
# status: Maven's.
set -eu
clone=$(realpath "$1")
cd "$(dirname "$0")"
version=$(grep -A 1 '>shedlock-core<' pom.xml | sed -n 's/.*<version>\(.*\)<.*/\1/p')
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
tests=shedlock-test-support/src/main/java
git -C "$clone" archive "shedlock-parent-$version" -- "$tests/net" | tar -x -C "$work"

export LEASEHOLD_DB="shedlock_$$"
leasehold migrate --yes
leasehold serve --listen 127.0.0.1:0 --quiet >"$work/log" &
server=$!
until url=$(sed -n 's/.* listens on //p' "$work/log") && [ -n "$url" ]; do sleep 0.1; done
mvn -q -B test "-Dtarget=$work/target" "-Dshedlock.tests=$work/$tests" \
  "-DargLine=-Dleasehold.url=$url"
sed -n 's/^Tests run/tests run/p' "$work"/target/surefire-reports/*.txt
