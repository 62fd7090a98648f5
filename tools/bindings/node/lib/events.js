// SPDX-License-Identifier: Apache-2.0
// Events on their way to a program, which takes them with `for await`.
"use strict";

// Node before 20 has no such symbol; TypeScript's `await using` looks for the same one.
const asyncDispose = (Symbol.asyncDispose ??= Symbol("Symbol.asyncDispose"));

// The most events that are kept for a program that does not take them.
const EVENTS_KEPT = 10_000;

class EventQueue {
  #events = [];
  #takers = [];
  #failure;
  _over = false;

  _put(event) {
    const taker = this.#takers.shift();
    if (taker) taker.resolve({ value: event, done: false });
    else if (this.#events.push(event) > EVENTS_KEPT)
      this.#events = [{ ...event, kind: "gap", key: "" }];
  }

  _end(error) {
    this._over = true;
    this.#failure = error;
    for (const taker of this.#takers.splice(0)) this.next().then(taker.resolve, taker.reject);
  }

  /** Forgets the events that nobody has taken. */
  _drop() {
    this.#events = [];
  }

  async next() {
    if (this.#events.length > 0) return { value: this.#events.shift(), done: false };
    if (!this._over)
      return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [asyncDispose]() {
    await this.return();
  }
}

module.exports = { EventQueue, asyncDispose };
