#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A workspace that one person edits at a time: a web application with leases from `leasehold
// serve`, by fetch (Node 18 or later).
//
//     leasehold serve --listen 127.0.0.1:8080 &
//     node workspace.mjs 8000    # open http://127.0.0.1:8000/plan?user=alice, and as bob
//
// Whoever comes first edits, for as long as the page is open: the page keeps a stream to this
// server open, and this server one to leasehold, which renews the lease meanwhile. Nobody counts
// seconds. Whoever comes second sees the holder. The lease id is in a cookie, so that the same user
// goes on after a restart of this server, and on another instance of it.
import http from "node:http";

const LEASEHOLD = process.env.LEASEHOLD_HTTP ?? "http://127.0.0.1:8080";
const TTL_MS = Number(process.env.TTL_MS ?? 30000);
const token = process.env.LEASEHOLD_TOKEN
  ? { Authorization: `Bearer ${process.env.LEASEHOLD_TOKEN}` }
  : {};

const cookieOf = (user) => `lease-${Buffer.from(user).toString("hex")}`;

/** The lease id that this browser has for the user; the cookie's path is the workspace. */
function mineIn(request, user) {
  const cookies = (request.headers.cookie ?? "").split("; ");
  return cookies.find((each) => each.startsWith(`${cookieOf(user)}=`))?.split("=")[1];
}

const lease = (method, workspace, { id, body, path = "", signal } = {}) =>
  fetch(`${LEASEHOLD}/v1/leases/workspace:${encodeURIComponent(workspace)}${path}`, {
    method,
    signal,
    body: body && JSON.stringify(body),
    headers: {
      ...token,
      ...(body && { "Content-Type": "application/json" }),
      ...(id && { "Lease-Id": id }),
    },
  });

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const editor = (
  workspace,
  user,
) => `<!doctype html><title>${escape(workspace)}</title><h1>${escape(workspace)}</h1>
<p>You are editing, ${escape(user)}.</p><textarea></textarea>
<script>
const open = new EventSource(location.pathname + "/open" + location.search);
open.addEventListener("lost", () => {
  open.close();
  document.querySelector("textarea").disabled = true;
  alert("You lost the lease.");
});
</script>`;

// No holder: others are in line; a lock of older code may have no name, and no end.
const busy = (
  workspace,
  { holder, retry_after_ms },
) => `<!doctype html><title>${escape(workspace)}</title><h1>${escape(workspace)}</h1>
<p><b>${escape(holder?.owner ?? "somebody")}</b> is editing. Free in <span id="seconds">${
  Math.ceil((holder?.remaining_ms ?? retry_after_ms) / 1000)
}</span> s, unless it goes on.</p>
<script>
setInterval(() => { if (--seconds.textContent <= 0) location.reload(); }, 1000);
</script>`;

const answer = (response, status, text = "") => {
  response.writeHead(status, { "Content-Type": "text/html; charset=utf-8" });
  response.end(text);
};

async function open(workspace, user, mine, response) {
  if (mine && (await lease("PATCH", workspace, { id: mine })).ok)
    // the page was loaded again
    return answer(response, 200, editor(workspace, user));
  const asked = await lease("POST", workspace, {
    body: { owner: user, purpose: "editing", ttl_ms: TTL_MS },
  });
  const told = await asked.json();
  if (asked.status === 423) return answer(response, 423, busy(workspace, told));
  if (asked.status !== 201)
    return answer(response, 503, "<p>Workspaces cannot be opened just now.</p>");
  const scope = `Path=/${encodeURIComponent(workspace)}; HttpOnly; SameSite=Strict`;
  response.setHeader("Set-Cookie", `${cookieOf(user)}=${told.lease}; ${scope}`);
  answer(response, 200, editor(workspace, user));
}

// As long as the page listens. When it is closed the lease is not renewed any more, and ends by its
// ttl: the page may have been reloaded.
async function keepOpen(workspace, user, mine, response) {
  const closed = new AbortController();
  response.on("close", () => closed.abort());
  const id = mine ?? "0".repeat(32);
  const session = await lease("GET", workspace, { id, path: "/session", signal: closed.signal });
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  if (session.ok)
    for await (const events of session.body) response.write(events); // renewed …, at last: lost
  else response.write(`event: ${session.status === 410 ? "lost" : "unavailable"}\ndata: {}\n\n`);
  response.end();
}

async function serve(request, response) {
  const url = new URL(request.url, "http://localhost");
  const [workspace, what] = url.pathname.slice(1).split("/").map(decodeURIComponent);
  const user = url.searchParams.get("user") ?? "somebody";
  const mine = mineIn(request, user);
  await (what === "open" ? keepOpen : open)(workspace, user, mine, response);
}

const server = http.createServer((request, response) =>
  serve(request, response).catch((error) => {
    if (error instanceof URIError) answer(response, 400);
    else if (error.name !== "AbortError" && !response.headersSent)
      answer(response, 503, "<p>Workspaces cannot be opened just now.</p>");
    else response.end();
  }),
);
server.listen(Number(process.argv[2] ?? 8000), "127.0.0.1", () =>
  console.log(`http://127.0.0.1:${server.address().port}/plan?user=alice`),
);
