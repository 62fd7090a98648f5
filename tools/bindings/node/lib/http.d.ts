// SPDX-License-Identifier: Apache-2.0
// All durations are milliseconds, and all instants milliseconds since 1970. Infinity: no end.
import { BaseLease, BaseStore } from "./common";
import type {
  BaseAcquireOptions, BreakOptions, Holder, LeasesOf, ListOptions, Status,
} from "./common";

export {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError,
} from "./common";
export type {
  BreakOptions, Holder, LeaseEvent, ListOptions, Note, ReleaseOptions, Status, Waiter, Watch,
  WatchOptions,
} from "./common";

export interface OpenOptions {
  /** Of `leasehold serve`, such as http://127.0.0.1:8420, or of a proxy with a path in front. */
  url: string;
  /** A line of the server's token file. */
  token?: string;
  /** Shown to other users. */
  owner: string;
  /** How long a call is repeated while the server does not respond; by default 10,000. */
  timeout?: number;
}

export interface AcquireOptions extends BaseAcquireOptions {
  /** Not with `wait`. */
  path?: boolean;
  /** The owner must be the name of the token. */
  resume?: boolean;
}
export type AcquireManyOptions = Omit<AcquireOptions, "wait">;

/** Renewed by a timer of this process, which does not keep it running. A browser slows the timers
 * of a hidden page down to one in a minute: take a ttl of 180,000 or more there. A release is sent
 * even if the page is left at once. */
export class Lease extends BaseLease {
  private constructor();
}
export type Leases = LeasesOf<Lease>;

/** Leases from one `leasehold serve`. At the end of the program nothing is released: call close(),
 * or the leases end with their ttl. */
export class Store extends BaseStore<Lease, AcquireOptions, AcquireManyOptions> {
  private constructor();
  /** Asks the server what the token may do. */
  static open(options: OpenOptions): Promise<Store>;
  /** A wait survives lost connections. `signal`: ends it with the signal's reason. The place in the
   * queue ends within five seconds, and what is granted meanwhile is released. */
  acquire(key: string, options?: AcquireOptions): Promise<Lease>;
  /** At most 100 keys, without a wait. */
  acquireMany(keys: readonly string[], options?: AcquireManyOptions): Promise<Leases>;
  /** The server does not know the owner: it is "". */
  attach(key: string, id: string, ttl?: number): Promise<Lease>;
  status(key: string): Promise<Status>;
  /** In the order of the keys. */
  list(options?: ListOptions): Promise<Status[]>;
  /** For operators, with an admin's token: ends the lease of the holder. */
  break(key: string, options: BreakOptions): Promise<{ key: string; holders: readonly Holder[] }>;
}
