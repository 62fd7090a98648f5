// SPDX-License-Identifier: Apache-2.0
// The addon on a real set. LEASEHOLD_NODE_ADDON is the addon that was built.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { setMaxListeners } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import * as leasehold from "../lib/index.js";
import { testBehaviour } from "./behaviour.mjs";
import { runExamples, until, waiters } from "./support.mjs";

const { ConfigError, LockTimeoutError, Store, UnreachableError, keyJoin } = leasehold;
const options = { uri: process.env.LEASEHOLD_TEST_URI, db: `node_${process.pid}`, owner: "a" };
let store, other;

before(async () => {
  store = await Store.open({ ...options, atOpen: "migrate" });
  other = await Store.open({ ...options, owner: "b" });
});

after(() => Promise.all([store.close(), other.close()]));

testBehaviour(leasehold, () => [store, other]);

test("several keys are waited for", async () => {
  const keys = ["wait:b", "wait:a", "wait:c"];
  const leases = await store.acquireMany(keys);
  const controller = new AbortController();
  const waiting = other.acquireMany(keys, { wait: Infinity, signal: controller.signal });
  await until(async () => (await waiters(store, "wait:a")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  assert.equal(await waiters(store, "wait:a"), 0);
  const granted = other.withLeases(keys, { wait: 10_000 }, ({ length }) => length);
  await Promise.all(leases.map((lease) => lease.release()));
  assert.equal(await granted, 3);
});

test("a path can be waited for", async () => {
  const lease = await store.acquire("org/project", { path: true });
  const below = { path: true, wait: 10_000 };
  await assert.rejects(other.acquire("org", { path: true, wait: 50 }), LockTimeoutError);
  const waiting = other.acquire("org/project/file", below);
  await lease.release();
  await (await waiting).release();
  const held = await store.acquire("org", { path: true });
  const aborted = other.acquire("org", { ...below, signal: AbortSignal.timeout(50) });
  await assert.rejects(aborted, { name: "TimeoutError" });
  await held.release();
});

test("a store reports its events and counts", async () => {
  const events = [];
  const log = (event) => events.push(event);
  const logging = await Store.open({ ...options, log, logLevel: "debug" });
  await logging.withLease("logged", {}, () => {});
  const { acquired, released, holding, commands, roundTrips } = logging.metrics();
  assert.deepEqual([acquired, released, holding, commands.acquire.ok], [1, 1, 0, 1]);
  assert.ok(roundTrips.count >= 2 && roundTrips.sum > 0);
  assert.deepEqual([roundTrips.buckets[0].upTo, roundTrips.buckets.at(-1).upTo], [0.25, Infinity]);
  await logging.close();
  const { level, key, token, duration } = events.find(({ event }) => event === "acquire");
  assert.deepEqual([level, key, typeof token, duration > 0], ["info", "logged", "bigint", true]);
  assert.equal(events.at(-1).event, "closed");
  assert.throws(() => logging.metrics(), /closed/);
});

test("parts are joined to a key", () => {
  assert.equal(keyJoin("root", "git:hub", "100%"), "root:git%3Ahub:100%25");
  assert.throws(() => keyJoin("a", ""), { code: "invalid" });
  assert.throws(() => keyJoin("a", 7), TypeError);
});

test("a waiter is granted the key when it is released", async () => {
  const lease = await store.acquire("wait");
  const waiting = other.acquire("wait", { wait: Infinity });
  await until(async () => (await waiters(store, "wait")) === 1);
  await lease.release();
  await (await waiting).release();
});

test("an abort ends a wait with its reason, and leaves no waiter", async () => {
  const lease = await store.acquire("abort");
  const controller = new AbortController();
  const waiting = other.acquire("abort", { wait: Infinity, signal: controller.signal });
  await until(async () => (await waiters(store, "abort")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  assert.equal(await waiters(store, "abort"), 0);
  await lease.release();
});

test("the library renews a lease without a timer", async () => {
  const lease = await store.acquire("kept", { ttl: 3_000 });
  const first = (await store.status("kept")).holders[0].expiresAt;
  await until(async () => (await store.status("kept")).holders[0].expiresAt > first);
  assert.ok(lease.valid);
  await lease.release();
});

test("a hundred waits at once, more than there are threads", async () => {
  const lease = await store.acquire("crowd");
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const options = { wait: Infinity, signal: controller.signal };
  const crowd = Array.from({ length: 100 }, () =>
    other.acquire("crowd", options).catch((error) => error.name));
  await until(async () => (await waiters(store, "crowd")) >= 50);
  controller.abort();
  assert.deepEqual(new Set(await Promise.all(crowd)), new Set(["AbortError"]));
  assert.equal(await waiters(store, "crowd"), 0);
  await lease.release();
});

test("a close ends waits, watches and leases", async () => {
  const closing = await Store.open(options);
  await closing.acquire("closed");
  const waiting = closing.acquire("closed", { wait: Infinity });
  const several = closing.acquireMany(["closed", "closed too"], { wait: Infinity });
  const events = closing.watch();
  await until(async () => (await waiters(store, "closed")) === 2);
  const refused = [waiting, several].map((each) => assert.rejects(each, { code: "closed" }));
  await Promise.all([closing.close(), closing.close()]);
  await Promise.all(refused);
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

test("what cannot be opened is refused, with the class that says why", async () => {
  await assert.rejects(Store.open({ uri: "mongodb:/" }), ConfigError);
  const nowhere = Store.open({ uri: "mongodb://127.0.0.1:1/", timeout: 300 });
  await assert.rejects(nowhere, UnreachableError);
});

test("the README's examples work", async () => {
  const uri = options.uri.replace("/?", `/${options.db}?`);
  const printed = await runExamples(false, {
    '"leasehold"': JSON.stringify(new URL("../lib/index.js", import.meta.url)),
    '"mongodb://db0,db1,db2/?replicaSet=rs"': JSON.stringify(uri),
  });
  const lines = [/^\d+n \d+$/, /^\d+n \d+n$/, /^\[ '.*@.*' \]$/, /^opened/, /^released org/, /^0$/];
  printed.trimEnd().split("\n").forEach((line, i) => assert.match(line, lines[i]));
});
