// SPDX-License-Identifier: Apache-2.0
// What the tests share.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export async function until(condition, most = 10_000) {
  const end = Date.now() + most;
  while (!(await condition())) {
    assert.ok(Date.now() < end, "it did not happen in time");
    await sleep(10);
  }
}

/** How many wait for the key. */
export const waiters = async (store, key) => (await store.status(key)).waiters.length;

/** Runs the examples of the README as one module: those above "Over HTTP", or those below it. */
export async function runExamples(http, replacements) {
  const text = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const part = text.split("## Over HTTP")[http ? 1 : 0];
  let code = [...part.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]).join("");
  for (const [from, to] of Object.entries(replacements)) {
    assert.ok(code.includes(from), from);
    code = code.replace(from, to);
  }
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module", "--eval", code,
  ]);
  return stdout;
}
