// SPDX-License-Identifier: Apache-2.0
// A driver of its own, as native.py is, by the npm package `mongodb`: by leasehold-schema(5) and
// commands.json alone.
//
//     node player.js URI DB      (NODE_PATH: where the package is)
//
// Each line of its input is a request in extended JSON, each line of its output the reply, in the
// same order:
//     {"run": {"operation", "short", "with": {…}}}           {"outcome"}
//     {"contend": {"keys": […], "ms", "workers", "salt"}}    {"turns": [{"key", "n", "token"}, …]}
"use strict";
const { randomBytes } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const {
  MongoClient,
  BSON: { EJSON, Long },
} = require("mongodb");

const COMMANDS = EJSON.parse(fs.readFileSync(path.join(__dirname, "commands.json"), "utf8"), {
  relaxed: false,
});
const DEFAULTS = {
  grace_ms: 500,
  token: 0,
  max_shared: 128,
  max_waiters: 1000,
  claim_ms: 5000,
  beat: 0,
  pid: process.pid,
  host: "node",
  collection: "workspace_locks",
  owner: "node",
  purpose: null,
  proc: null,
  ttl_ms: 0,
  note: "",
};
const COMMAND_OF = { cancel: "release", claim: "renew" };
const SHORT = { acquire: "acquire_short", renew: "renew_short", release: "release_short" };
const WRITE = { writeConcern: { w: "majority", j: true }, maxTimeMS: 5000 };

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function fill(value, variables) {
  if (typeof value === "string" && value.startsWith("<")) return variables[value.slice(1, -1)];
  if (Array.isArray(value)) return value.map((part) => fill(part, variables));
  if (value === null || typeof value !== "object" || value._bsontype || value instanceof Date)
    return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      name.replace("<lease>", variables.lease),
      fill(part, variables),
    ]),
  );
}

// What the document says of a lease: the top level, or its entry among the readers.
function mine(document, lease) {
  if (String(document.id ?? "").startsWith("shared:")) return document.shared?.[lease];
  return document.id === lease && document.released?.id !== lease ? document : undefined;
}

const same = (a, b) => a instanceof Date && b instanceof Date && a.getTime() === b.getTime();

// The outcome, from the document that the command answered with.
function judge(operation, found, { lease }) {
  const own = mine(found, lease),
    released = found.released ?? {},
    place = Number(found.place ?? -1);
  const ended = (how) => released.id === lease && released.how === how;
  switch (operation) {
    case "break":
      return ended("break") ? "broken" : "lost";
    case "release":
      return ended("release") ? "released" : "lost";
    case "cancel":
      return own === undefined && place < 0 ? "left" : "lost";
    case "transfer":
      return released.id === lease && same(released.at, found.now) ? "transferred" : "lost";
  }
  const renewal = operation === "renew" || operation === "claim";
  if (own && same(own.renewed_at, found.now)) return renewal ? "renewed" : "granted";
  if (operation.startsWith("wait") && place >= 0) return "queued";
  return renewal ? "lost" : "busy";
}

class Player {
  constructor(database) {
    this.database = database;
  }

  send(name, variables) {
    return this.database.command({ ...fill(COMMANDS[name], variables), ...WRITE });
  }

  async look(variables) {
    const { seen, ...rest } = variables;
    const found =
      seen ??
      (await this.database
        .collection(variables.collection)
        .findOne({ workspace_id: variables.key }));
    return (
      found && {
        ...rest,
        seen_doc_id: found._id,
        seen_id: found.id ?? null,
        seen_token: found.token ?? null,
      }
    );
  }

  // A duplicate key: two first inserts met; ask again.
  async ask(form, variables) {
    for (;;) {
      try {
        return await this.send(form, variables);
      } catch (why) {
        if (why.code !== 11000) throw why;
        await sleep(2);
      }
    }
  }

  async run(operation, short, given) {
    let variables = { ...DEFAULTS, ...given };
    for (const [name, value] of Object.entries(variables))
      if (typeof value === "number") variables[name] = Long.fromNumber(value);
    if (operation === "beat")
      return { outcome: (await this.send("beat", variables)).n === 1 ? "alive" : "gone" };
    if (operation === "break" && !(variables = await this.look(variables)))
      return { outcome: "lost" };
    const name = COMMAND_OF[operation] ?? operation;
    const knows =
      operation === "acquire" ||
      (!variables.token.isZero() &&
        ((operation === "release" && !variables.note) || !variables.ttl_ms.isZero()));
    let outcome, found;
    for (const form of short && operation in SHORT && knows ? [SHORT[name], name] : [name]) {
      const answer = await this.ask(form, variables);
      if (form !== name && operation !== "acquire") {
        // an update: did it change the document?
        if (Number(answer.nModified) === 1)
          return { outcome: operation === "renew" ? "renewed" : "released" };
        continue;
      }
      found = answer.value ?? {};
      outcome = judge(operation, found, variables);
      if (outcome !== "busy" && outcome !== "lost") break;
    }
    return { outcome, found };
  }

  // One of those who compete: counts under each lease, not atomically.
  async work(index, { keys, ms, salt }, turns) {
    const counters = this.database.collection("counters"),
      end = Date.now() + Number(ms);
    for (let turn = index; Date.now() < end; turn++) {
      const key = keys[turn % keys.length],
        lease = randomBytes(16).toString("hex");
      const { outcome, found } = await this.run("acquire", index % 2 === 1, {
        key,
        lease,
        ttl_ms: 30000,
      });
      if (outcome !== "granted") {
        await sleep(1);
        continue;
      }
      const { n } = await counters.findOne({ _id: salt + key });
      await counters.updateOne({ _id: salt + key }, { $set: { n: Number(n) + 1 } });
      turns.push({ key, n, token: found.token });
      const left = await this.run("release", index % 2 === 1, { key, lease, token: found.token });
      if (left.outcome !== "released") throw new Error(`a release of ${key} ended ${left.outcome}`);
    }
  }

  async contend(how) {
    const turns = [];
    await Promise.all(
      Array.from({ length: Number(how.workers) }, (_, index) => this.work(index, how, turns)),
    );
    return { turns };
  }
}

async function main([uri, name]) {
  const client = new MongoClient(uri, { retryWrites: false, promoteLongs: false });
  await client.connect();
  const player = new Player(client.db(name));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { run, contend } = EJSON.parse(line, { relaxed: false });
    const answer = run
      ? { outcome: (await player.run(run.operation, run.short, run.with)).outcome }
      : await player.contend(contend);
    process.stdout.write(EJSON.stringify(answer, { relaxed: false }) + "\n");
  }
  await client.close();
}

main(process.argv.slice(2)).catch((why) => {
  console.error(why);
  process.exitCode = 1;
});
