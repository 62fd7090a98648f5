#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// As worker.py, which describes the jobs and the arguments.
import { existsSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

import {
  CommandFailed, LeaseholdError, LockTimeoutError, run, shutdownRepoLock, stopRepoLock,
  withRepoLock,
} from "./repo-lock.mjs";

const WORKERS = 4;
const MOST_ATTEMPTS = 3;
const [from, to, wait = "30"] = process.argv.slice(2);
const queue = [];
const left = new Set();
let ok = true;
let stopping = false;

/** Into a folder beside it first: the target is a whole repository, or does not exist. */
async function clone(lease, signal, source, target) {
  const folder = path.dirname(target);
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) // left by a worker that was killed
    if (name.startsWith(`${path.basename(target)}.new-`))
      await run(lease, signal, "rm", "-rf", "--", path.join(folder, name));
  const fresh = `${target}.new-${lease.token}`;
  await run(lease, signal, "git", "clone", "--quiet", "--", source, fresh);
  if (existsSync(target)) throw new CommandFailed(`${target} exists already`);
  await rename(fresh, target);
}

const work = {
  clone,
  pull: (lease, signal, source, target) =>
    run(lease, signal, "git", "-C", target, "pull", "--quiet", "--ff-only"),
  delete: (lease, signal, source, target) => run(lease, signal, "rm", "-rf", "--", target),
};

function settle(name, good, how) {
  left.delete(name);
  ok &&= good;
  console.log(`${name}: ${how}`);
}

async function perform(job) {
  const { name, what, repo } = job;
  const target = path.join(to, repo);
  try {
    await withRepoLock(
      repo, name, (lease, signal) => work[what](lease, signal, `${from}/${repo}`, target),
      Number(wait) * 1000,
    );
    settle(name, true, "done");
  } catch (error) {
    if (stopping) return;
    const why = error.holder ? `${repo} is held by ${error.holder.owner}` : error.message;
    if (error instanceof LockTimeoutError && --job.attempts > 0) {
      queue.push(job);
      console.log(`${name}: retried, ${why}`);
    } else if (error instanceof LeaseholdError || error instanceof CommandFailed) {
      settle(name, false, `failed, ${why}`);
    } else {
      throw error;
    }
  }
}

async function takeTurns() {
  while (queue.length > 0 && !stopping) await perform(queue.shift());
}

for (const signal of ["SIGTERM", "SIGINT"])
  process.on(signal, () => {
    stopping = true;
    stopRepoLock();
  });

for await (const line of createInterface({ input: process.stdin })) {
  const [name, what, repo] = line.split(/\s+/);
  if (!work[what]) throw new Error(`there is no ${what}`);
  left.add(name);
  queue.push({ name, what, repo, attempts: MOST_ATTEMPTS });
}
await Promise.all(Array.from({ length: WORKERS }, takeTurns));
await shutdownRepoLock();
for (const name of [...left].sort()) console.log(`${name}: not done`);
process.exitCode = left.size > 0 || !ok ? 1 : 0;
