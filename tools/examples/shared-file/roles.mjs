#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// As roles.py, which describes the commands and the exit status.
import { text } from "node:stream/consumers";

import { LeaseLostError, LockTimeoutError, Store } from "leasehold";

import { Conflict, NewerHolder, SharedFile } from "./shared-file.mjs";

const print = (document) => console.log(JSON.stringify(document, null, 2));

const commands = {
  show: async (file) => print((await file.read()).document),
  set: (file, name, role) => file.update((document) => ({ ...document, [name]: role })),
  async edit(file) {
    const opened = await file.read();
    print(opened.document);
    await file.save(JSON.parse(await text(process.stdin)), opened);
  },
  async watch(file) {
    for await (const { snapshot, own, owner } of file.changes())
      console.log(`${snapshot.version} by ${own ? "this window" : owner || "an unknown writer"}`);
  },
};

function statusOf(error) {
  if (error instanceof Conflict) return 1;
  if (error instanceof LockTimeoutError) return 75;
  if (error instanceof LeaseLostError || error instanceof NewerHolder) return 76;
  throw error;
}

const [name, command, ...rest] = process.argv.slice(2);
const { LEASEHOLD_URI: uri, LEASEHOLD_DB: db, LEASEHOLD_OWNER: owner } = process.env;
const store = await Store.open({ uri, db, owner, atOpen: "migrate" });
try {
  await commands[command](new SharedFile(store, name), ...rest);
} catch (error) {
  process.exitCode = statusOf(error);
  console.error(error.message);
} finally {
  await store.close();
}
