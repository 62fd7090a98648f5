// SPDX-License-Identifier: Apache-2.0
// The dialogs: before a lease is broken, and for a token.
import * as api from "./api.js";
import { $, fact, said, setText } from "./dom.js";
import * as clock from "./clock.js";

function complain(place, text) {
  setText(place, text ?? "");
  place.hidden = !text;
}

// ---- break ----

let broken = { lease: null, done: () => {} };

/** Asks, and breaks exactly the grant that was shown. */
export function askToBreak(lease, done) {
  broken = { lease: { ...lease }, done };
  const holder = lease.holders[0];
  $("break-who").replaceChildren(
    ...[
      fact("Key", said(lease.key)),
      fact(
        "Held by",
        said(holder?.owner ?? "unknown"),
        lease.holders.length > 1
          ? ` and ${lease.holders.length - 1} more, who all lose the lease`
          : null,
      ),
      fact("On", holder?.host && said(holder.host), holder?.pid ? ` · pid ${holder.pid}` : null),
      fact("For", holder?.purpose && said(holder.purpose)),
      fact("Since", holder?.since ? `${clock.span(clock.now() - holder.since)}` : null),
      fact("Next", lease.waiters[0] && said(lease.waiters[0].owner)),
    ].filter(Boolean),
  );
  complain($("break-wrong"), null);
  $("break-reason").value = "";
  $("break").showModal();
  $("break-reason").focus();
}

function whyNot(error) {
  if (error.status === 409)
    return "The key is free, or has another holder: nothing was done. Close this and look again.";
  if (error.status === 504) return "The result is unknown: look again.";
  return `Nothing was done: ${error.message}`;
}

async function breakIt(event) {
  event.preventDefault();
  const { lease, done } = broken,
    reason = $("break-reason").value.trim(),
    by = $("break-by").value.trim(),
    button = $("break-do");
  if (!reason)
    return complain($("break-wrong"), "Give a reason. The former holder can read it.");
  const body = { reason };
  if (by) body.by = by;
  if (lease.state === "held" && lease.holders[0]?.token !== null) body.token = lease.token;
  button.disabled = true;
  try {
    await api.breakLease(lease.key, body);
    $("break").close();
  } catch (error) {
    complain($("break-wrong"), whyNot(error));
  } finally {
    button.disabled = false;
    done();
  }
}

// ---- the token ----

let used = () => {};

/** Asks for a token; `text` explains the purpose. */
export function askForToken(text, wrong) {
  setText($("token-text"), text);
  $("token-forget").hidden = !api.hasToken();
  $("token-input").value = "";
  complain($("token-wrong"), wrong);
  if (!$("token").open) $("token").showModal();
  $("token-input").focus();
}

async function tryToken(event) {
  event.preventDefault();
  const token = $("token-input").value.trim();
  try {
    const { may } = await api.whoami({ token });
    if (may === "look_in")
      return complain($("token-wrong"), "The server does not know this token.");
    use(token);
  } catch (error) {
    complain($("token-wrong"), `${error.message}.`);
  }
}

function use(token) {
  api.useToken(token);
  $("token-input").value = "";
  $("token").close();
  used();
}

export function openHelp() {
  if (!$("help").open) $("help").showModal();
}

export function start(onToken) {
  used = onToken;
  $("break-form").addEventListener("submit", breakIt);
  $("break-cancel").addEventListener("click", () => $("break").close());
  $("token-form").addEventListener("submit", tryToken);
  $("token-cancel").addEventListener("click", () => $("token").close());
  $("token-forget").addEventListener("click", () => use(null));
  $("open-help").addEventListener("click", openHelp);
}
