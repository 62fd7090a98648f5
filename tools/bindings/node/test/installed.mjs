// SPDX-License-Identifier: Apache-2.0
// Uses the installed package, without the checkout: `scripts/npm --try` runs it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { LockTimeoutError, Store, UnreachableError } from "leasehold";
import { Store as HttpStore } from "leasehold/http";

const require = createRequire(import.meta.url);
assert.equal(require("leasehold").Store, Store);
assert.equal(require("leasehold/http").Store, HttpStore);
const nowhere = { url: "http://127.0.0.1:1", owner: "try", timeout: 300 };
await assert.rejects(HttpStore.open(nowhere), UnreachableError);
const off = await Store.open({ rollout: "off" });
await off.withLease("k", {}, ({ valid }) => assert.ok(valid));
await off.close();

for (const uri of process.argv.slice(2)) {
  const store = await Store.open({ uri, db: "npm_try", owner: process.version, atOpen: "migrate" });
  const token = await store.withLease("k", { wait: 5_000 }, async ({ token }) => {
    await assert.rejects(store.acquire("k", { wait: 50 }), LockTimeoutError);
    return token;
  });
  await store.close();
  console.log(`node ${process.version}: token ${token}`);
}
