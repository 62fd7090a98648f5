// SPDX-License-Identifier: Apache-2.0
// The addon on a real set. LEASEHOLD_NODE_ADDON is the addon that was built.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setMaxListeners } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import {
  BusyError, ConfigError, LeaseLostError, LockTimeoutError, Store, UnreachableError,
} from "../lib/index.js";

const options = { uri: process.env.LEASEHOLD_TEST_URI, db: `node_${process.pid}`, owner: "a" };
let store, other;

before(async () => {
  store = await Store.open({ ...options, atOpen: "migrate" });
  other = await Store.open({ ...options, owner: "b" });
});

after(() => Promise.all([store.close(), other.close()]));

async function until(condition) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, "it did not happen in time");
    await sleep(10);
  }
}

const waiters = async (key) => (await store.status(key)).waiters.length;

test("a lease is acquired, renewed and released, and others are refused meanwhile", async () => {
  const lease = await store.acquire("life", { ttl: 5_000, purpose: "tést" });
  assert.ok(lease.valid && lease.remaining <= 5_000);
  assert.deepEqual([typeof lease.token, lease.owner], ["bigint", "a"]);
  const refused = await other.acquire("life").catch((error) => error);
  assert.ok(refused instanceof BusyError && !(refused instanceof LockTimeoutError));
  assert.deepEqual([refused.name, refused.code, refused.reason], ["BusyError", "busy", "held"]);
  assert.deepEqual([refused.holder.owner, refused.holder.purpose], ["a", "tést"]);
  await lease.renew(60_000);
  assert.ok(lease.remaining > 50_000);
  await lease.release({ note: "v2" });
  assert.ok(!lease.valid && !lease.signal.aborted);
  const status = await store.status("life");
  assert.deepEqual([status.state, status.note.text], ["free", "v2"]);
  assert.equal(status.released.how, "release");
});

test("a lease that is handed on has a new id", async () => {
  const lease = await store.acquire("handed");
  assert.match(await lease.transfer("b"), /^[0-9a-f]{32}$/);
  assert.ok(!lease.valid);
  assert.equal((await store.status("handed")).holders[0].owner, "b");
});

test("a waiter is granted the key when it is released", async () => {
  const lease = await store.acquire("wait");
  const waiting = other.acquire("wait", { wait: Infinity });
  await until(async () => (await waiters("wait")) === 1);
  await lease.release();
  await (await waiting).release();
});

test("a wait that is over is a LockTimeoutError", async () => {
  const lease = await store.acquire("over");
  const waiting = other.acquire("over", { wait: 50 });
  await assert.rejects(waiting, (error) =>
    error instanceof LockTimeoutError && error instanceof BusyError && error.reason === "timeout");
  await lease.release();
});

test("an abort ends a wait with its reason, and leaves no waiter", async () => {
  const lease = await store.acquire("abort");
  const controller = new AbortController();
  const waiting = other.acquire("abort", { wait: Infinity, signal: controller.signal });
  await until(async () => (await waiters("abort")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  assert.equal(await waiters("abort"), 0);
  await lease.release();
});

test("an abort during the first question leaves nothing held", async () => {
  for (const wait of [0, 1_000]) {
    const controller = new AbortController();
    const asking = other.acquire("asked", { wait, signal: controller.signal });
    controller.abort();
    await assert.rejects(asking, { name: "AbortError" });
    assert.equal((await store.status("asked")).state, "free");
  }
  const aborted = other.acquire("asked", { signal: AbortSignal.abort() });
  await assert.rejects(aborted, { name: "AbortError" });
});

test("withLease releases at the end, also when the function throws", async () => {
  const first = await store.withLease("with", { ttl: 5_000 }, async ({ token }) => token);
  assert.ok((await store.withLease("with", {}, async ({ token }) => token)) > first);
  const failing = store.withLease("with", {}, async () => {
    throw new Error("mine");
  });
  await assert.rejects(failing, /mine/);
  assert.equal((await store.status("with")).state, "free");
});

test("a lease that is broken aborts its signal, and withLease throws", async () => {
  await assert.rejects(
    store.withLease("broken", { ttl: 1_000 }, async (lease) => {
      const { token } = await other.status("broken");
      const breaking = (token) => other.break("broken", { reason: "try it", token });
      await assert.rejects(breaking(Number(token)), TypeError);
      await assert.rejects(breaking(2n ** 64n + token), { reason: "changed_hands" });
      await breaking(token);
      await until(() => lease.signal.aborted);
      assert.ok(!lease.valid && lease.signal.reason instanceof LeaseLostError);
    }),
    LeaseLostError,
  );
});

test("the library renews: a lease outlives its ttl without a timer", async () => {
  const lease = await store.acquire("kept", { ttl: 1_000 });
  await sleep(1_500);
  assert.ok(lease.valid);
  await lease.release();
});

test("events come in order, until the iterator is left", async () => {
  const seen = [];
  for await (const event of store.watch({ keys: ["seen"] })) {
    if (event.kind === "opened") other.withLease("seen", {}, async () => {});
    seen.push(event.kind);
    if (event.kind === "released") break;
  }
  assert.deepEqual(seen, ["opened", "granted", "released"]);
});

test("a hundred waits at once, more than there are threads", async () => {
  const lease = await store.acquire("crowd");
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const options = { wait: Infinity, signal: controller.signal };
  const crowd = Array.from({ length: 100 }, () =>
    other.acquire("crowd", options).catch((error) => error.name));
  await until(async () => (await waiters("crowd")) >= 50);
  controller.abort();
  assert.deepEqual(new Set(await Promise.all(crowd)), new Set(["AbortError"]));
  assert.equal(await waiters("crowd"), 0);
  await lease.release();
});

test("a close ends waits, watches and leases", async () => {
  const closing = await Store.open(options);
  await closing.acquire("closed");
  const waiting = closing.acquire("closed", { wait: Infinity });
  const events = closing.watch();
  await until(async () => (await waiters("closed")) === 1);
  const refused = assert.rejects(waiting, { code: "closed" });
  await Promise.all([closing.close(), closing.close()]);
  await refused;
  while (!(await events.next()).done);
  assert.equal((await store.status("closed")).state, "free");
  await assert.rejects(closing.acquire("closed"), /closed/);
});

test("a program that ends releases what it holds", async () => {
  const library = fileURLToPath(new URL("../lib/index.js", import.meta.url));
  const program = `
    const { Store } = require(${JSON.stringify(library)});
    Store.open(${JSON.stringify(options)}).then((store) => store.acquire("ended"));`;
  const thread = `
    new (require("node:worker_threads").Worker)(${JSON.stringify(program)}, { eval: true });`;
  for (const text of [program, thread]) {
    await promisify(execFile)(process.execPath, ["-e", text]);
    const status = await store.status("ended");
    assert.deepEqual([status.state, status.released.how], ["free", "release"]);
  }
});

test("what is wrong is refused, with the class that says why", async () => {
  await assert.rejects(store.acquire("a\0b"), TypeError);
  await assert.rejects(store.acquire("a\ud800"), TypeError);
  await assert.rejects(store.acquire("a", { waitMs: 5 }), /no option waitMs/);
  await assert.rejects(store.acquire("a", { ttl: 5 }), { code: "invalid" });
  await assert.rejects(Store.open({ uri: "mongodb:/" }), ConfigError);
  const nowhere = Store.open({ uri: "mongodb://127.0.0.1:1/", timeout: 300 });
  await assert.rejects(nowhere, UnreachableError);
});
