// SPDX-License-Identifier: Apache-2.0
// The dashboard: data from the server goes into the model, and from there onto the page, at most
// once per frame.
import { hasToken } from "./api.js";
import * as clock from "./clock.js";
import * as detail from "./detail.js";
import * as dialogs from "./dialogs.js";
import { $, make, plural, setText } from "./dom.js";
import * as feed from "./feed.js";
import * as link from "./link.js";
import * as model from "./leases.js";
import { arrange, isLively, matches, view } from "./order.js";
import * as table from "./table.js";

const LATELY_MS = 5 * 60000;
let me = { may: "look_in", breaks: false, needs_token: false };
let loaded = false,
  framed = false,
  disordered = true,
  arrangedAt = 0,
  shownCount = 0;

const isLive = () => link.state.kind === "live";

// ---- onto the page ----

function schedule() {
  if (framed) return;
  framed = true;
  requestAnimationFrame(update);
}

/** Sorting many rows takes time, so it is done only at intervals. */
function arrangeSoon() {
  const wait = arrangedAt + (model.leases.size > 2000 ? 1000 : 250) - performance.now();
  if (wait > 0) {
    setTimeout(schedule, wait);
    return;
  }
  disordered = false;
  arrangedAt = performance.now();
  const list = arrange(model.leases);
  shownCount = list.length;
  table.show(list);
  showEmpty();
}

function update() {
  framed = false;
  const { all, keys } = model.takeChanges();
  if (all) arrangedAt = 0;
  disordered ||= all || (isLively() && keys.size > 0);
  for (const key of keys) {
    const lease = model.leases.get(key);
    disordered ||= table.isShown(key) !== Boolean(lease && matches(lease));
  }
  table.refresh(keys);
  if (disordered) arrangeSoon();
  if (all || keys.size) detail.refresh(all ? null : keys);
  feed.flush();
  showFigures();
}

function showFigures() {
  if (!loaded) return;
  const { waiting, malformed } = model.totals,
    held = model.totals.held - model.totals.ended,
    n = model.leases.size;
  setText($("figure-held"), held.toLocaleString("en"));
  setText($("figure-waiting"), waiting.toLocaleString("en"));
  setText($("figure-busy"), model.refusedLately(LATELY_MS).toLocaleString("en"));
  setText($("figure-malformed"), malformed.toLocaleString("en"));
  $("malformed").hidden = malformed === 0;
  const most = model.truncated ? " (there are more: filter by key to see others)" : "";
  setText(
    $("count"),
    shownCount === n
      ? n
        ? plural(n, "key", "keys") + most
        : ""
      : `${shownCount.toLocaleString("en")} of ${plural(n, "key", "keys")}${most}`,
  );
  const title = `${isLive() ? "" : "⚠ "}${held.toLocaleString("en")} held · Leasehold`;
  if (document.title !== title) document.title = title;
}

// ---- nothing to show ----

function code(...lines) {
  return make(
    "pre",
    make("code", ...lines.flatMap((line, i) => (i ? [make("br"), line] : [line]))),
  );
}

function lesson() {
  const secret = me.needs_token ? ' -H "Authorization: Bearer $TOKEN"' : "";
  return [
    make("h3", "No key is held"),
    make(
      "p",
      "A lease is a lock with an end: the holder of a key may work on it until the lease ends, " +
        "is released, or is broken. Leases appear here as they are granted. Try one:",
    ),
    code("leasehold run demo -- sleep 20"),
    make("p", "or, over HTTP:"),
    code(
      `curl${secret} --json '{"owner":"me","purpose":"a try"}' \\`,
      `  ${location.origin}/v1/leases/demo`,
    ),
  ];
}

function nothingFound() {
  const clear = make("button", "Clear the filters");
  clear.type = "button";
  clear.addEventListener("click", () => {
    $("prefix").value = $("owner").value = "";
    filter();
    $("prefix").focus();
  });
  return [
    make("h3", "No lease matches"),
    make(
      "p",
      "Keys match from the beginning, and by case. Owners match anywhere, in any case.",
    ),
    clear,
  ];
}

function showEmpty() {
  const what = !loaded || shownCount ? "" : view.prefix || view.owner ? "filtered" : "empty";
  $("empty").hidden = !what;
  if ($("empty").dataset.what === what) return;
  $("empty").dataset.what = what;
  $("empty").replaceChildren(
    ...(what === "empty" ? lesson() : what === "filtered" ? nothingFound() : []),
  );
}

// ---- state of the connection ----

const words = {
  connecting: "Connecting",
  live: "Live",
  lost: "No connection",
  database: "No database",
  token: "Token needed",
  resting: "Resting",
};

function bannerText() {
  const { kind, detail: why, retryAt } = link.state;
  const old = loaded ? " The page may be out of date." : "";
  if (kind === "database")
    return ["The database does not respond.", `The server runs, and tries again: ${why}.${old}`];
  if (kind === "token") return ["This server asks for a token.", why];
  if (kind !== "lost") return null;
  const seconds = Math.ceil((retryAt - performance.now()) / 1000);
  return [
    "No connection to the server.",
    old.trim(),
    seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again.",
  ];
}

function showState() {
  const { kind } = link.state,
    texts = bannerText();
  $("state").dataset.state = kind;
  setText($("state-text"), words[kind]);
  document.body.dataset.stale = loaded && !isLive() && kind !== "connecting";
  $("banner").hidden = !texts;
  if (texts) {
    setText($("banner-title"), texts[0]);
    setText($("banner-text"), texts[1]);
    setText($("banner-count"), texts[2] ?? "");
    $("banner").dataset.state = kind;
  }
  setText($("retry"), kind === "token" ? "Enter a token" : "Try now");
}

function showWho() {
  const button = $("open-token");
  button.hidden = !me.needs_token;
  button.textContent = !hasToken() ? "Use a token" : me.may === "break" ? "Admin" : "Token";
  detail.refresh(null);
}

function askForToken() {
  const breaks = me.breaks ? " An admin’s token also lets you break leases." : "";
  dialogs.askForToken(
    `Paste a line of the server’s token file.${breaks}`,
    link.state.kind === "token" ? link.state.detail : null,
  );
}

// ---- actions of the user ----

function filter() {
  view.prefix = $("prefix").value;
  view.owner = $("owner").value.trim();
  disordered = true;
  arrangedAt = 0;
  feed.refilter();
  schedule();
}

function sortBy(name, backwards) {
  Object.assign(view, { sort: name, backwards });
  for (const button of document.querySelectorAll("[data-sort]")) {
    const direction = button.dataset.sort !== name ? null : backwards ? "descending" : "ascending";
    if (direction) button.parentElement.setAttribute("aria-sort", direction);
    else button.parentElement.removeAttribute("aria-sort");
  }
  $("sort").value = name;
  disordered = true;
  arrangedAt = 0;
  schedule();
}

function onKey(event) {
  const typing = event.target.matches?.("input, textarea, select"),
    open = document.querySelector("dialog[open]");
  if (event.key === "Escape" && event.target.matches?.("#prefix, #owner")) {
    event.target.value = "";
    filter();
  }
  if (typing || open || event.ctrlKey || event.metaKey || event.altKey || !$("shortcuts").checked)
    return;
  if (event.key === "/") {
    event.preventDefault();
    $("prefix").focus();
    $("prefix").select();
  } else if (event.key === "?") {
    dialogs.openHelp();
  }
}

function listen() {
  let settled = 0;
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("input", () => {
    filter();
    clearTimeout(settled);
    settled = setTimeout(() => {
      setText($("said"), $("count").textContent || "No lease matches");
      link.narrow(view.prefix, model.truncated);
    }, 500);
  });
  $("sort").addEventListener("change", () => sortBy($("sort").value, false));
  for (const button of document.querySelectorAll("[data-sort]")) {
    const name = button.dataset.sort;
    button.addEventListener("click", () => sortBy(name, view.sort === name && !view.backwards));
  }
  $("retry").addEventListener("click", () =>
    link.state.kind === "token" ? askForToken() : link.retry(),
  );
  $("open-token").addEventListener("click", askForToken);
  document.addEventListener("keydown", onKey);
}

/** Once a second, when the database's clock reaches the next second: all countdowns move
 * together. */
function tick() {
  setTimeout(tick, 1000 - (clock.now() % 1000) + 2);
  if (link.state.kind === "lost") showState();
  if (document.hidden) return;
  if (model.sweep(isLive())) {
    disordered = true;
    schedule();
  }
  table.tickAll(isLive());
  detail.tick();
  showFigures();
}

table.start(detail.open);
feed.start(detail.open);
detail.start({ may: () => me, token: askForToken, changed: schedule });
dialogs.start(link.restart);
listen();
link.start({
  state: () => {
    showState();
    if (link.state.kind === "token" && !hasToken() && !$("token").open) askForToken();
  },
  who: (who) => {
    me = who;
    setText($("version"), `Leasehold ${me.version}. Countdowns follow the database’s clock.`);
    showWho();
  },
  loaded: () => {
    loaded = true;
    document.body.dataset.loaded = true;
    schedule();
  },
  event: (event) => {
    model.apply(event);
    feed.add(event);
    schedule();
  },
});
tick();
