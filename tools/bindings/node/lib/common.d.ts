// SPDX-License-Identifier: Apache-2.0
// What the addon and the client for `leasehold serve` have in common.

/** All durations are milliseconds, and all instants milliseconds since 1970. Infinity: no end. */

interface Owner {
  readonly owner: string;
  readonly host: string;
  readonly purpose: string;
  /** 0 if unknown. */
  readonly pid: number;
  readonly shared: boolean;
  readonly token: bigint;
}

export interface Holder extends Owner {
  readonly acquiredAt: number;
  readonly expiresAt: number;
  readonly remaining: number;
  /** It has released the lease, and keeps the key taken until `expiresAt`. */
  readonly kept: boolean;
}

export interface Waiter {
  readonly owner: string;
  readonly purpose: string;
  readonly shared: boolean;
  readonly since: number;
}

/** A text that a holder left for the next one. */
export interface Note {
  readonly text: string;
  readonly token: bigint;
  readonly at: number;
}

/** The stored state of a key. */
export interface Status {
  readonly key: string;
  /** "malformed" counts as held. */
  readonly state: "free" | "held" | "malformed";
  readonly problem: string;
  readonly token: bigint;
  readonly holders: readonly Holder[];
  readonly waiters: readonly Waiter[];
  /** How the previous lease ended. */
  readonly released?: {
    readonly how: "release" | "expire" | "transfer" | "break";
    readonly owner: string;
    readonly by: string;
    readonly reason: string;
    readonly at: number;
  };
  readonly note?: Note;
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
  /** The state of the key; not from `leasehold serve`. */
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

export interface BaseAcquireOptions {
  /** 1,000 to 7 days; by default 30,000. The lease is renewed at a third of it. */
  ttl?: number;
  /** How long to wait in the queue; by default 0. */
  wait?: number;
  /** Ends the acquire, with the signal's reason. */
  signal?: AbortSignal;
  shared?: boolean;
  owner?: string;
  purpose?: string;
  /** The key is a path: a lease on org excludes those on org/project, and the reverse. */
  path?: boolean;
  /** Take over the lease that this owner already holds. */
  resume?: boolean;
}

export interface ReleaseOptions {
  /** A text for the next holder. */
  note?: string;
  /** The key stays taken for this time, or until the lease would have ended. */
  keep?: number;
}

export interface ListOptions {
  /** Only these keys. */
  keys?: readonly string[];
  prefix?: string;
  /** Only keys that this owner holds or waits for. */
  owner?: string;
  /** Only holders past their end that nobody took over. */
  expired?: boolean;
  malformed?: boolean;
  /** Also free keys. */
  all?: boolean;
  /** The most keys. */
  limit?: number;
}

export interface BreakOptions {
  /** Why; for the trail and for the holder. */
  reason: string;
  by?: string;
  /** Only if this is still the token of the holder. */
  token?: bigint;
}

export interface WatchOptions {
  /** These keys, and all that begin with the prefix; without either, all keys. */
  keys?: readonly string[];
  prefix?: string;
  /** The id of an event: go on after it. */
  after?: string;
}

/** A lease is renewed until it is released or lost, or its store is closed. */
export abstract class BaseLease implements AsyncDisposable {
  protected constructor();
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
  /** Hands the lease on; the id of the new lease, for attach(). */
  transfer(to: string): Promise<string>;
  /** Only to change the ttl: the lease is renewed without it. */
  renew(ttl?: number): Promise<void>;
  /** What the previous holder left, if nobody has held the key since. */
  note(): Promise<Note | undefined>;
  release(options?: ReleaseOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The owner is that of the lease or of the waiter. */
export interface LeaseEvent extends Owner {
  /** "gap": events before this one may have been missed. */
  readonly kind:
    | "opened" | "gap" | "granted" | "renewed" | "released" | "transferred" | "broken" | "expired"
    | "queued" | "left" | "removed" | "spoilt";
  /** For the option `after`. */
  readonly id: string;
  readonly key: string;
  readonly at: number;
  readonly how: string;
  readonly expiresAt: number;
  readonly by: string;
  readonly reason: string;
  readonly note: string;
  /** released: until when the key stays taken; 0: not at all. */
  readonly keptUntil: number;
}

/** Events as they happen. Leaving a `for await` ends the watch. */
export interface Watch extends AsyncIterableIterator<LeaseEvent>, AsyncDisposable {
  return(): Promise<IteratorResult<LeaseEvent>>;
  [Symbol.asyncIterator](): Watch;
}

/** In the order of their keys in the call. Each can be released on its own. */
export type LeasesOf<L extends BaseLease> = readonly L[] & AsyncDisposable;

/** M: the options for several keys. */
export abstract class BaseStore<
  L extends BaseLease, O extends BaseAcquireOptions, M extends BaseAcquireOptions,
> implements AsyncDisposable {
  protected constructor();
  readonly isOpen: boolean;
  acquire(key: string, options?: O): Promise<L>;
  /** All keys or none. Callers with overlapping keys cannot deadlock. */
  acquireMany(keys: readonly string[], options?: M): Promise<LeasesOf<L>>;
  /** Goes on with a lease of another process: renews it, now and from now on. */
  attach(key: string, id: string, ttl?: number): Promise<L>;
  /** Acquires the lease, calls `fn`, and releases it. LeaseLostError: it ended before that. */
  withLease<T>(
    key: string,
    options: O | undefined,
    fn: (lease: L) => T | PromiseLike<T>,
  ): Promise<T>;
  withLeases<T>(
    keys: readonly string[],
    options: M | undefined,
    fn: (leases: LeasesOf<L>) => T | PromiseLike<T>,
  ): Promise<T>;
  watch(options?: WatchOptions): Watch;
  /** Ends all waits and watches, and releases what is held. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
