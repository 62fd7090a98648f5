// SPDX-License-Identifier: Apache-2.0
// A mutex for each repository, for all workers on all hosts.
//
//     await withRepoLock("owner/name", "job 17", (lease, signal) => …)   // as the only one
//     await shutdownRepoLock();                                          // at the end
//
// LockTimeoutError: the repository stayed busy; let the queue retry the job. LeaseLostError: the
// lease ended while the function ran. What it throws passes through; the lock is released then too.
// `signal` is aborted by a loss and by the shutdown. The connection is opened at the first use, by
// LEASEHOLD_URI and LEASEHOLD_DB; LEASEHOLD_MODE=off needs no server, for tests.
import { spawn } from "node:child_process";
import { once } from "node:events";

import { LeaseholdError, LockTimeoutError, Store, keyJoin } from "leasehold";

export { LeaseholdError, LockTimeoutError };
const GRACE_MS = 5_000; // for a process to end by itself, while the lease is held
const ttl = Number(process.env.TTL_MS ?? 30_000);
const shutdown = new AbortController();
let opening; // only one store, however many callers begin at once

function open() {
  const { LEASEHOLD_URI: uri, LEASEHOLD_DB: db, LEASEHOLD_OWNER: owner } = process.env;
  opening ??= Store.open({ uri, db, owner, atOpen: "migrate", rollout: "environment" });
  opening.catch(() => (opening = undefined)); // the next caller tries again
  return opening;
}

export async function withRepoLock(repo, job, fn, wait = 30_000) {
  const store = await open();
  const options = { wait, ttl, purpose: job, signal: shutdown.signal };
  return store.withLease(keyJoin("repo", repo), options, async (lease) => {
    const either = new AbortController();
    const abort = ({ target }) => either.abort(target.reason);
    for (const signal of [lease.signal, shutdown.signal]) signal.addEventListener("abort", abort);
    try {
      return await fn(lease, either.signal);
    } finally {
      shutdown.signal.removeEventListener("abort", abort);
    }
  });
}

/** Ends the waits. The store is closed once the functions that hold leases have ended. */
export function stopRepoLock() {
  shutdown.abort();
}

export async function shutdownRepoLock() {
  stopRepoLock();
  await (await opening)?.close();
}

export class CommandFailed extends Error {}

function kill(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // otherwise it has just ended
  }
}

/** Runs a command under the lease. It ends, with all that it started, when the signal is aborted:
 * at once if the lease was lost, since another holder may come. */
export async function run(lease, signal, command, ...commandArguments) {
  signal.throwIfAborted();
  const stdio = ["ignore", "inherit", "inherit"];
  const child = spawn(command, commandArguments, { stdio, detached: true });
  const ended = once(child, "close"); // rejects if the command cannot be started
  let timer;
  const end = () => {
    kill(child, "SIGTERM");
    timer = setTimeout(kill, Math.min(GRACE_MS, lease.remaining), child, "SIGKILL");
  };
  signal.addEventListener("abort", end);
  const [status] = await ended.catch((error) => [error.message]);
  signal.removeEventListener("abort", end);
  clearTimeout(timer);
  signal.throwIfAborted();
  if (status !== 0) throw new CommandFailed(`${command}: exit status ${status}`);
}
