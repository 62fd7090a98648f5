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
import { fileURLToPath } from "node:url";

import * as leasehold from "../lib/http.js";
import { testBehaviour } from "./behaviour.mjs";
import { runExamples, until, waiters } from "./support.mjs";

const { DeniedError, Store, UnreachableError } = leasehold;
const program = process.env.LEASEHOLD_PROGRAM;
const uri = process.env.LEASEHOLD_TEST_URI;
const env = { ...process.env, LEASEHOLD_URI: uri, LEASEHOLD_DB: `node_http_${process.pid}` };
const folder = mkdtempSync(join(tmpdir(), "leasehold-node-"));
const tokens = { token: "an-admins-own-token" };
const servers = [];
let url, store, other;

async function serve(listen) {
  const files = ["--token-file", join(folder, "users"), "--admin-token-file", join(folder, "ops")];
  const started = spawn(program, ["serve", "--listen", listen, "--quiet", ...files], {
    env, stdio: ["ignore", "pipe", "inherit"],
  });
  servers.push(started);
  const [line] = await once(createInterface(started.stdout), "line");
  return [started, line.split(" ").at(-1)];
}

async function end(started) {
  if (started.exitCode !== null) return;
  started.kill("SIGTERM");
  await once(started, "exit");
}

before(async () => {
  writeFileSync(join(folder, "users"), "app:the-token-of-a-user\n", { mode: 0o600 });
  writeFileSync(join(folder, "ops"), `ops:${tokens.token}\n`, { mode: 0o600 });
  execFileSync(program, ["migrate", "--yes", "--quiet"], { env });
  [, url] = await serve("127.0.0.1:0");
  store = await Store.open({ url, ...tokens, owner: "a" });
  other = await Store.open({ url, ...tokens, owner: "b" });
});

after(async () => {
  await Promise.all([store.close(), other.close()]);
  await Promise.all(servers.map(end));
  rmSync(folder, { recursive: true });
});

testBehaviour(leasehold, () => [store, other]);

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

/** Calls `run` while all requests are made by `replacement`, which gets the real fetch too. */
async function withFetch(replacement, run) {
  const real = globalThis.fetch;
  globalThis.fetch = (url, options) => replacement(real, url, options);
  try {
    await run();
  } finally {
    globalThis.fetch = real;
  }
}

test("a waiter is granted the key when it is released, also after its request broke", async () => {
  const lease = await store.acquire("wait");
  const asked = [];
  const breakable = (real, url, options) => {
    const broken = new AbortController();
    if (options.method === "POST") asked.push(broken);
    return real(url, { ...options, signal: broken.signal });
  };
  let waiting;
  await withFetch(breakable, async () => {
    waiting = other.acquire("wait", { wait: Infinity });
    await until(async () => (await waiters(store, "wait")) === 1);
    asked[0].abort(new TypeError("the connection broke"));
    await until(() => asked.length === 2);
  });
  const third = store.acquire("wait", { wait: Infinity, owner: "c" });
  await until(async () => (await waiters(store, "wait")) === 2);
  await lease.release();
  const granted = await waiting;
  assert.equal((await store.status("wait")).holders[0].owner, "b");
  await granted.release();
  await (await third).release();
});

/** The server has sent its reply, and the client closes the connection before it reads it. */
async function unread(real, url, options) {
  if (options.method !== "POST") return real(url, options);
  await real(url, { ...options, signal: undefined });
  return new Promise((resolve, reject) => {
    options.signal.addEventListener("abort", () => reject(new Error("aborted")));
    if (options.signal.aborted) reject(new Error("aborted"));
  });
}

let isFree; // a key whose grant was not read: much later
test("an abort when the grant was sent, and not read, is noticed by the client", async () => {
  const lease = await store.acquire("unread");
  const controller = new AbortController();
  await withFetch(unread, async () => {
    const waiting = other.acquire("unread", { wait: 60_000, signal: controller.signal });
    await until(async () => (await waiters(store, "unread")) === 1);
    await lease.release({ note: "v1" });
    await until(async () => (await store.status("unread")).holders[0]?.owner === "b");
    controller.abort(new Error("no longer wanted"));
    await assert.rejects(waiting, /no longer wanted/);
  });
  assert.equal((await store.status("unread")).state, "held");
  isFree = until(async () => (await store.status("unread")).state === "free", 30_000);
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

test("a lease is renewed, and outlives the server for its ttl", async () => {
  const [second, address] = await serve("127.0.0.1:0");
  const apart = await Store.open({ url: address, ...tokens, owner: "a" });
  const lease = await apart.acquire("kept", { ttl: 3_000 });
  const events = apart.watch({ prefix: "kept" });
  assert.equal((await events.next()).value.kind, "opened");
  assert.equal((await events.next()).value.kind, "renewed");
  await end(second);
  assert.ok(lease.valid);
  await until(() => lease.signal.aborted);
  assert.ok(!lease.valid);
  const [third] = await serve(new URL(address).host); // the watch follows it there
  while ((await events.next()).value.kind !== "gap");
  // A gap may come before the server watches, and what happens until then is missing.
  let released = false;
  const watching = (async () => {
    for await (const { kind } of events) if (kind === "released") break;
    released = true;
  })();
  await until(async () => {
    await store.withLease("kept", { wait: 10_000 }, () => {});
    return released;
  });
  await watching;
  await apart.close();
  await end(third);
});

test("an owner takes over its own lease", async () => {
  const lease = await store.acquire("resumed", { owner: "ops", ttl: 1_000 });
  const resumed = await store.acquire("resumed", { owner: "ops", resume: true });
  assert.ok(resumed.token > lease.token);
  await until(() => lease.signal.aborted);
  await resumed.release();
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

test("what cannot be opened is refused, with the class that says why", async () => {
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
  assert.deepEqual(Object.keys(modules), Object.keys(leasehold).filter(
    (name) => !["default", "module.exports"].includes(name)));
  assert.doesNotMatch(readFileSync(join(folder, "http_connection.mjs"), "utf8"), /require/);
  const third = await modules.Store.open({ url, ...tokens, owner: "c" });
  await third.withLease("modules", {}, ({ valid }) => assert.ok(valid));
  await third.close();
});

test("a grant that was not read is given back, with its note", async () => {
  await isFree;
  assert.equal((await store.status("unread")).note.text, "v1");
});

test("the README's example works", async () => {
  const printed = await runExamples(true, {
    '"leasehold/http"': JSON.stringify(new URL("../lib/http.js", import.meta.url)),
    '"http://127.0.0.1:8420"': JSON.stringify(url),
    "process.env.TOKEN": JSON.stringify(tokens.token),
  });
  assert.match(printed, /^\d+n 0\n$/);
});
