// SPDX-License-Identifier: Apache-2.0
// Compiled by `scripts/npm --try` with tsc --strict, as an ES module and as CommonJS; never run.
import { BusyError, LeaseLostError, LockTimeoutError, Store, keyJoin } from "leasehold";
import type { AcquireOptions, Lease, LeaseEvent, Leases, LogEvent, Status } from "leasehold";
import { BusyError as HttpBusyError, Store as HttpStore } from "leasehold/http";

/** What both kinds of stores can do. */
type AnyStore = Store | HttpStore;

export async function rebuild(uri: string, signal: AbortSignal): Promise<bigint> {
  const log = ({ level, event, duration }: LogEvent) => console.log(level, event, duration);
  await using store = await Store.open({ uri, atOpen: "migrate", log, logLevel: "warning" });
  const options: AcquireOptions = { ttl: 60_000, wait: 10_000, signal, purpose: "rebuild" };
  try {
    return await store.withLease(keyJoin("project", "42"), options, async (lease: Lease) => {
      const note = await lease.note();
      lease.signal.throwIfAborted();
      await lease.release({ note: note?.text ?? "first", keep: 1_000 });
      return lease.token;
    });
  } catch (error) {
    if (error instanceof LockTimeoutError) console.log(error.holder?.owner, error.retryAfter);
    else if (error instanceof BusyError) console.log(error.record?.holders.length);
    else if (error instanceof LeaseLostError) console.log(error.leaseId, error.reason);
    throw error;
  }
}

export async function several(store: Store): Promise<number> {
  await using leases: Leases = await store.acquireMany(["a", "b"], { wait: Infinity });
  const { holding, commands, roundTrips } = store.metrics();
  const id = await store.withLeases(["c", "d"], {}, ([c]) => c?.id ?? "");
  const attached = await store.attach("c", id, 5_000);
  console.log(attached.remaining, commands.acquire.ok, roundTrips.buckets[0]?.upTo);
  return leases.length + holding;
}

export async function follow(store: AnyStore): Promise<LeaseEvent | undefined> {
  for await (const event of store.watch({ prefix: "project:" }))
    if (event.kind === "released") return event;
  const [first] = await store.list({ prefix: "project:", all: true });
  const lease = await store.acquire("project:42", { wait: 1_000, shared: true });
  const attached = await store.attach(lease.key, await lease.transfer("b"));
  await attached.release();
  console.log(first?.waiters.length, (await store.break("k", { reason: "stuck" })).holders.length);
  return undefined;
}

export async function remote(url: string): Promise<void> {
  await using store = await HttpStore.open({ url, owner: "edit form", token: "0123456789abcdef" });
  await store.withLeases(["a", "b"], { path: true }, ([a, b]) => console.log(a?.id, b?.token));
  const error: unknown = await store.acquire("k").catch((error: unknown) => error);
  if (error instanceof HttpBusyError && error instanceof BusyError) console.log(error.holder?.kept);
}

export async function wrong(store: Store): Promise<void> {
  const status: Status = await store.status("project:42");
  // @ts-expect-error: a token is a bigint
  const token: number = status.token;
  // @ts-expect-error: there is no such option
  await store.acquire("project:42", { waitMs: token });
  // @ts-expect-error: a break has a reason
  await store.break("project:42", {});
  // @ts-expect-error: a store is opened, not made
  new Store();
  // @ts-expect-error: a key has at least one part
  keyJoin();
}
