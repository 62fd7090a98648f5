# SPDX-License-Identifier: Apache-2.0
"""A program with types, for mypy --strict: what users write has the types that they expect. It is
not run."""
import math
from typing import Optional

import leasehold
from leasehold import aio


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
        report: leasehold.MigrateReport = store.migrate(
            progress=lambda step, done, total: print(step, done / total)
        )
        return report.index


async def work_in_a_loop(uri: str) -> list[leasehold.Status]:
    async with aio.Store(uri, owner="ann", on_lost=lambda key, lease_id: print(key)) as store:
        async with store.acquire("k", wait=10, on_lost=lambda lease: print(lease.key)) as lease:
            held: aio.Lease = lease
            await held.renew(60)
        leases: aio.Leases = await store.acquire_many(["a", "b"], wait=10)
        tokens: list[int] = [each.token for each in leases]
        await leases.release()
        note: Optional[leasehold.Note] = await (await store.acquire("k")).note()
        async for event in store.watch(prefix="project:"):
            kind: str = event.kind
            print(kind, tokens, note)
        return await store.list(prefix="project:", limit=3)
