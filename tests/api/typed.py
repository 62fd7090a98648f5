# SPDX-License-Identifier: Apache-2.0
"""A program with types, for mypy --strict: what users write has the types that they expect. It is not run."""
import math
from typing import Optional

import leasehold


def work(uri: str) -> Optional[str]:
    with leasehold.Store(uri, on_lost=lambda key, lease_id: print(key.upper())) as store:
        with store.acquire("k", wait=math.inf, on_lost=lambda lease: print(lease.key)) as lease:
            token: int = lease.token
        with store.acquire_many(["a", "b"]) as leases:
            keys: list[str] = [each.key for each in leases]
        with store.watch(keys) as events:
            for event in events:
                kind: str = event.kind
                print(kind, token)
        try:
            store.acquire("k").release(note="v7")
        except leasehold.Busy as busy:
            return busy.holder.owner if busy.holder else busy.why
        report: leasehold.MigrateReport = store.migrate(progress=lambda step, done, total: print(step, done / total))
        return report.index
