# SPDX-License-Identifier: Apache-2.0
"""A driver of its own, by leasehold-schema(5) and commands.json alone. Nothing of the library is in
it."""
import os
import time

import pymongo
from bson import json_util
from bson.int64 import Int64
from commands import FILE

COMMANDS = json_util.loads(FILE.read_text(encoding="utf-8"))
DEFAULTS = {
    "grace_ms": Int64(500),
    "token": Int64(0),
    "max_shared": Int64(128),
    "max_waiters": Int64(1000),
    "claim_ms": Int64(5000),
    "beat": Int64(0),
    "pid": Int64(os.getpid()),
    "host": "native",
    "collection": "workspace_locks",
    "owner": "native",
    "purpose": None,
    "proc": None,
    "ttl_ms": Int64(0),
    "note": "",
}
# What is sent for what is wanted: the short form where there is one, then the whole.
COMMAND_OF = {"cancel": "release", "claim": "renew"}
SHORT = {"acquire": "acquire_short", "renew": "renew_short", "release": "release_short"}


def fill(value, variables):
    """The command with its variables: a string that is one as a whole, or a part of a path."""
    if isinstance(value, dict):
        return {
            name.replace("<lease>", variables["lease"]): fill(part, variables)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [fill(part, variables) for part in value]
    if isinstance(value, str) and value.startswith("<"):
        return variables[value[1:-1]]
    return value


def mine(document, lease):
    """What the document says of a lease: the top level, or its entry among the readers."""
    if str(document.get("id", "")).startswith("shared:"):
        return (document.get("shared") or {}).get(lease)
    return (
        document
        if document.get("id") == lease and document.get("released", {}).get("id") != lease
        else None
    )


class Native:
    def __init__(self, database, short):
        self.database, self.short = database, short

    def send(self, name, variables):
        command = fill(COMMANDS[name], DEFAULTS | variables)
        return self.database.command(
            command | {"maxTimeMS": 5000}, writeConcern={"w": "majority", "j": True}
        )

    def run(self, operation, **variables):
        """(outcome, the document that came back). A duplicate key: two first inserts met; ask
        again."""
        variables = {
            name: Int64(value) if isinstance(value, int) else value
            for name, value in variables.items()
        }
        if operation == "beat":
            return ("alive" if self.send("beat", variables)["n"] == 1 else "gone"), None
        if operation == "break" and not self.look(variables):
            return "lost", None
        name = COMMAND_OF.get(operation, operation)
        knows = (
            operation == "acquire"
            or variables.get("token")
            and (operation == "release" and not variables.get("note") or variables.get("ttl_ms"))
        )
        for form in [SHORT[name], name] if self.short and operation in SHORT and knows else [name]:
            while True:
                try:
                    answer = self.send(form, variables)
                    break
                except pymongo.errors.OperationFailure as why:
                    if why.code != 11000:
                        raise
                    time.sleep(0.002)
            if form != name and operation != "acquire":  # an update: did it change the document?
                if answer["nModified"]:
                    return {"renew": "renewed", "release": "released"}[operation], None
                continue
            found = answer["value"]
            outcome = self.judge(operation, found or {}, variables)
            if outcome not in ("busy", "lost"):
                return outcome, found
        return outcome, found

    def look(self, variables):
        """For a break: what is there. A vector may say that something else was."""
        locks = self.database[variables.get("collection", DEFAULTS["collection"])]
        seen = variables.pop("seen", None) or locks.find_one({"workspace_id": variables["key"]})
        for field, name in (("_id", "seen_doc_id"), ("id", "seen_id"), ("token", "seen_token")):
            variables[name] = (seen or {}).get(field)
        return seen

    @staticmethod
    def judge(operation, found, variables):
        """The outcome, from the document that the command answered with."""
        lease, released = variables["lease"], found.get("released", {})
        own = mine(found, lease)
        if operation == "break":
            return (
                "broken"
                if released.get("id") == lease and released.get("how") == "break"
                else "lost"
            )
        if operation == "release":
            return (
                "released"
                if released.get("id") == lease and released.get("how") == "release"
                else "lost"
            )
        if operation == "cancel":
            return "left" if own is None and found.get("place", -1) < 0 else "lost"
        if (
            operation == "transfer"
        ):  # what the new one is, came with this command, if the old one ended with it
            return (
                "transferred"
                if released.get("id") == lease and released.get("at") == found["now"]
                else "lost"
            )
        if own is not None and own.get("renewed_at") == found["now"]:
            return "renewed" if operation in ("renew", "claim") else "granted"
        if operation.startswith("wait") and found.get("place", -1) >= 0:
            return "queued"
        return "lost" if operation in ("renew", "claim") else "busy"
