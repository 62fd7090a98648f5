// SPDX-License-Identifier: Apache-2.0
// As shared_file.py, which describes it; windows in both languages may edit the same file.
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { realpathSync } from "node:fs";
import { open, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual as same, promisify } from "node:util";

import { keyJoin } from "leasehold";

const FENCE = fileURLToPath(new URL("fence.sh", import.meta.url));
const ENDS = ["opened", "gap", "released", "transferred", "broken", "expired"];
const LOOK_EVERY_MS = 250; // for changes by editors that take no lease
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

export class NewerHolder extends Error {}

/** Both sides changed the same names. Theirs is in the file, ours in `backup`. */
export class Conflict extends Error {
  constructor(names, theirs, backup) {
    super(`also changed by others: ${names.join(", ")}; yours is in ${backup}`);
    Object.assign(this, { names, theirs, backup });
  }
}

/** A three-way merge of objects: the result, and the names that both changed differently. */
export function merge(base, ours, theirs) {
  const merged = {};
  const clashes = [];
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [old, our, their] = [base, ours, theirs].map((side) => side[name]);
    let chosen = their;
    if (isObject(our) && isObject(their)) {
      const inner = merge(isObject(old) ? old : {}, our, their);
      chosen = inner.merged;
      clashes.push(...inner.clashes.map((each) => `${name}.${each}`));
    } else if (same(their, old)) {
      chosen = our;
    } else if (!same(our, old) && !same(our, their)) {
      clashes.push(name);
    }
    if (chosen !== undefined) merged[name] = chosen;
  }
  return { merged, clashes };
}

const bytesOf = (document) => `${JSON.stringify(document, null, 2)}\n`;

async function stampOf(file) {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found && `${found.ino} ${found.size} ${found.mtimeNs}`;
}

export class SharedFile {
  #store;
  #cache = {}; // a snapshot, and the stamp of the file when it was read
  #tokens = new Set(); // of the leases under which this window wrote

  constructor(store, file) {
    this.#store = store;
    this.file = path.join(realpathSync(path.dirname(file)), path.basename(file));
    this.key = keyJoin("file", this.file);
  }

  /** The file as it is now, from the cache if the note shows that nobody has written since. */
  read(wait = 5_000) {
    const options = { wait, shared: true, purpose: "read" };
    return this.#hold(options, (lease) => this.#load(lease, "read"));
  }

  /** Writes what change(document) returns, as the only writer. Returns the new snapshot. */
  update(change, wait = 5_000) {
    return this.#hold({ wait, purpose: "write" }, async (lease) => {
      const current = await this.#load(lease, "write");
      const document = await change(structuredClone(current.document));
      return same(document, current.document) ? current : this.#write(lease, document);
    });
  }

  /** Writes the document, which somebody made out of the snapshot `base`. What others wrote
   * meanwhile is merged. Throws a Conflict if that is impossible; both versions are kept. */
  save(document, base, wait = 5_000) {
    return this.update(async (current) => {
      const { merged, clashes } = merge(base.document, document, current);
      if (clashes.length === 0) return merged;
      throw new Conflict(clashes, current, await this.prepare(document, "conflict"));
    }, wait);
  }

  /** Yields the file as it is, and then each new version, until the store is closed. */
  async *changes() {
    let known;
    const events = this.#store.watch({ keys: [this.key] });
    for (let next = events.next(); ; ) {
      const found = await Promise.race([next, sleep(LOOK_EVERY_MS)]);
      if (found?.done) return;
      if (found) next = events.next();
      const event = found?.value;
      if (!(await this.#mayHaveChanged(event, known))) continue;
      const snapshot = await this.read(Infinity).catch(ifUnfinished);
      if (!snapshot || snapshot.version === known) continue;
      known = snapshot.version;
      yield { snapshot, ...this.#writerOf(snapshot, event) };
    }
  }

  async #mayHaveChanged(event, known) {
    if (event) return ENDS.includes(event.kind) && event.note !== known;
    return (await stampOf(this.file)) !== this.#cache.stamp;
  }

  /** owner: "" if unknown: the writer took no lease, or did not live to release it. */
  #writerOf(snapshot, event) {
    if (!event || event.shared || event.note !== snapshot.version) return { own: false, owner: "" };
    return { own: this.#tokens.has(event.token), owner: event.owner };
  }

  #hold(options, work) {
    return this.#store.withLease(this.key, options, async (lease) => {
      const snapshot = await work(lease);
      await lease.release({ note: snapshot.version });
      return snapshot;
    });
  }

  async #load(lease, mode) {
    const note = await lease.note();
    await this.fence(lease, mode);
    const stamp = await stampOf(this.file);
    const { snapshot } = this.#cache;
    if (snapshot && note?.text === snapshot.version && stamp === this.#cache.stamp) return snapshot;
    return this.#remember(stamp ? await readFile(this.file, "utf8") : "{}", stamp);
  }

  #remember(text, stamp) {
    const version = createHash("sha256").update(text).digest("hex").slice(0, 16);
    const snapshot = { document: JSON.parse(text), version };
    this.#cache = { snapshot, stamp };
    return snapshot;
  }

  async #write(lease, document) {
    const fresh = await this.prepare(document, "new");
    try {
      await this.fence(lease, "write", fresh); // it replaces the file
    } finally {
      await rm(fresh, { force: true });
    }
    this.#tokens.add(lease.token);
    return this.#remember(bytesOf(document), await stampOf(this.file));
  }

  /** A new file beside the other one, on the disk. */
  async prepare(document, suffix) {
    const fresh = `${this.file}.${randomUUID()}.${suffix}`;
    const mode = (await stat(this.file).catch(() => ({ mode: 0o644 }))).mode & 0o777;
    const file = await open(fresh, "wx", mode);
    try {
      await file.writeFile(bytesOf(document));
      await file.sync();
    } finally {
      await file.close();
    }
    return fresh;
  }

  async fence(lease, mode, ...fresh) {
    const words = [this.file, lease.token, mode, ...fresh].map(String);
    await promisify(execFile)(FENCE, words).catch((error) => {
      if (error.code !== 76) throw error;
      throw new NewerHolder(`a newer holder has used ${this.file}`);
    });
  }
}

/** What an editor without a lease has not finished is no JSON: look again. */
function ifUnfinished(error) {
  if (!(error instanceof SyntaxError)) throw error;
}
