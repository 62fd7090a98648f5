// SPDX-License-Identifier: Apache-2.0
// What all kinds of stores and their leases have in common. A kind of store adds what asks a
// server, and a kind of lease `remaining`, `renew()` and `release()`.
"use strict";

const { lostError } = require("./errors.js");
const { asyncDispose } = require("./events.js");

class BaseLease {
  #lost = new AbortController();
  _ended = false;

  constructor(store, key, { id, token, owner }) {
    this._store = store;
    this.key = key;
    this.id = id;
    this.token = token;
    this.owner = owner;
  }

  get valid() {
    return this.remaining > 0;
  }

  get signal() {
    return this.#lost.signal;
  }

  _lose() {
    this.#lost.abort(lostError(this));
  }

  /** Reports an end that only the clock shows so far. */
  _notice() {
    if (!this._ended && !this.valid) this._lose();
  }

  /** The lease counts as ended from the start of the command, unless an argument was refused. */
  async _end(promise) {
    this._ended = true;
    try {
      const value = await promise;
      this._store._forget(this.id);
      return value;
    } catch (error) {
      this._ended = error.code !== "invalid";
      if (this._ended) this._store._forget(this.id);
      throw error;
    }
  }

  async [asyncDispose]() {
    if (!this._ended && this._store.isOpen) await this.release();
  }
}

/** Leases that are released together, too. */
function together(leases) {
  const release = () => Promise.all(leases.map((lease) => lease[asyncDispose]()));
  return Object.defineProperty(leases, asyncDispose, { value: async () => void (await release()) });
}

/** Calls `fn` with what was acquired, and releases that. `leases`: those that must last so long. */
async function during(acquired, leases, fn) {
  let result;
  try {
    result = await fn(acquired);
  } catch (error) {
    await acquired[asyncDispose]().catch(() => {}); // it ends with its ttl at the latest
    throw error;
  }
  for (const lease of leases) lease._notice();
  await acquired[asyncDispose]().catch(() => {});
  for (const lease of leases) lease.signal.throwIfAborted();
  return result;
}

class BaseStore {
  async withLease(key, options, fn) {
    const lease = await this.acquire(key, options);
    return during(lease, [lease], fn);
  }

  async withLeases(keys, options, fn) {
    const leases = await this.acquireMany(keys, options);
    return during(leases, leases, fn);
  }

  async [asyncDispose]() {
    await this.close();
  }
}

module.exports = { BaseLease, BaseStore, together };
