# SPDX-License-Identifier: Apache-2.0
"""A driver of its own, by leasehold-schema(5) and commands.json alone: asks once, renews, releases. Nothing of the library is in it."""
import os
import time

import pymongo
from bson import json_util
from bson.int64 import Int64
from commands import FILE

COMMANDS = json_util.loads(FILE.read_text(encoding="utf-8"))
DEFAULTS = {"grace_ms": Int64(500), "token": Int64(0), "max_shared": Int64(128), "pid": Int64(os.getpid()), "host": "native",
            "collection": "workspace_locks",
            "owner": "native", "purpose": None, "proc": None, "ttl_ms": Int64(0)}
SHORT = {"acquire": "acquire_short", "renew": "renew_short", "release": "release_short"}


def fill(value, variables):
    if isinstance(value, dict):
        return {name: fill(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [fill(part, variables) for part in value]
    if isinstance(value, str) and value.startswith("<"):
        return variables[value[1:-1]]
    return value


def mine(document, lease):
    """What the document says of my lease: the top level, or my entry among the readers."""
    if str(document.get("id", "")).startswith("shared:"):
        return (document.get("shared") or {}).get(lease)
    return document if document.get("id") == lease and document.get("released", {}).get("id") != lease else None


class Native:
    def __init__(self, database, short):
        self.database, self.short = database, short

    def send(self, name, variables):
        command = fill(COMMANDS[name], DEFAULTS | variables)
        return self.database.command(command | {"maxTimeMS": 5000}, writeConcern={"w": "majority", "j": True})["value"]

    def run(self, operation, **variables):
        """(outcome, the document that came back). A duplicate key: two first inserts met; ask again."""
        variables = {name: Int64(value) if isinstance(value, int) else value for name, value in variables.items()}
        knows = operation == "acquire" or variables.get("token") and (operation == "release" or variables["ttl_ms"])
        names = [SHORT[operation]] if self.short and operation in SHORT and knows else []
        for name in names + [operation]:
            while True:
                try:
                    found = self.send(name, variables)
                    break
                except pymongo.errors.OperationFailure as why:
                    if why.code != 11000:
                        raise
                    time.sleep(0.002)
            if found and self.done(operation, found, variables["lease"]):
                return {"renew": "renewed", "release": "released"}.get(operation, "granted"), found
        return ("busy" if operation.startswith("acquire") else "lost"), found

    @staticmethod
    def done(operation, found, lease):
        if operation == "release":
            released = found.get("released", {})
            return released.get("id") == lease and released.get("how") == "release"
        own = mine(found, lease)
        return own is not None and own.get("renewed_at") == found["now"]
