// SPDX-License-Identifier: Apache-2.0
// The table of leases. It has only the visible rows, and a few around them, so that 10,000 leases
// cost as much as 30.
import * as clock from "./clock.js";
import { $, make, plural, setText, visible } from "./dom.js";
import { endOf, sinceOf } from "./leases.js";

const AROUND = 6; // rows beyond the window's edges

const table = $("leases"),
  body = $("rows");
const rows = new Map(); // key → its row
let shown = [],
  places = new Map(); // key → index in `shown`
let current = null; // the key that has the keyboard's focus
let certain = false; // events arrive
let open = () => {};

function cell(name, ...children) {
  const td = make(`td.${name}`, ...children);
  td.setAttribute("role", "cell");
  return td;
}

function makeRow(lease) {
  const row = {
    tr: make("tr"),
    name: make("bdi"),
    purpose: make("bdi.second"),
    owner: make("bdi"),
    more: make("span.tag"),
    host: make("bdi.second"),
    since: make("span"),
    left: make("span.left"),
    bar: make("div.bar", make("div")),
    queue: make("span"),
    refused: make("span.second"),
  };
  row.button = make("button.open", row.name);
  row.button.type = "button";
  row.button.setAttribute("aria-haspopup", "dialog");
  row.tr.setAttribute("role", "row");
  row.tr.append(
    cell("key", row.button, row.purpose),
    cell("owner", make("span.first", row.owner, row.more), row.host),
    cell("since", row.since),
    cell("ends", row.left, row.bar),
    cell("queue", row.queue, row.refused),
  );
  row.bar.setAttribute("aria-hidden", "true");
  row.tr.dataset.key = lease.key;
  setText(row.name, lease.key);
  row.button.title = visible(lease.key);
  return row;
}

const ways = {
  release: "released by",
  expire: "ended:",
  transfer: "handed on by",
  break: "broken:",
};

/** The text below the key. */
function second(lease) {
  if (lease.state === "malformed") return `cannot be read: ${lease.problem ?? ""}`;
  if (lease.state === "free" && lease.released)
    return `${ways[lease.released.how] ?? "was held by"} ${lease.released.owner ?? "somebody"}`;
  return lease.holders[0]?.purpose ?? "";
}

function more(lease) {
  if (lease.holders.length > 1)
    return `and ${plural(lease.holders.length - 1, "reader", "readers")}`;
  if (lease.holders[0]?.kept) return "released, kept";
  return lease.holders[0]?.mode === "shared" ? "shared" : "";
}

/** Writes all of a row. */
function fill(row, lease) {
  const holder = lease.holders[0];
  row.lease = lease;
  setText(row.purpose, second(lease));
  setText(
    row.owner,
    holder ? (holder.owner ?? "somebody") : lease.state === "malformed" ? "unknown" : "",
  );
  setText(row.more, more(lease));
  setText(row.host, [holder?.host, holder?.pid && `pid ${holder.pid}`].filter(Boolean).join(" · "));
  setText(
    row.queue,
    lease.waiters.length ? `${lease.waiters.length.toLocaleString("en")} waiting` : "",
  );
  tick(row);
}

/** The remaining time of a lease, in words; and whether a renewal is late. */
export function remaining(lease, sure = certain) {
  const end = endOf(lease),
    left = end - clock.now();
  if (lease.state === "malformed") return { text: "unreadable", state: "malformed" };
  if (lease.state === "free") return { text: "free", state: "free" };
  if (end === Infinity) return { text: "no end", state: "held", part: 1 };
  if (left <= 0) return { text: sure ? "ended" : "unknown", state: "ended", part: 0 };
  let length = 0;
  for (const holder of lease.holders)
    if (holder.ends === end && !holder.kept) length = holder.length ?? 0;
  return {
    text: clock.countdown(left),
    state: "held",
    late: left < length / 3,
    part: length ? Math.min(1, left / length) : null,
  };
}

/** Writes the parts of a row that change with time. */
function tick(row) {
  const { lease } = row,
    what = remaining(lease),
    since = sinceOf(lease),
    refused = lease.refused,
    now = clock.now();
  const state = what.late ? "late" : what.state;
  if (row.tr.dataset.state !== state) row.tr.dataset.state = state;
  setText(row.left, what.text);
  const hidden = typeof what.part !== "number" || what.state !== "held" || what.text === "no end";
  if (row.bar.hidden !== hidden) row.bar.hidden = hidden;
  if (!hidden) row.bar.firstChild.style.transform = `scaleX(${what.part.toFixed(3)})`;
  setText(row.since, since === Infinity || lease.state !== "held" ? "" : clock.span(now - since));
  setText(
    row.refused,
    refused && now - refused.at < 600000
      ? `refused ${refused.owner} ${clock.span(now - refused.at)} ago`
      : "",
  );
}

function rowHeight() {
  return parseFloat(getComputedStyle(table).getPropertyValue("--row"));
}

/** A focused row is removed: the table keeps the focus. */
function remove(key, row) {
  if (row.tr.contains(document.activeElement)) table.focus({ preventScroll: true });
  row.tr.remove();
  rows.delete(key);
}

function render() {
  const height = rowHeight(),
    top = body.getBoundingClientRect().top;
  const first = Math.max(0, Math.min(Math.floor(-top / height) - AROUND, shown.length - 1));
  const last = Math.min(
    shown.length,
    Math.max(0, Math.ceil((window.innerHeight - top) / height)) + AROUND,
  );
  const wanted = shown.slice(first, last),
    keys = new Set(wanted.map((lease) => lease.key));
  for (const [key, row] of rows) if (!keys.has(key)) remove(key, row);
  body.style.height = `${shown.length * height}px`;
  body.style.paddingTop = `${first * height}px`;
  let next = body.firstChild;
  wanted.forEach((lease, i) => {
    let row = rows.get(lease.key);
    if (!row) {
      row = makeRow(lease);
      rows.set(lease.key, row);
    }
    if (row.lease !== lease) fill(row, lease);
    row.tr.setAttribute("aria-rowindex", first + i + 2);
    if (row.tr === next) next = next.nextSibling;
    else body.insertBefore(row.tr, next);
  });
}

/** Shows these, in this order. */
export function show(list) {
  shown = list;
  places = new Map(list.map((lease, i) => [lease.key, i]));
  table.setAttribute("aria-rowcount", shown.length + 1);
  table.hidden = shown.length === 0;
  render();
  for (const row of rows.values()) fill(row, row.lease);
}

export const isShown = (key) => places.has(key);

/** These keys have changed, and keep their places. */
export function refresh(keys) {
  for (const key of keys) {
    const row = rows.get(key);
    if (row) fill(row, row.lease);
  }
}

export function tickAll(sure) {
  certain = sure;
  for (const row of rows.values()) tick(row);
}

// ---- the keyboard, the mouse ----

function goTo(i) {
  const height = rowHeight(),
    place = Math.max(0, Math.min(shown.length - 1, i));
  const lease = shown[place];
  if (!lease) return;
  const top = body.getBoundingClientRect().top + place * height,
    head = table.tHead.offsetHeight;
  if (top < head) window.scrollBy(0, top - head - height);
  else if (top + height > window.innerHeight)
    window.scrollBy(0, top + 2 * height - window.innerHeight);
  current = lease.key;
  render();
  rows.get(current)?.button.focus({ preventScroll: true });
}

function steps(key) {
  const page = Math.max(1, Math.floor(window.innerHeight / rowHeight()) - 2);
  return {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -Infinity,
    End: Infinity,
  }[key];
}

function onKey(event) {
  const step = steps(event.key);
  if (
    step === undefined ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    table.tHead.contains(event.target)
  )
    return;
  event.preventDefault();
  const at = places.get(current);
  goTo(at === undefined ? (step === Infinity ? step : 0) : at + step);
}

const keyOf = (event) => event.target.closest("tr[data-key]")?.dataset.key;

export function start(opener) {
  open = opener;
  table.addEventListener("keydown", onKey);
  body.addEventListener("focusin", (event) => (current = keyOf(event) ?? current));
  body.addEventListener("click", (event) => {
    const key = keyOf(event);
    if (key !== undefined && getSelection().isCollapsed) open(key);
  });
  let due = false;
  const later = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      render();
    });
  };
  window.addEventListener("scroll", later, { passive: true });
  window.addEventListener("resize", later);
}
