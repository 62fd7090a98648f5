#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A workspace that one person edits at a time: a web application with leases from `leasehold
serve`, by requests.

    leasehold serve --listen 127.0.0.1:8080 &
    python3 workspace.py 8000    # open http://127.0.0.1:8000/plan?user=alice, and as bob

Whoever comes first edits. The page sends a heartbeat, which renews the lease; once it is closed,
the heartbeats end, and so does the lease, by its ttl. Whoever comes second is told who edits, and
when it is worth trying again."""
import os
import sys
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

import requests

LEASEHOLD = os.environ.get("LEASEHOLD_HTTP", "http://127.0.0.1:8080")
TTL_MS = int(os.environ.get("TTL_MS", "30000"))
http = requests.Session()
if "LEASEHOLD_TOKEN" in os.environ:
    http.headers["Authorization"] = "Bearer " + os.environ["LEASEHOLD_TOKEN"]
# (workspace, user) -> lease id: a secret between this server and leasehold. In a real one, part of
# the user's session.
leases = {}

EDITOR = """<!doctype html><title>{workspace}</title><h1>{workspace}</h1>
<p>You are editing, {user}.</p><textarea></textarea>
<script>
const beat = setInterval(async () => {{
  const answer = await fetch(location.href, {{method: "POST"}});
  if (answer.status != 410) return;
  clearInterval(beat);
  document.querySelector("textarea").disabled = true;
  alert("You lost the lease.");
}}, {beat_ms});
addEventListener("pagehide", () => fetch(location.href, {{method: "DELETE", keepalive: true}}));
</script>"""

BUSY = """<!doctype html><title>{workspace}</title><h1>{workspace}</h1>
<p><b>{holder}</b> is editing. Free in <span id="seconds">{seconds}</span> s, unless it goes on.</p>
<script>
setInterval(() => {{ if (--seconds.textContent <= 0) location.reload(); }}, 1000);
</script>"""


def lease(method, workspace, lease_id=None, **body):
    headers = {"Lease-Id": lease_id} if lease_id else {}
    return http.request(
        method,
        f"{LEASEHOLD}/v1/leases/workspace:{quote(workspace, safe='')}",
        json=body or None,
        headers=headers,
        timeout=15,
    )


class Workspace(BaseHTTPRequestHandler):
    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def who(self):
        url = urlsplit(self.path)
        return url.path.strip("/"), dict(parse_qsl(url.query)).get("user", "somebody")

    def do_GET(self):  # opens the workspace
        workspace, user = self.who()
        names = {"workspace": escape(workspace), "user": escape(user)}
        mine = leases.get((workspace, user))
        if mine and lease("PATCH", workspace, mine).ok:  # the page was loaded again
            self.answer(200, EDITOR.format(**names, beat_ms=TTL_MS // 3))
            return
        asked = lease("POST", workspace, owner=user, purpose="editing", ttl_ms=TTL_MS)
        if asked.status_code == 201:
            leases[workspace, user] = asked.json()["lease"]
            self.answer(200, EDITOR.format(**names, beat_ms=TTL_MS // 3))
        elif asked.status_code == 423:
            busy = asked.json()
            holder = (
                busy["holder"] or {}
            )  # none: others are in line; a lock of older code may have no name, and no end
            seconds = -(-(holder.get("remaining_ms") or busy["retry_after_ms"]) // 1000)
            self.answer(
                423,
                BUSY.format(
                    **names, holder=escape(holder.get("owner") or "somebody"), seconds=seconds
                ),
            )
        else:
            self.answer(503, "<p>Workspaces cannot be opened just now.</p>")

    def do_POST(self):  # the heartbeat
        workspace, user = self.who()
        renewed = lease("PATCH", workspace, leases.get((workspace, user), "0" * 32))
        self.answer(renewed.status_code if renewed.status_code in (200, 410) else 503)

    def do_DELETE(self):  # the page was closed
        workspace, user = self.who()
        lease("DELETE", workspace, leases.pop((workspace, user), "0" * 32))
        self.answer(200)


if __name__ == "__main__":
    server = ThreadingHTTPServer(
        ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Workspace
    )
    print(f"http://127.0.0.1:{server.server_port}/plan?user=alice", flush=True)
    server.serve_forever()
