// SPDX-License-Identifier: Apache-2.0
// What the addon for Node adds to the library, and whether it grows: microseconds for an acquire
// and a release on a store that is off, where C sends no command; memory and handles over many of
// them; many waits on one loop; many leases that the library renews while the loop stands still.
//
//     LEASEHOLD_BUILD=build node --expose-gc tests/bench/node.mjs [URI [WAITS [LEASES [ACQUIRES]]]]
//
// Without a URI only the first is measured. Prints one line for each figure; asserts nothing. Needs
// a build with tests, and ulimit -n above WAITS.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const root = new URL("../..", import.meta.url).pathname;
const build = resolve(process.env.LEASEHOLD_BUILD ?? "build");
process.env.LEASEHOLD_NODE_ADDON ??= join(build, "tools/bindings/node/leasehold.node");
const { Store } = await import(join(root, "tools/bindings/node/lib/index.js"));
const [uri, waits = 1_000, leases = 10_000, acquires = 1_000_000] = process.argv.slice(2);
const times = 20_000, rounds = 5;

const ms = (begin) => performance.now() - begin;
const seconds = (begin) => (ms(begin) / 1_000).toFixed(1);
const us = (number) => number.toFixed(1);

async function least(measure) {
  const figures = [];
  for (let i = 0; i < rounds; i++) figures.push(await measure());
  return Math.min(...figures);
}

async function inNode(store, once) {
  const begin = performance.now();
  for (let i = 0; i < times; i++) await once(store);
  return (ms(begin) * 1_000) / times;
}

async function each(store) {
  const lease = await store.acquire("k");
  await lease.release();
}

async function atOnce(store) {
  const begin = performance.now();
  const one = async () => {
    for (let i = 0; i < times / 20; i++) await each(store);
  };
  await Promise.all(Array.from({ length: 20 }, one));
  return (ms(begin) * 1_000) / times;
}

async function overhead() {
  const store = await Store.open({ rollout: "off" });
  const c = await least(() => Number(execFileSync(join(build, "tests/bench_module"))));
  const node = await least(() => inNode(store, each));
  const many = await least(() => atOnce(store));
  await store.close();
  console.log(`acquire and release, no server: C ${us(c)} us, Node ${us(node)} us, the addon adds`
    + ` ${us(node - c)} us; 20 at once ${us(many)} us`);
}

const count = (folder) => readdirSync(folder).length;
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

function footprint() {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return `rss ${mib(rss)}, heap ${mib(heapUsed)}, external ${mib(external)} MiB,`
    + ` ${count("/proc/self/fd")} descriptors, ${count("/proc/self/task")} threads,`
    + ` ${process.getActiveResourcesInfo().length} handles`;
}

/** Also acquires that are busy (but on a store that is off), wait, and can be aborted. */
async function growth(store, name, times) {
  const controller = new AbortController();
  const begin = performance.now();
  const release = (lease) => lease[Symbol.asyncDispose]();
  for (let i = 0; i <= times; i++) {
    const lease = await store.acquire("k", i % 3 ? {} : { signal: controller.signal });
    if (i % 100 === 1) await store.acquire("k").then(release, () => {});
    if (i % 100 === 2) await store.acquire("k", { wait: 1 }).then(release, () => {});
    if (i % 100 === 3) await store.acquireMany(["k", "l"]).then(release, () => {});
    await lease.release();
    if (i % Math.floor(times / 4) === 0)
      console.log(`${name}, after ${i} acquires, ${seconds(begin)} s: ${footprint()}`);
    if (i % 1_000 === 0) await sleep(1); // finalizers run between the turns of the loop
  }
}

async function crowd(store) {
  const held = await store.acquire("crowd");
  const begin = performance.now();
  const options = { wait: Infinity, ttl: 600_000 };
  const wait = async () => (await store.acquire("crowd", options)).release();
  const waiting = Array.from({ length: waits }, wait);
  while ((await store.status("crowd")).waiters.length < waits) await sleep(200);
  const queued = performance.now();
  console.log(`${waits} waits on one loop, queued in ${seconds(begin)} s: ${footprint()}`);
  await held.release();
  await Promise.all(waiting);
  console.log(`they were granted one after the other in ${seconds(queued)} s`);
}

/** The loop stands still for the second half: no timer of JavaScript could renew them. */
async function keeping(store) {
  const begin = performance.now();
  const held = [];
  const acquire = async (first) => {
    for (let i = first; i < leases; i += 8)
      held.push(await store.acquire(`held:${i}`, { ttl: 15_000 }));
  };
  await Promise.all(Array.from({ length: 8 }, (_, first) => acquire(first)));
  const acquired = seconds(begin);
  const before = store.metrics().renewed;
  await sleep(30_000);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000);
  const valid = held.filter((lease) => lease.valid).length;
  const { renewed, lost } = store.metrics();
  console.log(`${leases} leases with a ttl of 15 s, acquired in ${acquired} s: after 60 s`
    + ` ${valid} are valid, ${renewed - before} renewals, ${lost} lost`);
  console.log(`… ${footprint()}`);
  const releasing = performance.now();
  await Promise.all(held.map((lease) => lease.release()));
  console.log(`… released in ${seconds(releasing)} s`);
}

await overhead();
if (uri) {
  const off = await Store.open({ rollout: "off" });
  await growth(off, "off", acquires);
  await off.close();
  const store = await Store.open({ uri, db: "bench_node", atOpen: "migrate" });
  await growth(store, "on", acquires / 100);
  await crowd(store);
  await keeping(store);
  await store.close();
}
