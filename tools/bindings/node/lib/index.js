// SPDX-License-Identifier: Apache-2.0
// Leases on keys, kept in MongoDB. index.d.ts describes the interface.
"use strict";

const { errorOf, ...errors } = require("./errors.js");
const native = require(process.env.LEASEHOLD_NODE_ADDON ?? "../build/leasehold.node");

// Node before 20 has no such symbol; TypeScript's `await using` looks for the same one.
const asyncDispose = (Symbol.asyncDispose ??= Symbol("Symbol.asyncDispose"));

// The most events that a watch keeps for a program that does not take them.
const EVENTS_KEPT = 10_000;

/** C ends a text at its first NUL, and a lone surrogate would become another character. */
function checkText(name, text) {
  if (typeof text !== "string") throw new TypeError(`${name} must be a string`);
  if (/[\0\p{Surrogate}]/u.test(text)) throw new TypeError(`${name} has a NUL or a lone surrogate`);
}

function checkNumber(name, number) {
  if (typeof number !== "number" || Number.isNaN(number)) throw new TypeError(`${name} must be a number`);
}

function checkToken(name, token) {
  if (typeof token !== "bigint") throw new TypeError(`${name} must be a BigInt`);
}

function checkFlag(name, flag) {
  if (typeof flag !== "boolean") throw new TypeError(`${name} must be true or false`);
}

function checkTexts(name, texts) {
  if (!Array.isArray(texts)) throw new TypeError(`${name} must be an array of strings`);
  for (const text of texts) checkText(name, text);
}

/** The words of an enumeration, which the addon gets as numbers. */
const words = (...known) => Object.assign((name, word) => {
  if (!known.includes(word)) throw new TypeError(`${name} must be one of ${known.join(", ")}`);
}, { known });

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

/** Checks the options, and leaves out those that are undefined. */
function checked(options, known) {
  const found = {};
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!Object.hasOwn(known, name)) throw new TypeError(`there is no option ${name}`);
    if (value === undefined) continue;
    known[name](name, value);
    found[name] = value;
  }
  return found;
}

async function call(promise) {
  try {
    return await promise;
  } catch (failure) {
    throw errorOf(failure);
  }
}

class Lease {
  #store;
  #handle;
  #lost = new AbortController();
  #ended = false;

  constructor(store, key, found) {
    this.#store = store;
    this.#handle = found.handle;
    this.key = key;
    this.id = found.id;
    this.token = found.token;
    this.owner = found.owner;
  }

  get remaining() {
    return this.#ended ? 0 : native.remaining(this.#handle);
  }

  get valid() {
    return this.remaining > 0;
  }

  get signal() {
    return this.#lost.signal;
  }

  /** Called by the store. */
  _lose() {
    const message = `the lease on ${this.key} ended before its release`;
    this.#lost.abort(errorOf({ code: "lost", reason: "ended", message, leaseId: this.id, serverCode: 0 }));
  }

  /** Reports an end that only the clock shows so far. */
  _notice() {
    if (!this.#ended && !this.valid) this._lose();
  }

  async renew(ttl) {
    if (ttl !== undefined) checkNumber("ttl", ttl);
    await call(native.renew(this.#store._open(), this.#handle, ttl));
  }

  async release(options) {
    const { note } = checked(options, RELEASE);
    await this.#end(native.release(this.#store._open(), this.#handle, note));
  }

  async transfer(to) {
    checkText("to", to);
    return this.#end(native.transfer(this.#store._open(), this.#handle, to));
  }

  /** The lease counts as ended from the start of the command, unless an argument was refused. */
  async #end(promise) {
    this.#ended = true;
    try {
      const value = await call(promise);
      this.#store._forget(this.id);
      return value;
    } catch (error) {
      this.#ended = error.code !== "invalid";
      if (this.#ended) this.#store._forget(this.id);
      throw error;
    }
  }

  async [asyncDispose]() {
    if (!this.#ended && this.#store.isOpen) await this.release();
  }
}

class Watch {
  #handle;
  #events = [];
  #takers = [];
  #ended; // a promise of the end
  #failure;
  #over = false;

  constructor(store, options) {
    const handle = [];
    this.#ended = call(native.watch(store, options, (event) => this.#put(event), handle)).then(
      () => this.#end(),
      (error) => this.#end(error),
    );
    this.#handle = handle[0];
  }

  #put(event) {
    const taker = this.#takers.shift();
    if (taker) taker.resolve({ value: event, done: false });
    else if (this.#events.push(event) > EVENTS_KEPT) this.#events = [{ ...event, kind: "gap", key: "" }];
  }

  #end(error) {
    this.#over = true;
    this.#failure = error;
    for (const taker of this.#takers.splice(0)) this.next().then(taker.resolve, taker.reject);
  }

  async next() {
    if (this.#events.length > 0) return { value: this.#events.shift(), done: false };
    if (!this.#over) return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
    return { value: undefined, done: true };
  }

  /** Ends the watch, within half a second. */
  async return() {
    this.#events = [];
    if (!this.#over) native.unwatch(this.#handle);
    await this.#ended;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [asyncDispose]() {
    await this.return();
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
    let result;
    try {
      result = await fn(lease);
    } catch (error) {
      await lease[asyncDispose]().catch(() => {}); // the lease ends with its ttl at the latest
      throw error;
    }
    lease._notice();
    await lease[asyncDispose]().catch(() => {});
    if (lease.signal.aborted) throw lease.signal.reason;
    return result;
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

module.exports = { Store, Lease, ...errors };
