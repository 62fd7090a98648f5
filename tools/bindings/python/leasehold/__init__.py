# SPDX-License-Identifier: Apache-2.0
"""Leases on keys, kept in MongoDB: libleasehold for Python, without anything to compile.

    with leasehold.Store("mongodb://db0,db1,db2/?replicaSet=rs") as store:
        with store.acquire("project:42", wait=10) as lease:   # renewed until it is released
            rebuild(lease.token)                              # check lease.valid between the steps
        with store.acquire_many(["project:1", "project:2"]):  # all of them, or none
            ...
        for status in store.list(prefix="project:"):          # who holds what
            print(status.key, [holder.owner for holder in status.holders])
        with store.watch(prefix="project:") as events:        # what happens, as it happens
            for event in events:
                print(event.kind, event.key, event.owner)

`leasehold.aio` has the same for asyncio. Times are in seconds. The details of each call are in
leasehold.h and the headers that it includes.

Calls raise `Error` if they do not do what they are called for. `Busy`, `WaitTimeout`, `Lost`,
`Unreachable`, `Unknown`, `Denied`, `ConfigError`, `Invalid` and `Closed` are kinds of it. The
logger `leasehold` gets the events of the stores, and `leasehold.driver` the lines of the MongoDB
driver."""
from ._errors import (
    Busy,
    Closed,
    ConfigError,
    Denied,
    Error,
    Invalid,
    Lost,
    Unknown,
    Unreachable,
    WaitTimeout,
)
from ._keys import key_check, key_join, roles, version
from ._lease import Lease, Leases
from ._records import AuditEntry, Event, Holder, Note, Status, Waiter
from ._reports import (
    CleanupReport,
    Finding,
    Histogram,
    Metrics,
    MigrateReport,
    Observed,
    Reaped,
    ReapReport,
    Since,
    Stats,
    Verdict,
)
from ._store import Store
from ._stream import Stream

__all__ = [
    "AuditEntry",
    "Busy",
    "CleanupReport",
    "Closed",
    "ConfigError",
    "Denied",
    "Error",
    "Event",
    "Finding",
    "Histogram",
    "Holder",
    "Invalid",
    "Lease",
    "Leases",
    "Lost",
    "Metrics",
    "MigrateReport",
    "Note",
    "Observed",
    "ReapReport",
    "Reaped",
    "Since",
    "Stats",
    "Status",
    "Store",
    "Stream",
    "Unknown",
    "Unreachable",
    "Verdict",
    "WaitTimeout",
    "Waiter",
    "key_check",
    "key_join",
    "roles",
    "version",
]
