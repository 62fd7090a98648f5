#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A window on a file of roles, which other windows edit at the same time.

    roles.py FILE show
    roles.py FILE set NAME ROLE
    roles.py FILE edit        prints the file, reads an edited one from stdin, and merges it
    roles.py FILE watch       prints the version and each later one, until a signal ends it

The store is that of LEASEHOLD_URI, LEASEHOLD_DB and so on. Exit status: 0; 1: a conflict, where
both versions are kept; 75: the file stayed busy; 76: the lease was lost, and nothing was written
by it."""
import json
import logging
import sys

import leasehold
from shared_file import Conflict, SharedFile


def show_wait(status, place):
    holder = status.holders[0].owner if status.holders else "others"
    print(f"waiting for {holder}, {place} ahead", file=sys.stderr, flush=True)


def edit(file):
    opened = file.read()
    print(json.dumps(opened.document, indent=2), flush=True)
    file.save(json.load(sys.stdin), opened)


def watch(file):
    for change in file.changes():
        writer = "this window" if change.own else change.owner or "an unknown writer"
        print(f"{change.snapshot.version} by {writer}", flush=True)


def run(file, command, *arguments):
    if command == "show":
        print(json.dumps(file.read().document, indent=2))
    elif command == "set":
        name, role = arguments
        file.update(lambda document: {**document, name: role})
    else:
        {"edit": edit, "watch": watch}[command](file)


def main():
    logging.basicConfig(format="%(asctime)s %(message)s")
    with leasehold.Store.from_environment(at_open="migrate") as store:
        try:
            run(SharedFile(store, sys.argv[1], feedback=show_wait), *sys.argv[2:])
        except Conflict as conflict:
            print(conflict, file=sys.stderr)
            return 1
        except leasehold.WaitTimeout as busy:
            logging.warning("timeout: %s", busy)
            return 75
        except leasehold.Lost as lost:
            logging.warning("%s", lost)
            return 76
    return 0


if __name__ == "__main__":
    sys.exit(main())
