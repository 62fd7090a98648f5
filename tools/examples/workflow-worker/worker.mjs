#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// `worker.py work` in Node: worker.mjs [ENVIRONMENT] takes jobs from the same queue, beside workers
// in Python. worker.py describes the jobs.
import { spawn } from "node:child_process";
import { once } from "node:events";

import { BusyError, LeaseLostError, Store } from "leasehold";
import { MongoClient } from "mongodb";

const MOST_ATTEMPTS = 3;
const PAUSE_MS = 10_000; // after a failed attempt
const HIDDEN_MS = 60_000; // then others may take the job of a worker that died
const { LEASEHOLD_URI: uri, LEASEHOLD_DB: db, LEASEHOLD_OWNER: owner } = process.env;
const ttl = Number(process.env.TTL_MS ?? 30_000);
const environment = process.argv[2] ?? null;
const client = await MongoClient.connect(uri);
const jobs = client.db(db).collection("jobs");
const store = await Store.open({ uri, db, owner, atOpen: "migrate", rollout: "environment" });

const after = (ms) => new Date(Date.now() + ms);

/** A job that is due, hidden from other workers for a while. */
const take = () =>
  jobs.findOneAndUpdate(
    { state: "queued", due: { $lte: new Date() } },
    { $set: { due: after(HIDDEN_MS) } },
    { sort: { due: 1 } },
  );

/** Selects the job, unless another worker has begun or ended it meanwhile. */
const asKnown = ({ _id, attempts }) => ({ _id, state: "queued", attempts });

/** Ends this turn of the job: it is in this state, for this reason. */
async function settle(job, state, reason, pause = 0, deferred = 0) {
  const changes = { state, due: after(pause), last: reason };
  await jobs.updateOne(asKnown(job), { $set: changes, $inc: { deferred } });
  console.log(`${job._id}: ${reason}`);
}

/** Returns the job to the queue until it is worth asking again. It keeps its attempts. */
function defer(job, { message, holder, retryAfter }) {
  const purpose = holder?.purpose ? ` (${holder.purpose})` : "";
  return settle(job, "queued", `deferred: ${message}${purpose}`, retryAfter, 1);
}

/** Uses up an attempt. False: the job was done meanwhile. */
async function begin(job) {
  const changes = { $inc: { attempts: 1 }, $set: { last: "begun" } };
  const { matchedCount } = await jobs.updateOne(asKnown(job), changes);
  job.attempts += matchedCount;
  return matchedCount === 1;
}

/** A token is above what a number holds exactly from 2038 on, and JSON has no BigInt. */
const tokensOf = (leases) =>
  `{${leases.map(({ key, token }) => `${JSON.stringify(key)}: ${token}`).join(", ")}}`;

async function work(job, leases) {
  const env = { ...process.env, TOKENS: tokensOf(leases) };
  const [command, ...rest] = job.command;
  const child = spawn(command, rest, { env, stdio: ["ignore", "inherit", "inherit"] });
  for (const { signal } of leases) signal.addEventListener("abort", () => child.kill());
  const [status, signal] = await once(child, "close").catch((error) => [error.message]);
  const valid = leases.every((lease) => lease.valid);
  const attempt = job.attempts;
  if (status === 0 && valid) return settle(job, "done", `done in attempt ${attempt}`);
  const state = attempt >= MOST_ATTEMPTS ? "failed" : "queued";
  const why = valid ? `exit status ${status ?? signal}` : "a lease was lost";
  return settle(job, state, `${state} after attempt ${attempt}: ${why}`, PAUSE_MS);
}

async function run(job) {
  if (![null, environment].includes(job.destroys))
    return settle(job, "refused", `refused: it destroys only in ${job.destroys}`);
  try {
    await store.withLeases(job.keys, { purpose: `job ${job._id}`, ttl }, async (leases) => {
      if (await begin(job)) await work(job, leases);
    });
  } catch (error) {
    if (error instanceof BusyError) return defer(job, error);
    if (!(error instanceof LeaseLostError)) throw error; // otherwise the job says so
  }
}

for (let job; (job = await take()); ) await run(job);
await store.close();
await client.close();
