// SPDX-License-Identifier: Apache-2.0
// The details of one key, in a drawer that is updated by events.
import * as api from "./api.js";
import * as clock from "./clock.js";
import { askToBreak } from "./dialogs.js";
import { $, fact, make, plural, said, setText } from "./dom.js";
import * as feed from "./feed.js";
import * as model from "./leases.js";
import { remaining } from "./table.js";

const drawer = $("detail"),
  body = $("detail-body"),
  foot = $("detail-foot");
let key = null,
  lease = null; // its last known state
let ticking = []; // functions that update texts that change with time
let hooks = { may: () => ({}), token: () => {}, changed: () => {} };

/** A text that changes with time. */
function timed(what, text) {
  const node = make(what);
  const write = () => setText(node, text());
  write();
  ticking.push(write);
  return node;
}

const ago = (at) =>
  at === null ? null : timed("span", () => `${clock.span(clock.now() - at)} ago`);
const since = (at) =>
  at === null ? [] : [ago(at), make("span.quiet", ` · ${clock.clockTime(at)}`)];

function holderFacts(holder) {
  const end = holder.ends;
  return make(
    "dl.facts",
    fact("Owner", said(holder.owner ?? "unknown")),
    fact("For", holder.purpose && said(holder.purpose)),
    fact("On", holder.host && said(holder.host), holder.pid ? ` · pid ${holder.pid}` : null),
    fact("Since", ...since(holder.since)),
    fact(
      "Ends",
      ...(end === null
        ? ["never, or unreadable"]
        : [
            make("span", clock.clockTime(end)),
            make(
              "span.quiet",
              holder.kept ? " (released, and kept until then)" : " unless it is renewed",
            ),
          ]),
    ),
    fact("Mode", holder.mode),
    fact("Token", holder.token === null ? null : make("span.number", String(holder.token))),
  );
}

function section(title, ...children) {
  return make("section", make("h3", title), ...children);
}

function queueSection() {
  if (!lease.waiters.length) return null;
  const items = lease.waiters.slice(0, 50).map((waiter) =>
    make(
      "li",
      make("b", said(waiter.owner ?? "somebody")),
      waiter.mode === "shared" ? " (shared)" : "",
      make(
        "span.quiet",
        " for ",
        timed("span", () => clock.span(clock.now() - waiter.since)),
      ),
      waiter.purpose ? make("div.second", said(waiter.purpose)) : null,
    ),
  );
  const rest = lease.waiters.length - items.length;
  return section(
    `Queue: ${lease.waiters.length.toLocaleString("en")} waiting`,
    make("ol.line", ...items),
    rest > 0 ? make("p.quiet", `and ${rest} more`) : null,
  );
}

const reasons = {
  held: "somebody holds it",
  queue: "others were waiting",
  malformed: "it cannot be read",
  full: "it has the largest number of readers",
  full_queue: "the queue is full",
  race: "other clients were faster",
  path: "a key above or below it is held",
  timeout: "the wait timed out",
};

function refusedSection() {
  const refused = lease.refused;
  if (!refused) return null;
  return section(
    "Refused last",
    make(
      "p",
      make("b", said(refused.owner)),
      ", ",
      ago(refused.at),
      `: ${reasons[refused.reason] ?? refused.reason}.`,
      make("span.quiet", ` ${plural(refused.n, "time", "times")} since this server began.`),
    ),
  );
}

const ways = {
  release: "released it",
  expire: "held it until the lease ended",
  transfer: "handed it on",
  break: "was broken",
};

function beforeSection() {
  const last = lease.released;
  if (!last) return null;
  return section(
    "The holder before",
    make(
      "p",
      make("b", said(last.owner ?? "somebody")),
      ` ${ways[last.how] ?? "held it"}, `,
      ago(last.at),
      last.by && last.how === "break" ? make("span", ", by ", make("b", said(last.by))) : null,
      last.reason ? make("span", ": ", said(last.reason)) : null,
    ),
  );
}

function eventsSection() {
  const items = feed
    .of(key)
    .slice(0, 12)
    .map((event) =>
      make(
        "li",
        make("time", clock.clockTime(Date.parse(event.at))),
        make("span", ...feed.sentence(event, "it")),
      ),
    );
  return items.length ? section("Seen", make("ol.events", ...items)) : null;
}

function headline() {
  const large = timed("p.large", () => remaining(lease).text);
  ticking.push(() => {
    const what = remaining(lease);
    large.dataset.state = what.late ? "late" : what.state;
  });
  return large;
}

function renderBody() {
  ticking = [];
  const large = headline();
  const words = { held: "left", free: "not held", malformed: "it counts as held" };
  body.replaceChildren(
    ...[
      make(
        "div.headline",
        large,
        make(
          "p.quiet",
          lease.holders.some((holder) => holder.ends === null) ? "it is held" : words[lease.state],
        ),
      ),
      lease.state === "malformed" ? make("p.wrong", said(lease.problem)) : null,
      ...lease.holders.slice(0, 20).map(holderFacts),
      lease.holders.length > 20
        ? make("p.quiet", `and ${lease.holders.length - 20} more readers`)
        : null,
      queueSection(),
      refusedSection(),
      beforeSection(),
      eventsSection(),
    ].filter(Boolean),
  );
  tick();
}

function renderFoot() {
  const { may, breaks } = hooks.may();
  const held = lease.state !== "free";
  const state = !held ? "free" : !breaks ? "never" : may === "break" ? "yes" : "token";
  if (foot.dataset.state === state) return;
  foot.dataset.state = state;
  const button = make(state === "yes" ? "button.danger" : "button");
  button.type = "button";
  button.id = "detail-break";
  button.textContent = state === "yes" ? "Break the lease…" : "Use an admin’s token…";
  button.addEventListener("click", () =>
    state === "yes" ? askToBreak(lease, reload) : hooks.token(),
  );
  const hints = {
    free: [],
    yes: [button],
    token: [make("p.quiet", "Breaking it needs an admin’s token."), button],
    never: [
      make("p.quiet", "Leases can’t be broken here: ", make("code", "leasehold break"), " can."),
    ],
  };
  foot.replaceChildren(...hints[state]);
}

function render() {
  lease = model.leases.get(key) ?? lease;
  renderBody();
  renderFoot();
}

async function reload() {
  const asked = key,
    sent = performance.now();
  try {
    const object = await api.status(asked);
    model.put(object, sent, performance.now());
    hooks.changed();
    if (asked === key && drawer.open) render();
  } catch {
    // The drawer keeps its content; the banner of the page reports the failure.
  }
}

export function open(of) {
  key = of;
  lease = model.leases.get(key) ?? {
    key,
    state: "free",
    holders: [],
    waiters: [],
    released: null,
    refused: null,
    problem: null,
  };
  foot.dataset.state = "";
  const title = $("detail-key");
  title.replaceChildren(said(key));
  render();
  body.scrollTop = 0;
  if (!drawer.open) drawer.showModal();
  reload();
}

/** These keys have changed; null: all may have. */
export function refresh(keys) {
  if (drawer.open && (keys === null || keys.has(key))) render();
}

export function tick() {
  for (const write of ticking) write();
}

export function start(given) {
  hooks = given;
  $("detail-close").addEventListener("click", () => drawer.close());
  // A click beside it.
  drawer.addEventListener("click", (event) => event.target === drawer && drawer.close());
}
