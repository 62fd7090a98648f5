// SPDX-License-Identifier: Apache-2.0

/** All durations are milliseconds, and all instants milliseconds since 1970. Infinity: no end. */

export interface Holder {
  readonly owner: string;
  readonly host: string;
  readonly purpose: string;
  /** 0 if unknown. */
  readonly pid: number;
  readonly shared: boolean;
  readonly token: bigint;
  readonly acquiredAt: number;
  readonly expiresAt: number;
  readonly remaining: number;
}

export interface Waiter {
  readonly owner: string;
  readonly purpose: string;
  readonly shared: boolean;
  readonly since: number;
}

/** The stored state of a key. */
export interface Status {
  readonly key: string;
  /** "malformed" counts as held. */
  readonly state: "free" | "held" | "malformed";
  readonly problem: string;
  readonly token: bigint;
  readonly expired: boolean;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Waiter[];
  /** The server's clock when it replied. */
  readonly now: number;
  /** How the previous lease ended. */
  readonly released?: {
    readonly how: "release" | "expire" | "transfer" | "break";
    readonly owner: string;
    readonly by: string;
    readonly reason: string;
    readonly at: number;
  };
  readonly note?: { readonly text: string; readonly token: bigint; readonly at: number };
}

/** The base of all errors of the library. A wrong type of an argument is a TypeError. */
export class LeaseholdError extends Error {
  /** The outcome, such as "busy" or "unreachable". */
  readonly code: string;
  /** Why, such as "timeout" or "no_primary"; "" if there is no finer reason. */
  readonly reason: string;
  readonly serverCode: number;
  /** The id of a lease whose state is unknown; otherwise "". */
  readonly leaseId: string;
}
/** Another holder has the key. */
export class BusyError extends LeaseholdError {
  readonly holder?: Holder;
  readonly record?: Status;
  /** A hint: how long to wait before asking again. */
  readonly retryAfter: number;
}
/** The wait is over, and another holder still has the key. */
export class LockTimeoutError extends BusyError {}
/** The lease has ended, or was never this caller's. */
export class LeaseLostError extends LeaseholdError {}
export class UnreachableError extends LeaseholdError {}
/** The server may or may not have done it; rely on neither. */
export class UnknownError extends LeaseholdError {}
export class DeniedError extends LeaseholdError {}
/** The deployment or the collection is not fit for leases. */
export class ConfigError extends LeaseholdError {}

export interface OpenOptions {
  /** A MongoDB connection string. */
  uri?: string;
  db?: string;
  collection?: string;
  /** Shown to other users; by default user@host. */
  owner?: string;
  appName?: string;
  /** Keep an audit trail in this collection. */
  audit?: string;
  /** The longest time for a call when the server does not respond; by default 10,000. */
  timeout?: number;
  clockSkew?: number;
  maxWaiters?: number;
  maxShared?: number;
  /** How the unique index is treated at open; by default "verify". */
  atOpen?: "nothing" | "verify" | "migrate";
  rollout?: "enforce" | "observe" | "off" | "environment";
}

export interface AcquireOptions {
  /** 1,000 to 7 days; by default 30,000. The library renews the lease at a third of it. */
  ttl?: number;
  /** How long to wait in the queue; by default 0. A path cannot be waited for. */
  wait?: number;
  /** Ends the acquire with the signal's reason, once nothing is held and the queue is left. */
  signal?: AbortSignal;
  shared?: boolean;
  /** The key is a path: a lease on org excludes those on org/project, and the reverse. */
  path?: boolean;
  /** Take over the lease that this owner already holds. */
  resume?: boolean;
  owner?: string;
  purpose?: string;
  leaseId?: string;
  /** For one command and its retries; by default the store's. */
  timeout?: number;
}

/** A lease stays held until it is released or lost, or its store is closed. */
export class Lease implements AsyncDisposable {
  private constructor();
  readonly key: string;
  /** A capability: with it, any process can renew and release the lease. */
  readonly id: string;
  /** The fencing token: it strictly increases per key. It may be above Number.MAX_SAFE_INTEGER. */
  readonly token: bigint;
  readonly owner: string;
  readonly valid: boolean;
  readonly remaining: number;
  /** Aborted when the lease is lost; its reason is the LeaseLostError. */
  readonly signal: AbortSignal;
  /** Only to change the ttl: the library renews the lease by itself. */
  renew(ttl?: number): Promise<void>;
  /** `note`: a text for the next holder. */
  release(options?: { note?: string }): Promise<void>;
  /** Hands the lease on; the id of the new lease. */
  transfer(to: string): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LeaseEvent {
  /** "gap": events before this one may have been missed. */
  readonly kind:
    | "opened" | "gap" | "granted" | "renewed" | "released" | "transferred" | "broken" | "expired"
    | "queued" | "left" | "removed" | "spoilt";
  /** For the option `after`. */
  readonly id: string;
  readonly key: string;
  readonly at: number;
  readonly how: string;
  readonly owner: string;
  readonly host: string;
  readonly purpose: string;
  readonly pid: number;
  readonly shared: boolean;
  readonly token: bigint;
  readonly expiresAt: number;
  readonly by: string;
  readonly reason: string;
  readonly note: string;
}

/** Events as they happen. Leaving a `for await` ends the watch. */
export interface Watch extends AsyncIterableIterator<LeaseEvent>, AsyncDisposable {
  return(): Promise<IteratorResult<LeaseEvent>>;
  [Symbol.asyncIterator](): Watch;
}

/** One collection of leases. An open store and its leases do not keep the process running; at its
 * end they are released, but not by process.exit(). */
export class Store implements AsyncDisposable {
  private constructor();
  static open(options: OpenOptions): Promise<Store>;
  readonly isOpen: boolean;
  acquire(key: string, options?: AcquireOptions): Promise<Lease>;
  /** Acquires the lease, calls `fn`, and releases it. LeaseLostError: it ended before that. */
  withLease<T>(
    key: string,
    options: AcquireOptions | undefined,
    fn: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T>;
  status(key: string): Promise<Status>;
  /** For operators: ends the lease of the holder. Returns the state before. */
  break(key: string, options: { reason: string; by?: string; token?: bigint }): Promise<Status>;
  /** These keys, and all that begin with the prefix; without either, all keys. */
  watch(options?: { keys?: readonly string[]; prefix?: string; after?: string }): Watch;
  /** Ends all waits and watches, and releases what is held. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
