// SPDX-License-Identifier: Apache-2.0
// The latest events, newest first, as many as a person can read.
import { clockTime } from "./clock.js";
import { $, make, said } from "./dom.js";
import { view } from "./order.js";

const MOST = 300,
  SHOWN = 100;

const list = $("events"),
  renewals = $("renewals"),
  pause = $("pause");
const events = []; // newest first
let fresh = []; // not shown yet, oldest first
let frozen = false;

const who = (event) => make("b", said(event.owner ?? "somebody"));

/** Each as the parts of a sentence; `it` is the key. */
const sentences = {
  granted: (e, it) => [
    who(e),
    " got ",
    it,
    e.how === "queue" ? " from the queue" : e.how === "transfer" ? " by transfer" : "",
  ],
  renewed: (e, it) => [who(e), " renewed ", it],
  released: (e, it) => [who(e), e.how === "other" ? " lost " : " released ", it],
  transferred: (e, it) => [who(e), " transferred ", it],
  broken: (e, it) => [
    make("b", said(e.by ?? "somebody")),
    " broke the lease of ",
    who(e),
    " on ",
    it,
    ": ",
    said(e.reason),
  ],
  expired: (e, it) => ["the lease of ", who(e), " on ", it, " ended"],
  queued: (e, it) => [who(e), " waits for ", it],
  left: (e, it) => [who(e), " stopped waiting for ", it],
  removed: (e, it) => [it, " was removed"],
  spoilt: (e, it) => [it, " cannot be read: ", said(e.reason)],
};

export function sentence(event, it) {
  return sentences[event.event](event, it);
}

function item(event) {
  const li = make(
    `li.${event.event}`,
    make("time", clockTime(Date.parse(event.at))),
    make("span", ...sentence(event, make("span.of", said(event.key)))),
  );
  li.dataset.key = event.key;
  return li;
}

function isWanted(event) {
  const wanted = view.owner.toLowerCase();
  return (
    event.key.startsWith(view.prefix) &&
    (!wanted || [event.owner, event.by].some((name) => name?.toLowerCase().includes(wanted)))
  );
}

export function add(event) {
  if (!sentences[event.event] || (event.event === "renewed" && !renewals.checked)) return;
  events.unshift(event);
  if (events.length > MOST) events.pop();
  fresh.push(event);
  if (fresh.length > SHOWN) fresh.shift();
}

/** Shows the new events. */
export function flush() {
  if (frozen || fresh.length === 0) return;
  const items = fresh.filter(isWanted).map(item).reverse();
  fresh = [];
  list.prepend(...items);
  while (list.children.length > SHOWN) list.lastChild.remove();
  $("no-events").hidden = list.children.length > 0;
}

/** Shows all events again, because the filter has changed. */
export function refilter() {
  fresh = [];
  list.replaceChildren(...events.filter(isWanted).slice(0, SHOWN).map(item));
  $("no-events").hidden = list.children.length > 0;
}

export function of(key) {
  return events.filter((event) => event.key === key);
}

export function start(open) {
  pause.addEventListener("click", () => {
    frozen = !frozen;
    pause.setAttribute("aria-pressed", frozen);
    pause.textContent = frozen ? "Continue" : "Pause";
    if (!frozen) refilter();
  });
  list.addEventListener("click", (event) => {
    const li = event.target.closest("li");
    if (li && getSelection().isCollapsed) open(li.dataset.key);
  });
}
