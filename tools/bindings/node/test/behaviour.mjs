// SPDX-License-Identifier: Apache-2.0
// What all kinds of stores do alike: tests for a pair of stores of the owners "a" and "b".
import assert from "node:assert/strict";
import { test } from "node:test";

import { until, waiters } from "./support.mjs";

/** `errors` are the exports of the kind; `pair` gives the two stores once they are open. */
export function testBehaviour(errors, pair) {
  const { BusyError, LeaseLostError, LockTimeoutError } = errors;
  let store, other;
  const check = (name, run) =>
    test(name, async () => {
      [store, other] = pair();
      await run();
    });

  check("a lease is acquired, renewed and released; others are refused meanwhile", async () => {
    const key = "a/key with: ☃";
    const lease = await store.acquire(key, { ttl: 5_000, purpose: "tést" });
    assert.ok(lease.valid && lease.remaining <= 5_000);
    assert.deepEqual([typeof lease.token, lease.owner, lease.key], ["bigint", "a", key]);
    const refused = await other.acquire(key).catch((error) => error);
    assert.ok(refused instanceof BusyError && !(refused instanceof LockTimeoutError));
    assert.deepEqual([refused.name, refused.code, refused.reason], ["BusyError", "busy", "held"]);
    const { owner, purpose, token, shared, kept } = refused.holder;
    assert.deepEqual([owner, purpose, token], ["a", "tést", lease.token]);
    assert.ok(!shared && !kept);
    await lease.renew(60_000);
    assert.ok(lease.remaining > 50_000);
    await lease.release();
    assert.ok(!lease.valid && !lease.signal.aborted);
    const status = await store.status(key);
    assert.deepEqual([status.state, status.released.how], ["free", "release"]);
  });

  check("a note is left for the next holder, and a key is kept after its release", async () => {
    const lease = await store.acquire("noted");
    assert.equal(await lease.note(), undefined);
    await lease.release({ note: 'v3 "token":7' });
    const next = await other.acquire("noted");
    const note = await next.note();
    assert.deepEqual([note.text, note.token], ['v3 "token":7', lease.token]);
    assert.ok(Math.abs(note.at - Date.now()) < 60_000);
    await next.release({ keep: 20_000 });
    const { holder } = await store.acquire("noted").catch((error) => error);
    assert.ok(holder.kept && holder.remaining > 10_000);
  });

  check("a lease that is handed on has a new id, by which it is attached", async () => {
    const lease = await store.acquire("handed");
    const id = await lease.transfer("b");
    assert.ok(!lease.valid);
    assert.equal((await store.status("handed")).holders[0].owner, "b");
    const attached = await other.attach("handed", id, 5_000);
    assert.ok(attached.valid && attached.token > lease.token && attached.id === id);
    await attached.release();
    await assert.rejects(other.attach("handed", id), LeaseLostError);
  });

  check("a wait that is over is a LockTimeoutError", async () => {
    const lease = await store.acquire("over");
    const waiting = other.acquire("over", { wait: 50 });
    const error = await waiting.catch((error) => error);
    assert.ok(error instanceof LockTimeoutError && error.reason === "timeout");
    assert.equal(error.holder.owner, "a");
    await lease.release();
  });

  check("an abort while a reply is on its way leaves nothing held", async () => {
    for (const wait of [0, 1_000]) {
      const controller = new AbortController();
      const asking = other.acquire("asked", { wait, signal: controller.signal });
      controller.abort();
      await assert.rejects(asking, { name: "AbortError" });
      await until(async () => (await store.status("asked")).state === "free");
    }
    const aborted = other.acquire("asked", { signal: AbortSignal.abort() });
    await assert.rejects(aborted, { name: "AbortError" });
  });

  check("withLease releases at the end, also when the function throws", async () => {
    const first = await store.withLease("with", { ttl: 5_000 }, ({ token }) => token);
    assert.ok((await store.withLease("with", {}, async ({ token }) => token)) > first);
    const failing = store.withLease("with", {}, async () => {
      throw new Error("mine");
    });
    await assert.rejects(failing, /mine/);
    assert.equal((await store.status("with")).state, "free");
  });

  check("a lease that is broken aborts its signal, and withLease throws", async () => {
    await assert.rejects(
      store.withLease("broken", { ttl: 3_000 }, async (lease) => {
        const breaking = (token) => other.break("broken", { reason: "try it", token });
        await assert.rejects(breaking(Number(lease.token)), TypeError);
        await assert.rejects(breaking(2n ** 62n), { code: "lost", reason: "changed_hands" });
        assert.equal((await breaking(lease.token)).holders[0].owner, "a");
        await until(() => lease.signal.aborted);
        assert.ok(!lease.valid && lease.signal.reason instanceof LeaseLostError);
      }),
      LeaseLostError,
    );
  });

  check("several keys are acquired together, or none", async () => {
    const keys = ["many:b", "many:a", "many:c"];
    const keysOf = async (options) => (await store.list(options)).map(({ key }) => key);
    const leases = await store.acquireMany(keys, { ttl: 5_000 });
    assert.deepEqual(leases.map(({ key }) => key), keys);
    assert.deepEqual(await keysOf({ prefix: "many:" }), ["many:a", "many:b", "many:c"]);
    assert.deepEqual(await keysOf({ prefix: "many:", limit: 2 }), ["many:a", "many:b"]);
    assert.deepEqual(await keysOf({ prefix: "many:", expired: true, all: false }), []);
    assert.deepEqual(await keysOf({ keys: ["many:c", "many:x"] }), ["many:c"]);
    assert.deepEqual(await keysOf({ keys: [] }), []);
    const refused = await other.acquireMany(["many:d", ...keys]).catch((error) => error);
    assert.ok(refused instanceof BusyError && refused.holder.owner === "a");
    assert.deepEqual(await keysOf({ prefix: "many:d" }), []);
    const controller = new AbortController();
    const aborted = other.acquireMany(["many:d"], { signal: controller.signal });
    controller.abort();
    await assert.rejects(aborted, { name: "AbortError" });
    assert.equal((await store.status("many:d")).state, "free");
    await leases[Symbol.asyncDispose]();
    assert.equal(await other.withLeases(["many:d", ...keys], {}, ({ length }) => length), 4);
  });

  check("a path excludes what is above and below it", async () => {
    await store.withLease("org/project", { path: true }, async () => {
      for (const key of ["org", "org/project/file"])
        await assert.rejects(other.acquire(key, { path: true }), { reason: "path" });
    });
  });

  check("events come in order, until the iterator is left", async () => {
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

  check("what is wrong is refused, before anything is sent", async () => {
    await assert.rejects(store.acquire("a\0b"), TypeError);
    await assert.rejects(store.acquire("a\ud800"), TypeError);
    await assert.rejects(store.acquire("a", { waitMs: 5 }), /no option waitMs/);
    await assert.rejects(store.acquire("a", { ttl: 5 }), { code: "invalid" });
    assert.equal(await waiters(store, "a"), 0);
  });
}
