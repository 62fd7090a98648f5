// SPDX-License-Identifier: Apache-2.0
// The known state of each key: first from a list of all keys, then updated by events. An event may
// be older than the list, or may come twice; tokens distinguish the grants.
import * as clock from "./clock.js";

const GONE_MS = 4000; // how long a free key is still shown
// … a lease that ended, and that nobody took over: the server lists it no more
const ENDED_MS = 15000;
const MOST = 20000; // keys

export const leases = new Map();
// ended: of the held, those past their end a second ago
export const totals = { held: 0, waiting: 0, malformed: 0, ended: 0 };
export let truncated = false;

const changed = new Set();
let all = true; // everything has changed

/** The changes since the last call. */
export function takeChanges() {
  const taken = { all, keys: new Set(changed) };
  changed.clear();
  all = false;
  return taken;
}

const time = (text) => (text ? Date.parse(text) : null);

function holderOf(from) {
  return {
    owner: from.owner,
    host: from.host,
    pid: from.pid,
    purpose: from.purpose,
    mode: from.mode,
    token: from.token,
    since: time(from.acquired_at),
    ends: time(from.expires_at),
    kept: from.kept,
    length: null, // as long as it is not seen to be renewed
  };
}

/** Adds the lease to the totals, `sign` times. */
function count(lease, sign) {
  totals.held += lease.state === "held" ? sign : 0;
  totals.waiting += lease.waiters.length * sign;
  totals.malformed += lease.state === "malformed" ? sign : 0;
}

function change(lease, how) {
  const there = leases.get(lease.key) === lease;
  if (there) count(lease, -1);
  how();
  if (lease.state === "free" && lease.waiters.length === 0) lease.gone ??= performance.now();
  else lease.gone = null;
  if (!there && leases.size >= MOST) {
    truncated = true;
    return;
  }
  leases.set(lease.key, lease);
  count(lease, 1);
  changed.add(lease.key);
}

function fresh(key) {
  return {
    key,
    state: "free",
    token: null,
    holders: [],
    waiters: [],
    released: null,
    problem: null,
    refused: refused.get(key) ?? null,
    read: -Infinity,
    gone: null,
  };
}

/** When the database wrote this reply, by its clock; null if it has no time. */
function readAt(objects) {
  for (const object of objects)
    for (const holder of object.holders)
      if (holder.remaining_ms !== null) return Date.parse(holder.expires_at) - holder.remaining_ms;
  return null;
}

function take(object, at) {
  const lease = leases.get(object.key) ?? fresh(object.key);
  const lengths = new Map(lease.holders.map((holder) => [holder.token, holder.length]));
  change(lease, () => {
    lease.state = object.state;
    lease.token = object.token;
    lease.holders = object.holders.map(holderOf);
    for (const holder of lease.holders) holder.length = lengths.get(holder.token) ?? null;
    lease.waiters = object.waiters.map((waiter) => ({ ...waiter, since: time(waiter.since) }));
    lease.released = object.released && { ...object.released, at: time(object.released.at) };
    lease.problem = object.problem ?? null;
    lease.read = at;
  });
}

/** The whole list. The request was sent, and the reply received, at these times of
 * performance.now(). */
export function reset(answer, sent, received) {
  const heard = readAt(answer.leases);
  if (heard !== null) clock.heardAnswer(heard, sent, received);
  const at = heard ?? clock.now() - (received - sent);
  const before = new Map(leases);
  leases.clear();
  for (const name of Object.keys(totals)) totals[name] = 0;
  truncated = answer.truncated;
  for (const object of answer.leases) {
    const known = before.get(object.key);
    if (known) {
      leases.set(known.key, known);
      count(known, 1);
    }
    take(object, at);
  }
  changed.clear();
  all = true;
}

/** One key, read again. */
export function put(object, sent, received) {
  const heard = readAt([object]);
  if (heard !== null) clock.heardAnswer(heard, sent, received);
  take(object, heard ?? clock.now() - (received - sent));
}

// ---- requests that the server refused ----

const refused = new Map();

/** Records the refused requests; returns their number. */
export function noteRefusals(list) {
  for (const { key, owner, reason, n, at } of list) {
    const refusal = { owner, reason, n, at: time(at) };
    refused.set(key, refusal);
    const lease = leases.get(key);
    if (!lease) continue;
    lease.refused = refusal;
    changed.add(key);
  }
}

export function refusedLately(ms) {
  let n = 0;
  for (const refusal of refused.values()) if (clock.now() - refusal.at < ms) n++;
  return n;
}

// ---- events ----

const sameHolder = (holder, event) =>
  event.token === null
    ? holder.token === null && holder.owner === event.owner
    : holder.token === event.token;

function grant(lease, event, at) {
  const holder = {
    owner: event.owner,
    host: event.host,
    pid: event.pid,
    purpose: event.purpose,
    mode: event.mode,
    token: event.token,
    since: at,
    ends: time(event.expires_at),
    length: time(event.expires_at) - at || null,
  };
  const i = lease.holders.findIndex((other) => sameHolder(other, event));
  if (i >= 0) lease.holders[i] = { ...holder, since: lease.holders[i].since };
  else if (event.mode === "shared")
    lease.holders = [holder, ...lease.holders.filter((other) => other.mode === "shared")];
  else if (lease.token === null || event.token === null || event.token >= lease.token)
    lease.holders = [holder];
  if (event.token !== null && event.token > (lease.token ?? 0)) lease.token = event.token;
  lease.state = "held";
  lease.problem = null;
  if (event.how === "queue") drop(lease, event);
}

function renew(lease, event, at) {
  const holder = lease.holders.find((other) => sameHolder(other, event));
  if (!holder) return grant(lease, event, at);
  const ends = time(event.expires_at);
  holder.length = ends === null ? null : Math.max(ends - at, 0);
  if (lease.read <= at) holder.ends = ends;
}

function end(lease, event, at) {
  const left = lease.holders.filter((holder) => !sameHolder(holder, event));
  if (event.kept_until)
    for (const holder of lease.holders)
      if (sameHolder(holder, event))
        left.push({ ...holder, kept: true, length: null, ends: time(event.kept_until) });
  if (left.length === lease.holders.length && lease.state === "held" && !event.kept_until) return;
  const how = { released: "release", transferred: "transfer", broken: "break", expired: "expire" }[
    event.event
  ];
  lease.released = { owner: event.owner, how, by: event.by, reason: event.reason, at };
  lease.holders = left;
  lease.problem = null;
  lease.state = left.length ? "held" : "free";
}

/** Removes a waiter, the first with that name. */
function drop(lease, event) {
  const i = lease.waiters.findIndex(
    (waiter) => waiter.owner === event.owner && waiter.mode === event.mode,
  );
  if (i >= 0) lease.waiters.splice(i, 1);
}

function queue(lease, event, at) {
  // Events of a standalone come late: the list may have this one already.
  const known =
    lease.read > at - 2000 &&
    lease.waiters.some(
      (waiter) => waiter.owner === event.owner && Math.abs(waiter.since - at) < 2000,
    );
  if (!known)
    lease.waiters.push({ owner: event.owner, purpose: event.purpose, mode: event.mode, since: at });
}

const handlers = {
  granted: grant,
  renewed: renew,
  released: end,
  transferred: end,
  broken: end,
  expired: end,
  queued: queue,
  left: drop,
  removed: (lease) => Object.assign(lease, { state: "free", holders: [], waiters: [] }),
  spoilt: (lease, event) =>
    Object.assign(lease, { state: "malformed", holders: [], waiters: [], problem: event.reason }),
};

/** An event about a key. */
export function apply(event) {
  const handle = handlers[event.event],
    at = Date.parse(event.at);
  if (!handle) return;
  clock.heardEvent(at);
  const lease = leases.get(event.key) ?? fresh(event.key);
  // A later list is more recent, except for the length of the lease, which only a renewal shows.
  if (lease.read > at && event.event !== "renewed") return;
  change(lease, () => handle(lease, event, at));
}

/** Removes keys that have been free for a while. `certain`: events arrive, so a lease that has
 * passed its end has ended. Returns true if a key was removed. */
export function sweep(certain) {
  const now = performance.now(),
    then = clock.now();
  let went = false;
  totals.ended = 0;
  for (const lease of leases.values()) {
    const free = lease.gone !== null && now - lease.gone > GONE_MS;
    const since = certain && lease.state === "held" ? then - endOf(lease) : -Infinity; // its end
    const ended = since > ENDED_MS && lease.waiters.length === 0;
    if (!free && !ended) {
      if (since > 0) totals.ended++;
      continue;
    }
    count(lease, -1);
    leases.delete(lease.key);
    went = true;
  }
  return went;
}

/** When the last of its holders ends: Infinity for never, -Infinity for nobody. */
export function endOf(lease) {
  let latest = -Infinity;
  for (const { ends } of lease.holders) latest = Math.max(latest, ends ?? Infinity);
  return lease.state === "malformed" ? Infinity : latest;
}

/** Since when it is held; Infinity if unknown. */
export function sinceOf(lease) {
  let first = Infinity;
  for (const { since } of lease.holders) first = Math.min(first, since ?? Infinity);
  return first;
}
