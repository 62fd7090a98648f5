// SPDX-License-Identifier: Apache-2.0
// Leases from `leasehold serve`, for systems without the addon: browsers, Windows, macOS.
// http.d.ts describes the interface, which is that of index.js as far as HTTP goes.
"use strict";

const {
  BusyError, ConfigError, DeniedError, LeaseLostError, LeaseholdError, LockTimeoutError,
  UnknownError, UnreachableError, errorOf,
} = require("./errors.js");
const { EventQueue } = require("./events.js");
const { Connection, now, passing, since, sleep } = require("./http_connection.js");
const { holderOf, noteOf, statusOf } = require("./http_values.js");
const { BaseLease, BaseStore, together } = require("./lease.js");
const {
  BREAK, LIST, RELEASE, WATCH, checkFlag, checkNumber, checkText, checkTexts, checked,
} = require("./options.js");

const OPEN = { url: checkText, token: checkText, owner: checkText, timeout: checkNumber };
const ACQUIRE = {
  ttl: checkNumber, wait: checkNumber, shared: checkFlag, path: checkFlag, resume: checkFlag,
  owner: checkText, purpose: checkText,
};

const DAY = 24 * 3600 * 1000; // the server cuts a wait to its own longest
const MOST = 1_000_000; // keys of a list
const KEYS = 60; // of a request for chosen ones
// A request that waits is made anew after this time: fetch() of Node ends a silent one after five
// minutes, and many a proxy after one. The server keeps the place in the queue for five seconds.
const PATIENCE = 45_000;
const LEAVING = 300; // for the reply that may be on its way when a wait is aborted
const FORGOTTEN = 7_000; // by then the server has dropped a wait without a client
const RETRY = 1_000; // between two streams of events

const pathOf = (key) => `/v1/leases/${encodeURIComponent(key)}`;

function queryOf(options) {
  const pairs = Object.entries(options).flatMap(([name, value]) =>
    [value].flat().map((each) => [name, each]));
  return pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "";
}

// Node 18 has no such global.
const webcrypto = globalThis.crypto ?? require("node:crypto").webcrypto;

function drawn() {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Lease extends BaseLease {
  #note;
  #sent; // when the request was sent that granted or last renewed it
  #granted; // milliseconds from then on
  #ttl;
  #timer;

  constructor(store, key, json, sent) {
    super(store, key, { id: json.lease, token: BigInt(json.token), owner: json.owner ?? "" });
    this.#note = noteOf(json.note);
    this.#believe(json, sent);
  }

  /** The server computed `remaining_ms` after the request was sent: counted from then, it is an end
   * that is too early, if anything. */
  #believe(json, sent) {
    this.#sent = sent;
    this.#granted = json.remaining_ms;
    this.#ttl = json.ttl_ms;
  }

  get remaining() {
    return this._ended ? 0 : Math.max(0, this.#granted - since(this.#sent));
  }

  /** A long wait leaves open when in its course the key was granted. */
  get _isOld() {
    return this.remaining < (this.#ttl * 2) / 3;
  }

  async #renew(body, limit) {
    const sent = now();
    const headers = { "Lease-Id": this.id };
    const options = { body, headers, limit, signal: this._store._signal };
    const json = await this._store._connection.send("PATCH", pathOf(this.key), options);
    if (since(sent) < json.remaining_ms && !this._ended) this.#believe(json, sent);
  }

  /** Renews it from now on. */
  _keep() {
    this.#schedule(this.#ttl / 3);
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), Math.min(delay, this.remaining));
    this.#timer.unref?.(); // of Node: a held lease does not keep the program running
  }

  async #tick() {
    if (this._ended || !this._store.isOpen) return;
    let delay = this.#ttl / 3;
    try {
      if (this.valid) await this.#renew({}, this.remaining);
    } catch (error) {
      if (error instanceof LeaseLostError) this.#granted = 0;
      delay = Math.min(1_000, this.#ttl / 30);
    }
    if (this._ended || !this._store.isOpen) return;
    if (this.valid) this.#schedule(delay);
    else this._store._lost(this);
  }

  async renew(ttl) {
    this._store._open();
    if (ttl !== undefined) checkNumber("ttl", ttl);
    try {
      await this.#renew({ ttl_ms: ttl }, this._store._connection.timeout);
    } catch (error) {
      if (error instanceof LeaseLostError && !this._ended) {
        this.#granted = 0;
        this._store._lost(this);
      }
      throw error;
    }
    this.#schedule(this.#ttl / 3);
  }

  /** The server sent it with the grant. */
  async note() {
    return this.#note;
  }

  async release(options) {
    this._store._open();
    const { note, keep } = checked(options, RELEASE);
    await this._release({ note, keep_ms: keep });
  }

  /** Sent once: a second request would find that the lease has ended. */
  async transfer(to) {
    this._store._open();
    checkText("to", to);
    clearTimeout(this.#timer);
    const options = { body: { to }, headers: { "Lease-Id": this.id } };
    const path = `${pathOf(this.key)}/transfer`;
    return (await this._end(this._store._connection.send("POST", path, options))).lease;
  }

  /** Nobody has worked under it: the note of the previous holder stays. */
  async _giveBack() {
    await this._release({ note: this.#note?.text });
  }

  /** `keepalive`: a page may be left at once. */
  async _release(body) {
    clearTimeout(this.#timer);
    const options = { body, headers: { "Lease-Id": this.id }, keepalive: true };
    await this._end(this._store._connection.repeat("DELETE", pathOf(this.key), options));
    clearTimeout(this.#timer); // a renewal that was under way
  }
}

class Watch extends EventQueue {
  #controller = new AbortController();
  #seen = false;
  #last;
  #ended;

  constructor(connection, signal, { keys, prefix, after }) {
    super();
    this.#last = after;
    signal.addEventListener("abort", () => this.#controller.abort(), { once: true });
    const wanted = keys && ((event) => !event.key || keys.includes(event.key));
    const path = `/v1/events${queryOf(prefix === undefined ? {} : { prefix })}`;
    this.#ended = this.#run(connection, path, wanted).then(
      () => this._end(),
      (error) => this._end(error),
    );
  }

  #take(event, wanted) {
    if (event.id) this.#last = event.id;
    // The stream is a new one; what happened meanwhile is missing.
    const again = this.#seen && event.kind === "opened";
    this.#seen = true;
    if (!wanted || wanted(event)) this._put(again ? { ...event, kind: "gap" } : event);
  }

  /** Before the first event a server must respond in time; after that, the watch never gives up. */
  async #run(connection, path, wanted) {
    const { signal } = this.#controller;
    const begin = now();
    while (!signal.aborted) {
      try {
        const headers = this.#last ? { "Last-Event-ID": this.#last } : {};
        await connection.follow(path, headers, signal, (event) => this.#take(event, wanted));
      } catch (error) {
        const late = !this.#seen && since(begin) > connection.timeout;
        if (!signal.aborted && (!passing(error) || late)) throw error;
      }
      await sleep(RETRY, signal);
    }
  }

  async return() {
    this._drop();
    this.#controller.abort();
    await this.#ended;
    return { value: undefined, done: true };
  }
}

class Store extends BaseStore {
  #owner;
  #leases = new Map();
  #acquires = new Set(); // under way
  #closed = new AbortController();
  #closing;

  constructor(connection, owner) {
    super();
    if (!(connection instanceof Connection)) throw new TypeError("use Store.open()");
    this._connection = connection;
    this.#owner = owner;
  }

  static async open(options) {
    const found = checked(options, OPEN);
    for (const name of ["url", "owner"]) checkText(name, found[name]);
    const connection = new Connection(found);
    const { needs_token: needed, may } = await connection.repeat("GET", "/v1/whoami");
    if (needed && may === "look_in") {
      const message = "the server does not know the token";
      throw errorOf({ code: "denied", reason: "credentials", message, serverCode: 0, leaseId: "" });
    }
    return new Store(connection, found.owner);
  }

  get isOpen() {
    return this.#closing === undefined;
  }

  /** Ends what is under way when the store is closed. */
  get _signal() {
    return this.#closed.signal;
  }

  _open() {
    if (!this.isOpen) throw new Error("the store is closed");
  }

  _forget(id) {
    this.#leases.delete(id);
  }

  _lost(lease) {
    this._forget(lease.id);
    lease._lose();
  }

  async acquire(key, options = {}) {
    const { signal, ...rest } = options;
    checkText("key", key);
    const { wait = 0, ...found } = checked(rest, ACQUIRE);
    return this.#tracked(signal, async (ended) =>
      this.#granted(await this.#ask(key, this.#bodyOf(found), wait, ended), ended));
  }

  /** Sent once: the server remembers no such grant. */
  async acquireMany(keys, options = {}) {
    const { signal, ...rest } = options;
    checkTexts("keys", keys);
    const { wait = 0, ...found } = checked(rest, ACQUIRE);
    const body = { keys, ...this.#bodyOf(found), wait_ms: wait };
    return this.#tracked(signal, async (ended) => {
      const sent = now();
      const { leases } = await this._connection.send("POST", "/v1/leases", { body });
      const granted = await Promise.allSettled(
        leases.map((json) => this.#granted(new Lease(this, json.key, json, sent), ended)));
      const failed = granted.find(({ reason }) => reason);
      const held = granted.flatMap(({ value }) => value ?? []);
      if (!failed) return together(held);
      await Promise.allSettled(held.map((lease) => lease.release()));
      throw failed.reason;
    });
  }

  #bodyOf({ ttl, shared, owner = this.#owner, purpose, path, resume }) {
    return { owner, purpose, ttl_ms: ttl, mode: shared ? "shared" : "exclusive", path, resume };
  }

  /** Runs an acquire, which `signal` and close() end. A close waits for it. */
  async #tracked(signal, run) {
    signal?.throwIfAborted();
    this._open();
    const ended = new AbortController();
    const abort = () => ended.abort(signal?.aborted ? signal.reason : this._signal.reason);
    for (const each of [signal, this._signal]) each?.addEventListener("abort", abort);
    const running = run(ended.signal);
    this.#acquires.add(running);
    try {
      return await running;
    } finally {
      for (const each of [signal, this._signal]) each?.removeEventListener("abort", abort);
      this.#acquires.delete(running);
    }
  }

  /** Asks until the key is granted or the wait is over: the server may allow shorter waits only. */
  async #ask(key, body, wait, signal) {
    const begin = now();
    for (;;) {
      const left = Math.max(0, Math.ceil(wait - since(begin)));
      const asked = { ...body, wait_ms: Math.min(left, DAY) };
      try {
        return await this.#stand(key, asked, signal);
      } catch (error) {
        if (error.reason !== "timeout" || since(begin) >= wait) throw error;
      }
    }
  }

  /** One place in the queue, over as many requests as it takes. */
  async #stand(key, body, signal) {
    const options = { body, headers: { "Idempotency-Key": drawn() } };
    if (body.wait_ms > 0) Object.assign(options, { signal, limit: PATIENCE });
    const begin = now();
    for (;;) {
      const sent = now();
      try {
        const json = await this._connection.repeat("POST", pathOf(key), options);
        return new Lease(this, key, json, sent);
      } catch (error) {
        if (signal.aborted) return this.#leave(key, options, signal);
        const over = since(begin) > body.wait_ms + this._connection.timeout;
        if (!passing(error) || since(sent) < PATIENCE || over) throw error;
      }
    }
  }

  /** The server leaves the queue by itself, within five seconds, and releases what it grants
   * meanwhile; unless it has sent its reply, which a closed connection may have lost. */
  async #leave(key, options, signal) {
    const again = { ...options, signal: undefined, limit: LEAVING };
    const lease = await this.#told(key, again).catch(() => undefined);
    if (lease) return lease;
    setTimeout(() => this.#settle(key, again).catch(() => {}), FORGOTTEN).unref?.();
    throw signal.reason;
  }

  /** Once the server has forgotten the wait. It refuses the Idempotency-Key for another request if
   * it has granted the wait, and then tells the grant once more. */
  async #settle(key, options) {
    const once = { ...options, body: { ...options.body, wait_ms: 0 } };
    const lease = await this.#told(key, once).catch((error) => {
      if (error.code === "idempotency_key") return this.#told(key, options);
    });
    await lease?._giveBack();
  }

  async #told(key, options) {
    const sent = now();
    return new Lease(this, key, await this._connection.send("POST", pathOf(key), options), sent);
  }

  async #granted(lease, signal) {
    try {
      signal.throwIfAborted();
      if (lease._isOld) await lease.renew();
      signal.throwIfAborted();
    } catch (error) {
      await lease._giveBack().catch(() => {});
      throw error;
    }
    this.#leases.set(lease.id, lease);
    lease._keep();
    return lease;
  }

  async attach(key, id, ttl) {
    checkText("key", key);
    checkText("id", id);
    if (ttl !== undefined) checkNumber("ttl", ttl);
    this._open();
    const sent = now();
    const options = { body: { ttl_ms: ttl }, headers: { "Lease-Id": id } };
    const json = await this._connection.repeat("PATCH", pathOf(key), options);
    return this.#granted(new Lease(this, key, json, sent), this._signal);
  }

  async status(key) {
    checkText("key", key);
    this._open();
    return statusOf(await this._connection.repeat("GET", pathOf(key)));
  }

  async list(options) {
    const { keys, ...found } = { limit: MOST, ...checked(options, LIST) };
    this._open();
    if (!keys) return this.#list(found);
    const pieces = [];
    for (let i = 0; i < keys.length; i += KEYS)
      pieces.push(this.#list({ ...found, key: keys.slice(i, i + KEYS) }));
    const all = (await Promise.all(pieces)).flat(); // also keys that are free
    return all.filter(({ state }) => found.all || state !== "free");
  }

  async #list(query) {
    const { leases } = await this._connection.repeat("GET", `/v1/leases${queryOf(query)}`);
    return leases.map(statusOf);
  }

  /** Sent once: when a reply was lost, a second request could break the next holder's lease. */
  async break(key, options) {
    checkText("key", key);
    const body = checked(options, BREAK);
    this._open();
    const json = await this._connection.send("POST", `${pathOf(key)}/break`, { body });
    return { key: json.key, holders: json.holders.map(holderOf) };
  }

  watch(options) {
    const found = checked(options, WATCH);
    this._open();
    return new Watch(this._connection, this._signal, found);
  }

  async close() {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close() {
    const message = "the store was closed";
    const failure = { code: "closed", reason: "store_closed", message };
    this.#closed.abort(errorOf({ ...failure, serverCode: 0, leaseId: "" }));
    const held = [...this.#leases.values()].map((lease) => lease._release({}));
    await Promise.allSettled([...held, ...this.#acquires]);
  }
}

module.exports = {
  BusyError, ConfigError, DeniedError, Lease, LeaseLostError, LeaseholdError, LockTimeoutError,
  Store, UnknownError, UnreachableError,
};
