// SPDX-License-Identifier: Apache-2.0
// All durations are milliseconds, and all instants milliseconds since 1970. Infinity: no end.
import { BaseLease, BaseStore } from "./common";
import type {
  BaseAcquireOptions, BreakOptions, LeasesOf, ListOptions, Status as BaseStatus,
} from "./common";

export {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError,
} from "./common";
export type {
  BreakOptions, Holder, LeaseEvent, ListOptions, Note, ReleaseOptions, Waiter, Watch, WatchOptions,
} from "./common";

/** Joins parts to a key: "project" and "42" give project:42. A ":" or "%" inside a part becomes %3A
 * or %25, so different parts never give the same key. */
export function keyJoin(...parts: [string, ...string[]]): string;

/** The stored state of a key. */
export interface Status extends BaseStatus {
  /** The holder is past its end, and nobody took over. */
  readonly expired: boolean;
  /** The server's clock when it replied. */
  readonly now: number;
}

/** log.h describes the events. What does not apply to an event is 0 or "". */
export interface LogEvent {
  readonly event:
    | "opened" | "closed" | "command" | "repeat" | "acquire" | "queued" | "granted" | "renew"
    | "lost" | "release" | "transfer" | "stream_opened" | "stream_closed";
  readonly level: "error" | "warning" | "info" | "debug";
  readonly outcome: string;
  readonly reason: string;
  readonly serverCode: number;
  /** command, repeat: the attempts so far. */
  readonly attempt: number;
  readonly duration: number;
  readonly token: bigint;
  /** renew, release: how many leases; `key` and `lease` are those of the first. */
  readonly count: number;
  readonly key: string;
  /** The first eight characters of the lease id. */
  readonly lease: string;
  readonly command: string;
  readonly message: string;
}

export interface Histogram {
  /** A bucket does not count those of the buckets before it. The last one has no end. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
}

/** Counters since the store was opened; metrics.h describes them. */
export interface Metrics {
  readonly commands: Readonly<
    Record<
      "other" | "read" | "acquire" | "wait" | "renew" | "release" | "transfer",
      { readonly ok: number; readonly refused: number; readonly unreachable: number;
        readonly unknown: number }
    >
  >;
  readonly repeats: number;
  readonly acquired: number;
  readonly busy: number;
  readonly acquiresFailed: number;
  readonly queued: number;
  readonly granted: number;
  readonly renewed: number;
  readonly renewalsFailed: number;
  readonly lost: number;
  readonly released: number;
  readonly releasesFailed: number;
  readonly transferred: number;
  readonly streamsClosed: number;
  /** Now. */
  readonly waiting: number;
  /** Now. */
  readonly holding: number;
  readonly roundTrips: Histogram;
  readonly acquires: Histogram;
}

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
  /** Gets what happens in the store, soon after it happened, while the loop runs. */
  log?: (event: LogEvent) => void;
  /** The least important events that `log` gets; "default" is "info". */
  logLevel?: "default" | "error" | "warning" | "info" | "debug";
}

export interface AcquireOptions extends BaseAcquireOptions {
  leaseId?: string;
  /** For one command and its retries; by default the store's. */
  timeout?: number;
}

export type AcquireManyOptions = Omit<AcquireOptions, "leaseId">;

/** The library renews it, also while the loop is busy. */
export class Lease extends BaseLease {
  private constructor();
}

export type Leases = LeasesOf<Lease>;

/** One collection of leases. A held lease, an open store and its change stream do not keep the
 * process running; a call or a watch does. At the end of the program, and of a worker thread, the
 * leases are released, but not by process.exit() or a signal. */
export class Store extends BaseStore<Lease, AcquireOptions, AcquireManyOptions> {
  private constructor();
  static open(options: OpenOptions): Promise<Store>;
  /** `signal`: ends it with the signal's reason, once nothing is held and the queue is left. */
  acquire(key: string, options?: AcquireOptions): Promise<Lease>;
  /** At most 1,000 keys; `wait` is for all of them together. */
  acquireMany(keys: readonly string[], options?: AcquireManyOptions): Promise<Leases>;
  status(key: string): Promise<Status>;
  /** In the order of the keys. */
  list(options?: ListOptions): Promise<Status[]>;
  /** For operators: ends the lease of the holder. Returns the state before. */
  break(key: string, options: BreakOptions): Promise<Status>;
  /** Sends no command. */
  metrics(): Metrics;
}
