// SPDX-License-Identifier: Apache-2.0
// The filter and the order of the table.
import { endOf, sinceOf } from "./leases.js";

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const owner = (lease) => lease.holders[0]?.owner ?? "\uffff";

/** Smallest first, as a first click on the heading sorts. */
const orders = {
  key: null,
  owner: (a, b) => compare(owner(a), owner(b)),
  since: (a, b) => compare(sinceOf(a), sinceOf(b)),
  ends: (a, b) => compare(ends(a), ends(b)),
  queue: (a, b) =>
    compare(b.waiters.length, a.waiters.length) || compare(b.refused?.at ?? 0, a.refused?.at ?? 0),
};

function ends(lease) {
  const end = endOf(lease);
  return end === -Infinity ? Infinity : end;
}

export const view = { prefix: "", owner: "", sort: "key", backwards: false };

export function matches(lease) {
  if (!lease.key.startsWith(view.prefix)) return false;
  if (!view.owner) return true;
  const wanted = view.owner.toLowerCase();
  const has = (who) => who.owner?.toLowerCase().includes(wanted);
  return lease.holders.some(has) || lease.waiters.some(has);
}

/** Does the order depend on a value that events change? */
export function isLively() {
  return view.sort !== "key" || view.owner !== "";
}

export function arrange(leases) {
  const shown = [...leases.values()].filter(matches);
  const by = orders[view.sort];
  shown.sort((a, b) => (by && by(a, b)) || compare(a.key, b.key));
  return view.backwards ? shown.reverse() : shown;
}
