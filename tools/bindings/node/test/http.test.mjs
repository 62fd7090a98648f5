// SPDX-License-Identifier: Apache-2.0
// The client for `leasehold serve`, on a real server. LEASEHOLD_PROGRAM is the command line.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import {
  BusyError, DeniedError, LeaseLostError, LockTimeoutError, Store, UnreachableError,
} from "../lib/http.js";
import { runExamples, until, waiters } from "./support.mjs";

const program = process.env.LEASEHOLD_PROGRAM;
const uri = process.env.LEASEHOLD_TEST_URI;
const env = { ...process.env, LEASEHOLD_URI: uri, LEASEHOLD_DB: `node_http_${process.pid}` };
const folder = mkdtempSync(join(tmpdir(), "leasehold-node-"));
const tokens = { token: "an-admins-own-token" };
let server, url, store, other;

async function serve(listen) {
  const files = ["--token-file", join(folder, "users"), "--admin-token-file", join(folder, "ops")];
  const started = spawn(program, ["serve", "--listen", listen, "--quiet", ...files], {
    env, stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(createInterface(started.stdout), "line");
  return [started, line.split(" ").at(-1)];
}

async function end(started) {
  started.kill("SIGTERM");
  await once(started, "exit");
}

before(async () => {
  writeFileSync(join(folder, "users"), "app:the-token-of-a-user\n", { mode: 0o600 });
  writeFileSync(join(folder, "ops"), `ops:${tokens.token}\n`, { mode: 0o600 });
  execFileSync(program, ["migrate", "--yes", "--quiet"], { env });
  [server, url] = await serve("127.0.0.1:0");
  store = await Store.open({ url, ...tokens, owner: "a" });
  other = await Store.open({ url, ...tokens, owner: "b" });
});

after(async () => {
  await Promise.all([store.close(), other.close()]);
  await end(server);
  rmSync(folder, { recursive: true });
});

test("a lease is acquired, renewed and released, and others are refused meanwhile", async () => {
  const lease = await store.acquire("a/key with: ☃", { ttl: 5_000, purpose: "tést" });
  assert.ok(lease.valid && lease.remaining <= 5_000);
  assert.deepEqual([typeof lease.token, lease.owner], ["bigint", "a"]);
  assert.equal(await lease.note(), undefined);
  const refused = await other.acquire("a/key with: ☃").catch((error) => error);
  assert.ok(refused instanceof BusyError && !(refused instanceof LockTimeoutError));
  assert.deepEqual([refused.name, refused.code, refused.reason], ["BusyError", "busy", "held"]);
  const { owner, purpose, token, shared } = refused.holder;
  assert.deepEqual([owner, purpose, token, shared], ["a", "tést", lease.token, false]);
  await lease.renew(60_000);
  assert.ok(lease.remaining > 50_000);
  await lease.release({ note: 'v2 "token":7' });
  assert.ok(!lease.valid && !lease.signal.aborted);
  const status = await store.status("a/key with: ☃");
  assert.deepEqual([status.state, status.released.how], ["free", "release"]);
  assert.deepEqual([status.note.text, status.note.token], ['v2 "token":7', lease.token]);
  assert.ok(Math.abs(status.note.at - Date.now()) < 60_000);
  const next = await other.acquire("a/key with: ☃");
  assert.match((await next.note()).text, /^v2/);
  await next.release({ keep: 20_000 });
  const kept = await store.acquire("a/key with: ☃").catch((error) => error.holder);
  assert.ok(kept.kept && kept.remaining > 10_000);
});

test("a token above 2^53 stays what it is", async () => {
  const token = 2n ** 60n + 1n;
  const reply = { v: 1, key: "k", state: "held", token: 0, holders: [], waiters: [] };
  const text = JSON.stringify(reply).replace('"token":0', `"token": ${token}`);
  const proxy = createServer(({ url }, response) =>
    response.end(url === "/v1/whoami" ? '{"needs_token":false}' : text)).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const options = { url: `http://127.0.0.1:${proxy.address().port}/`, owner: "a" };
  assert.equal((await (await Store.open(options)).status("k")).token, token);
  proxy.close();
  proxy.closeIdleConnections?.();
});

test("a waiter is granted the key when it is released, also after its request broke", async () => {
  const lease = await store.acquire("wait");
  const real = globalThis.fetch;
  const asked = [];
  globalThis.fetch = (url, options) => {
    const broken = new AbortController();
    if (options.method === "POST") asked.push(broken);
    return real(url, { ...options, signal: broken.signal });
  };
  const waiting = other.acquire("wait", { wait: Infinity });
  await until(async () => (await waiters(store, "wait")) === 1);
  asked[0].abort(new TypeError("the connection broke"));
  await until(() => asked.length === 2);
  globalThis.fetch = real;
  const third = store.acquire("wait", { wait: Infinity, owner: "c" });
  await until(async () => (await waiters(store, "wait")) === 2);
  await lease.release();
  const granted = await waiting;
  assert.equal((await store.status("wait")).holders[0].owner, "b");
  await granted.release();
  await (await third).release();
});

test("a wait that is over is a LockTimeoutError", async () => {
  const lease = await store.acquire("over");
  const waiting = other.acquire("over", { wait: 50 });
  await assert.rejects(waiting, (error) =>
    error instanceof LockTimeoutError && error.reason === "timeout" && error.holder.owner === "a");
  await lease.release();
});

test("an abort ends a wait with its reason, and the place in the queue ends", async () => {
  const lease = await store.acquire("abort");
  const controller = new AbortController();
  const waiting = other.acquire("abort", { wait: Infinity, signal: controller.signal });
  await until(async () => (await waiters(store, "abort")) === 1);
  controller.abort(new Error("no longer wanted"));
  await assert.rejects(waiting, /no longer wanted/);
  await lease.release(); // granted to the waiter that has gone: the server gives it back
  await store.withLease("abort", { wait: 10_000 }, () => {});
});

test("an abort while a reply is on its way leaves nothing held", async () => {
  for (const wait of [0, 1_000]) {
    const controller = new AbortController();
    const asking = other.acquire("asked", { wait, signal: controller.signal });
    controller.abort();
    await assert.rejects(asking, { name: "AbortError" });
    await until(async () => (await store.status("asked")).state === "free");
  }
});

test("a lease that is broken aborts its signal, and withLease throws", async () => {
  await assert.rejects(
    store.withLease("broken", { ttl: 1_000 }, async (lease) => {
      const breaking = (token) => other.break("broken", { reason: "try it", token });
      await assert.rejects(breaking(2n ** 62n), { code: "not_held" });
      assert.equal((await breaking(lease.token)).holders[0].owner, "a");
      await until(() => lease.signal.aborted);
      assert.ok(!lease.valid && lease.signal.reason instanceof LeaseLostError);
    }),
    LeaseLostError,
  );
});

test("a lease is renewed, and outlives the server for its ttl", async () => {
  const [second, address] = await serve("127.0.0.1:0");
  const apart = await Store.open({ url: address, ...tokens, owner: "a", timeout: 300 });
  const lease = await apart.acquire("kept", { ttl: 1_000 });
  const events = apart.watch({ prefix: "kept" });
  assert.equal((await events.next()).value.kind, "opened");
  await sleep(1_200);
  assert.ok(lease.valid);
  await end(second);
  assert.ok(lease.valid);
  await assert.rejects(apart.acquire("other"), UnreachableError);
  await until(() => lease.signal.aborted);
  assert.ok(!lease.valid);
  const [third] = await serve(new URL(address).host); // the watch follows it there
  await store.withLease("kept", { wait: 5_000 }, () => {});
  for await (const { kind } of events) if (kind === "released") break;
  await apart.close();
  await end(third);
});

test("a lease that is handed on has a new id, by which it is attached", async () => {
  const lease = await store.acquire("handed");
  const id = await lease.transfer("b");
  assert.ok(!lease.valid);
  const attached = await other.attach("handed", id, 5_000);
  assert.ok(attached.valid && attached.token > lease.token && attached.id === id);
  await attached.release();
  await assert.rejects(other.attach("handed", id), LeaseLostError);
});

test("several keys are acquired together, or none; a path excludes what is below it", async () => {
  const leases = await store.acquireMany(["many/b", "many/a"], { path: true });
  assert.deepEqual(leases.map(({ key }) => key), ["many/b", "many/a"]);
  for (const key of ["many", "many/a/c"])
    await assert.rejects(other.acquire(key, { path: true }), { reason: "path" });
  await assert.rejects(other.acquireMany(["many/c", "many/b"]), BusyError);
  const keys = (await store.list({ keys: ["many/c", "many/b"] })).map(({ key }) => key);
  assert.deepEqual(keys, ["many/b"]);
  await leases[Symbol.asyncDispose]();
  assert.equal(await store.withLeases(["many/c", "many/b"], {}, ({ length }) => length), 2);
  const controller = new AbortController();
  const aborted = store.acquireMany(["many/c"], { signal: controller.signal });
  controller.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  assert.equal((await store.status("many/c")).state, "free");
});

test("an owner takes over its own lease", async () => {
  const lease = await store.acquire("resumed", { owner: "ops", ttl: 1_000 });
  const resumed = await store.acquire("resumed", { owner: "ops", resume: true });
  assert.ok(resumed.token > lease.token);
  await until(() => lease.signal.aborted);
  await resumed.release();
});

test("events come in order, until the iterator is left", async () => {
  const seen = [];
  for await (const event of store.watch({ keys: ["seen"] })) {
    if (event.kind === "opened")
      store.withLease("unseen", {}, () => other.withLease("seen", {}, () => {}));
    if (event.kind === "granted") assert.equal(typeof event.token, "bigint");
    seen.push(event.kind);
    if (event.kind === "released") break;
  }
  assert.deepEqual(seen, ["opened", "granted", "released"]);
});

test("a list has the keys with a prefix", async () => {
  const leases = await Promise.all(["x:1", "x:2", "y:1"].map((key) => store.acquire(key)));
  const keys = (await store.list({ prefix: "x:" })).map(({ key }) => key);
  assert.deepEqual(keys, ["x:1", "x:2"]);
  assert.equal((await store.list({ prefix: "x:", limit: 1 })).length, 1);
  assert.deepEqual(await store.list({ prefix: "x:", expired: true, all: false }), []);
  await Promise.all(leases.map((lease) => lease.release()));
});

test("a close ends waits and watches, and releases leases", async () => {
  const closing = await Store.open({ url, ...tokens, owner: "c" });
  await closing.acquire("closed");
  const waiting = closing.acquire("closed", { wait: Infinity });
  const events = closing.watch();
  await until(async () => (await waiters(store, "closed")) === 1);
  const refused = assert.rejects(waiting, { code: "closed" });
  await Promise.all([closing.close(), closing.close()]);
  await refused;
  while (!(await events.next()).done);
  await store.withLease("closed", { wait: 10_000 }, () => {});
  await assert.rejects(closing.acquire("closed"), /closed/);
});

test("what is wrong is refused, with the class that says why", async () => {
  await assert.rejects(store.acquire("a\ud800"), TypeError);
  await assert.rejects(store.acquire("a", { waitMs: 5 }), /no option waitMs/);
  await assert.rejects(store.acquire("a", { ttl: 5 }), { code: "invalid" });
  await assert.rejects(Store.open({ url }), /owner must be a string/);
  await assert.rejects(Store.open({ url, owner: "a" }), DeniedError);
  await assert.rejects(Store.open({ url, owner: "a", token: "an-unknown-token" }), DeniedError);
  const nowhere = { url: "http://127.0.0.1:1", owner: "a", timeout: 300 };
  await assert.rejects(Store.open(nowhere), UnreachableError);
});

test("the modules for browsers have the same exports, and work", async () => {
  execFileSync(process.execPath, [fileURLToPath(new URL("../esm.mjs", import.meta.url)), folder]);
  globalThis.crypto ??= webcrypto; // browsers have it, and Node from 20 on
  const modules = await import(join(folder, "http.mjs"));
  assert.deepEqual(Object.keys(modules), Object.keys(await import("../lib/http.js")).filter(
    (name) => !["default", "module.exports"].includes(name)));
  assert.doesNotMatch(readFileSync(join(folder, "http_connection.mjs"), "utf8"), /require/);
  const third = await modules.Store.open({ url, ...tokens, owner: "c" });
  await third.withLease("modules", {}, ({ valid }) => assert.ok(valid));
  await third.close();
});

test("the README's example works", async () => {
  const printed = await runExamples(true, {
    '"leasehold/http"': JSON.stringify(new URL("../lib/http.js", import.meta.url)),
    '"http://127.0.0.1:8420"': JSON.stringify(url),
    "process.env.TOKEN": JSON.stringify(tokens.token),
  });
  assert.match(printed, /^\d+n 0\n$/);
});
