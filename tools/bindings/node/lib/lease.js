// SPDX-License-Identifier: Apache-2.0
// What the leases of all kinds of stores have in common. A kind adds `remaining`, `renew()` and
// `release()`.
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

module.exports = { BaseLease, during };
