// SPDX-License-Identifier: Apache-2.0
// Leases on keys, kept in MongoDB. index.d.ts describes the interface.
"use strict";

const {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError, errorOf,
} = require("./errors.js");
const { EventQueue, asyncDispose } = require("./events.js");
const { BaseLease, during } = require("./lease.js");
const {
  checkFlag, checkNumber, checkText, checkTexts, checkToken, checked, words,
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

const OPEN = {
  uri: checkText, db: checkText, collection: checkText, owner: checkText, appName: checkText,
  audit: checkText, timeout: checkNumber, clockSkew: checkNumber, maxWaiters: checkNumber,
  maxShared: checkNumber, atOpen: checkAtOpen, rollout: checkRollout,
};
const ACQUIRE = {
  ttl: checkNumber, wait: checkNumber, timeout: checkNumber, shared: checkFlag, path: checkFlag,
  resume: checkFlag, owner: checkText, purpose: checkText, leaseId: checkText,
};
const RELEASE = { note: checkText };
const BREAK = { reason: checkText, by: checkText, token: checkToken };
const WATCH = { keys: checkTexts, prefix: checkText, after: checkText };

async function call(promise) {
  try {
    return await promise;
  } catch (failure) {
    throw errorOf(failure);
  }
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
    const { note } = checked(options, RELEASE);
    await this._end(call(native.release(this._store._open(), this.#handle, note)));
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
    if (!this._over) native.unwatch(this.#handle);
    await this.#ended;
    return { value: undefined, done: true };
  }
}

class Store {
  #handle;
  #leases = new Map();
  #closing;

  constructor(token) {
    if (token !== native) throw new TypeError("use Store.open()");
  }

  static async open(options) {
    const found = checked(options, OPEN);
    if (found.atOpen !== undefined) found.atOpen = checkAtOpen.known.indexOf(found.atOpen);
    if (found.rollout !== undefined) found.rollout = checkRollout.known.indexOf(found.rollout);
    const store = new Store(native);
    store.#handle = await call(native.open(found, (id) => store.#lose(id)));
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
    signal?.throwIfAborted();
    const ticket = signal ? [] : undefined;
    const promise = native.acquire(this._open(), key, found, ticket);
    const cancel = () => native.cancel(ticket[0]);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await this.#granted(key, promise, signal);
    } catch (error) {
      throw error.code === "cancelled" && signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  async #granted(key, promise, signal) {
    const lease = new Lease(this, key, await call(promise));
    // While the promise settled, the caller may have given up, and the lease may have ended.
    if (signal?.aborted && this.isOpen) {
      await lease.release().catch(() => {});
      throw signal.reason;
    }
    this.#leases.set(lease.id, lease);
    lease._notice();
    return lease;
  }

  async withLease(key, options, fn) {
    const lease = await this.acquire(key, options);
    return during(lease, [lease], fn);
  }

  async status(key) {
    checkText("key", key);
    return call(native.status(this._open(), key));
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

  async [asyncDispose]() {
    await this.close();
  }
}

module.exports = {
  BusyError, ConfigError, DeniedError, Lease, LeaseLostError, LeaseholdError, LockTimeoutError,
  Store, UnknownError, UnreachableError,
};
