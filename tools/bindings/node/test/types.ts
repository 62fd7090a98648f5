// SPDX-License-Identifier: Apache-2.0
// Compiled by `scripts/npm --try` with tsc --strict, as an ES module and as CommonJS; never run.
import { BusyError, LeaseLostError, LockTimeoutError, Store } from "leasehold";
import type { AcquireOptions, Lease, LeaseEvent, Status } from "leasehold";

export async function rebuild(uri: string, signal: AbortSignal): Promise<bigint> {
  await using store = await Store.open({ uri, atOpen: "migrate" });
  const options: AcquireOptions = { ttl: 60_000, wait: 10_000, signal, purpose: "rebuild" };
  try {
    return await store.withLease("project:42", options, async (lease: Lease) => {
      lease.signal.throwIfAborted();
      return lease.token;
    });
  } catch (error) {
    if (error instanceof LockTimeoutError) console.log(error.holder?.owner, error.retryAfter);
    else if (error instanceof BusyError) console.log(error.record?.holders.length);
    else if (error instanceof LeaseLostError) console.log(error.leaseId, error.reason);
    throw error;
  }
}

export async function follow(store: Store): Promise<LeaseEvent | undefined> {
  for await (const event of store.watch({ prefix: "project:" })) {
    const kind: "granted" | "released" | string = event.kind;
    if (kind === "released") return event;
  }
  const status: Status = await store.status("project:42");
  // @ts-expect-error: a token is a bigint
  const token: number = status.token;
  // @ts-expect-error: there is no such option
  await store.acquire("project:42", { waitMs: token });
  // @ts-expect-error: a store is opened, not made
  new Store();
  return undefined;
}
