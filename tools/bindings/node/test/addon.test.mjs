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
  BusyError, ConfigError, LeaseLostError, LockTimeoutError, Store, UnreachableError, keyJoin,
} from "../lib/index.js";
import { runExamples, until, waiters } from "./support.mjs";

const options = { uri: process.env.LEASEHOLD_TEST_URI, db: `node_${process.pid}`, owner: "a" };
let store, other;

before(async () => {
  store = await Store.open({ ...options, atOpen: "migrate" });
  other = await Store.open({ ...options, owner: "b" });
});

after(() => Promise.all([store.close(), other.close()]));

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

test("a lease that is handed on has a new id, by which it is attached", async () => {
  const lease = await store.acquire("handed");
  const id = await lease.transfer("b");
  assert.ok(!lease.valid);
  assert.equal((await store.status("handed")).holders[0].owner, "b");
  const attached = await other.attach("handed", id, 5_000);
  assert.ok(attached.valid && attached.token > lease.token && attached.id === id);
  await attached.release();
  await assert.rejects(other.attach("handed", id), LeaseLostError);
});

test("a key is kept after its release, and a note is left", async () => {
  const lease = await store.acquire("kept for a while");
  assert.equal(await lease.note(), undefined);
  await lease.release({ note: "v3", keep: 20_000 });
  const refused = await store.acquire("kept for a while").catch((error) => error);
  assert.ok(refused.holder.kept && refused.holder.remaining > 10_000);
  const { token } = lease;
  await store.break("kept for a while", { reason: "try it", token });
  const next = await store.acquire("kept for a while");
  assert.equal(await next.note(), undefined); // a break clears it
  await next.release({ note: "v4" });
  await store.withLease("kept for a while", {}, async (third) => {
    const note = await third.note();
    assert.deepEqual([note.text, note.token], ["v4", next.token]);
  });
});

test("several keys are acquired together, or none", async () => {
  const keys = ["many:b", "many:a", "many:c"];
  const leases = await store.acquireMany(keys, { ttl: 5_000 });
  assert.deepEqual(leases.map(({ key }) => key), keys);
  assert.deepEqual((await store.list({ prefix: "many:" })).map(({ key }) => key), keys.sort());
  const chosen = await store.list({ keys: ["many:c", "many:x"] });
  assert.deepEqual(chosen.map(({ key }) => key), ["many:c"]);
  assert.deepEqual(await store.list({ keys: [] }), []);
  const more = ["many:d", ...keys];
  const refused = await other.acquireMany(more).catch((error) => error);
  assert.ok(refused instanceof BusyError && keys.includes(refused.record.key));
  assert.equal((await store.list({ prefix: "many:d" })).length, 0);
  const controller = new AbortController();
  const waits = { wait: Infinity, signal: controller.signal };
  const waiting = other.acquireMany(more, waits);
  await until(async () => (await waiters(store, "many:a")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  assert.equal(await waiters(store, "many:a"), 0);
  const granted = other.withLeases(more, { wait: 10_000 }, (leases) => leases.length);
  await Promise.all(leases.map((lease) => lease.release()));
  assert.equal(await granted, 4);
  assert.equal((await store.list({ prefix: "many:", all: true, limit: 2 })).length, 2);
});

test("a path excludes what is below it, and can be waited for", async () => {
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
  await until(async () => (await waiters(store, "abort")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  assert.equal(await waiters(store, "abort"), 0);
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

test("what is wrong is refused, with the class that says why", async () => {
  await assert.rejects(store.acquire("a\0b"), TypeError);
  await assert.rejects(store.acquire("a\ud800"), TypeError);
  await assert.rejects(store.acquire("a", { waitMs: 5 }), /no option waitMs/);
  await assert.rejects(store.acquire("a", { ttl: 5 }), { code: "invalid" });
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
