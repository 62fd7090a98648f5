// SPDX-License-Identifier: Apache-2.0
// Leases on keys, kept in MongoDB. index.d.ts describes the interface.
"use strict";

const {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError, errorOf,
} = require("./errors.js");
const { EventQueue } = require("./events.js");
const { BaseLease, BaseStore, together } = require("./lease.js");
const {
  BREAK, LIST, RELEASE, WATCH, checkFlag, checkFunction, checkNumber, checkText, checkTexts,
  checked, words,
} = require("./options.js");

const native = (() => {
  try {
    return require(process.env.LEASEHOLD_NODE_ADDON ?? "../build/leasehold.node");
  } catch (cause) {
    const where = `${process.platform}-${process.arch}, ${cause.message}`;
    throw new Error(`the addon is not for this system (${where}); see leasehold/http`, { cause });
  }
})();

const checkAtOpen = words("nothing", "verify", "migrate");
const checkRollout = words("enforce", "observe", "off", "environment");
const checkLevel = words("default", "error", "warning", "info", "debug");

const OPEN = {
  uri: checkText, db: checkText, collection: checkText, owner: checkText, appName: checkText,
  audit: checkText, timeout: checkNumber, clockSkew: checkNumber, maxWaiters: checkNumber,
  maxShared: checkNumber, atOpen: checkAtOpen, rollout: checkRollout, log: checkFunction,
  logLevel: checkLevel,
};
const ACQUIRE = {
  ttl: checkNumber, wait: checkNumber, timeout: checkNumber, shared: checkFlag, path: checkFlag,
  resume: checkFlag, owner: checkText, purpose: checkText, leaseId: checkText,
};

async function call(promise) {
  try {
    return await promise;
  } catch (failure) {
    throw errorOf(failure);
  }
}

/** What the program's function throws is an uncaught exception, as in any callback. */
const guarded = (log) => (event) => {
  try {
    log(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};

function keyJoin(...parts) {
  checkTexts("parts", parts);
  const key = native.keyJoin(parts);
  if (typeof key === "string") return key;
  throw errorOf(key);
}

class Lease extends BaseLease {
  #handle;

  constructor(store, key, found) {
    super(store, key, found);
    this.#handle = found.handle;
  }

  get remaining() {
    return this._ended ? 0 : native.remaining(this.#handle);
  }

  async renew(ttl) {
    if (ttl !== undefined) checkNumber("ttl", ttl);
    await call(native.renew(this._store._open(), this.#handle, ttl));
  }

  async release(options) {
    const { note, keep } = checked(options, RELEASE);
    await this._end(call(native.release(this._store._open(), this.#handle, note, keep)));
  }

  async note() {
    return call(native.note(this._store._open(), this.#handle));
  }

  async transfer(to) {
    checkText("to", to);
    return this._end(call(native.transfer(this._store._open(), this.#handle, to)));
  }
}

class Watch extends EventQueue {
  #handle;
  #ended; // a promise of the end

  constructor(store, options) {
    super();
    const handle = [];
    this.#ended = call(native.watch(store, options, (event) => this._put(event), handle)).then(
      () => this._end(),
      (error) => this._end(error),
    );
    this.#handle = handle[0];
  }

  /** Ends the watch, within half a second. */
  async return() {
    this._drop();
    native.stop(this.#handle);
    await this.#ended;
    return { value: undefined, done: true };
  }
}

class Store extends BaseStore {
  #handle;
  #leases = new Map();
  #closing;

  constructor(token) {
    super();
    if (token !== native) throw new TypeError("use Store.open()");
  }

  static async open(options) {
    const found = checked(options, OPEN);
    if (found.atOpen !== undefined) found.atOpen = checkAtOpen.known.indexOf(found.atOpen);
    if (found.rollout !== undefined) found.rollout = checkRollout.known.indexOf(found.rollout);
    if (found.logLevel !== undefined) found.logLevel = checkLevel.known.indexOf(found.logLevel);
    const store = new Store(native);
    const log = found.log && guarded(found.log);
    store.#handle = await call(native.open(found, (id) => store.#lose(id), log));
    return store;
  }

  get isOpen() {
    return this.#closing === undefined;
  }

  _open() {
    if (!this.isOpen) throw new Error("the store is closed");
    return this.#handle;
  }

  _forget(id) {
    this.#leases.delete(id);
  }

  #lose(id) {
    const lease = this.#leases.get(id);
    this.#leases.delete(id);
    lease?._lose();
  }

  async acquire(key, options = {}) {
    const { signal, ...rest } = options;
    checkText("key", key);
    const found = checked(rest, ACQUIRE);
    // The library has no descriptor for the wait for a path.
    if (found.path && found.wait > 0) return (await this.#acquireApart([key], found, signal))[0];
    const begin = (tickets) => native.acquire(this._open(), key, found, tickets);
    return this.#acquired(begin, native.cancel, signal, (lease) => this.#granted(key, lease));
  }

  async acquireMany(keys, options = {}) {
    const { signal, ...rest } = options;
    checkTexts("keys", keys);
    return together(await this.#acquireApart(keys, checked(rest, ACQUIRE), signal));
  }

  #acquireApart(keys, options, signal) {
    const begin = (tickets) => native.acquireMany(this._open(), keys, options, tickets ?? []);
    return this.#acquired(begin, native.stop, signal, (leases) =>
      leases.map((lease, i) => this.#granted(keys[i], lease)));
  }

  /** The promise that `begin` makes, until the signal is aborted. `cancel` gets its ticket. */
  async #acquired(begin, cancel, signal, make) {
    signal?.throwIfAborted();
    const tickets = signal && [];
    const promise = begin(tickets);
    const abort = () => cancel(tickets[0]);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const made = make(await call(promise));
      // While the promise settled, the caller may have given up.
      if (!signal?.aborted || !this.isOpen) return made;
      await Promise.allSettled([made].flat().map((lease) => lease.release()));
      throw signal.reason;
    } catch (error) {
      throw error.code === "cancelled" && signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  #granted(key, found) {
    const lease = new Lease(this, key, found);
    this.#leases.set(lease.id, lease);
    lease._notice(); // it may have ended while the promise settled
    return lease;
  }

  async attach(key, id, ttl) {
    checkText("key", key);
    checkText("id", id);
    if (ttl !== undefined) checkNumber("ttl", ttl);
    return this.#granted(key, await call(native.attach(this._open(), key, id, ttl)));
  }

  async status(key) {
    checkText("key", key);
    return call(native.status(this._open(), key));
  }

  async list(options) {
    const found = checked(options, LIST);
    if (found.keys?.length === 0) return [];
    return call(native.list(this._open(), found));
  }

  metrics() {
    return native.metrics(this._open());
  }

  async break(key, options) {
    checkText("key", key);
    return call(native.break(this._open(), key, checked(options, BREAK)));
  }

  watch(options) {
    return new Watch(this._open(), checked(options, WATCH));
  }

  async close() {
    this.#closing ??= call(native.close(this.#handle)).then(() => this.#leases.clear());
    await this.#closing;
  }
}

module.exports = {
  BusyError, ConfigError, DeniedError, Lease, LeaseLostError, LeaseholdError, LockTimeoutError,
  Store, UnknownError, UnreachableError, keyJoin,
};
