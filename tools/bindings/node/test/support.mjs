// SPDX-License-Identifier: Apache-2.0
// What the tests share.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export async function until(condition) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, "it did not happen in time");
    await sleep(10);
  }
}

/** How many wait for the key. */
export const waiters = async (store, key) => (await store.status(key)).waiters.length;
