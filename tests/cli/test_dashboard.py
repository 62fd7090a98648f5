# SPDX-License-Identifier: Apache-2.0
"""The dashboard of `leasehold serve`, in a real browser, at a real server."""
import datetime
import re
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from browser import BROWSER, DRIVER, page  # noqa: F401  (a fixture)
from conftest import URI, wait_until
from selenium.webdriver.common.keys import Keys
from serving import (
    ADMIN,
    CLIENT,
    Answer,
    Server,
    WithEnvironment,
    key,
    path_of,
    STANDALONE,
    program_on,
    ready,
    tokens,
)  # noqa: F401  (fixtures among them)
from tunnel import Tunnel

if not BROWSER or not DRIVER:
    pytest.skip(
        (
            "THE DASHBOARD IS NOT TESTED: there is no chromium, or no chromedriver; scripts/setup"
            " test installs them"
        ),
        allow_module_level=True,
    )

HOSTILE = "<img src=x onerror=window.harmed=1>"


@pytest.fixture(scope="module")
def guarded(ready, tokens):
    server = Server(
        ready,
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        tokens / "clients",
        "--admin-token-file",
        tokens / "admins",
        token=CLIENT,
    )
    yield server
    server.end()


@pytest.fixture
def live(page, guarded):
    """The page, with an admin's token; nobody has complained in the end."""
    page.open(guarded, ADMIN)
    page.wait_for_state("Live")
    yield page
    assert page.console() == []


@pytest.fixture
def serve(page):
    """Starts servers, each seen in the page at most as long as the test."""
    started = []

    def start(cli, *args):
        started.append(Server(cli, *args))
        return started[-1]

    yield start
    page.driver.get("about:blank")
    for server in started:
        if server.process.poll() is None:
            server.end()


@pytest.fixture(autouse=True)
def locks(client, ready):
    """The shared server's leases; none, at first."""
    locks = client[ready.env["LEASEHOLD_DB"]].workspace_locks
    locks.delete_many({})
    return locks


def seconds(text):
    """Of "1:02:03"."""
    return sum(int(part) * 60**i for i, part in enumerate(reversed(text.split(":"))))


def get(server, path, **headers):
    connection = server.connect()
    connection.request("GET", path, headers=headers)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


# ---- what is served ----


def test_the_files_are_served_to_anybody_and_nothing_runs_from_elsewhere(guarded):
    types = {
        "html": "text/html",
        "css": "text/css",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    seen, todo = {}, ["/", "/dashboard/index.html"]
    while todo:
        path = todo.pop()
        answer = get(guarded, path)
        kind = "html" if path == "/" else path.rpartition(".")[2]
        assert (
            answer.status == 200 and answer.headers["Content-Type"].split(";")[0] == types[kind]
        ), path
        assert (
            answer.headers["X-Content-Type-Options"] == "nosniff"
            and answer.headers["Cache-Control"] == "no-cache"
        )
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        policy = answer.headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy
            and "frame-ancestors 'none'" in policy
            and "trusted-types 'none'" in policy
        )
        assert "unsafe" not in policy and "http" not in policy
        again = get(guarded, path, **{"If-None-Match": answer.headers["ETag"]})
        assert (
            again.status == 304
            and again.body == b""
            and again.headers["ETag"] == answer.headers["ETag"]
        )
        assert get(guarded, path, **{"If-None-Match": '"another"'}).body == answer.body
        seen[path] = text = answer.body.decode()
        found = (
            re.findall(r'(?:href|src)="(dashboard/[^"]+)"', text)
            if kind == "html"
            else re.findall(r'from "\./([^"]+)"', text)
        )
        todo += (
            {"/dashboard/" + name.removeprefix("dashboard/") for name in found}
            - set(seen)
            - set(todo)
        )
    print(
        {path: len(text) for path, text in sorted(seen.items())},
        sum(map(len, seen.values())),
        "characters",
    )
    assert len(seen) > 5
    assert not re.search(
        r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", seen["/"]
    ), "inline script or style"
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://",
        "".join(text for path, text in seen.items() if path.endswith(".js")),
    )
    assert (
        get(guarded, "/dashboard/nothing.js").status
        == get(guarded, "/dashboard/..%2Fstyle.css").status
        == 404
    )


def test_it_is_told_what_it_may_do(guarded, ready):
    def may(server, **head):
        answer = get(server, "/v1/whoami", **head).json
        return answer["may"], answer["needs_token"], answer["breaks"]

    assert may(guarded) == ("look_in", True, True)
    assert may(guarded, Authorization=f"Bearer {CLIENT}") == ("call", True, True)
    assert may(guarded, Authorization=f"Bearer {ADMIN}") == ("break", True, True)
    plain = Server(ready, "--listen", "127.0.0.1:0")
    assert may(plain) == ("call", False, False)
    plain.end()


def test_who_was_refused_last_is_remembered_within_bounds(guarded, locks, key):
    def refuse(key, owner):
        assert guarded.acquire(key, owner).status == 423

    def since(after):
        return guarded("GET", f"/v1/busy?after={after}").json

    begin = since(0)["next"]
    guarded.held(key, ttl_ms=600000)
    refuse(key, "bob")
    refuse(key, "carol")
    told = since(begin)
    assert [(one["key"], one["owner"], one["reason"], one["n"]) for one in told["busy"]] == [
        (key, "carol", "held", 2)
    ]
    assert since(told["next"]) == {"v": 1, "busy": [], "next": told["next"]}
    many = [f"{key}:{i}" for i in range(256)]
    locks.insert_many([{"workspace_id": one, "id": one, "expires_at": None} for one in many])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refuse, many, ["dave"] * len(many)))
    assert sorted(one["key"] for one in since(0)["busy"]) == sorted(
        many
    ), "the key that was refused before all others made room"
    assert guarded("GET", "/v1/busy?after=x").status == 400


# ---- what is seen ----


@pytest.mark.parametrize("uri", [URI, STANDALONE], ids=["set", "standalone"])
def test_leases_as_they_come_and_go(page, serve, uri, key):
    with program_on(uri) as cli:
        server = serve(cli, "--listen", "127.0.0.1:0")
        page.open(server)
        wait_until(
            lambda: "No key is held" in page.text("#empty") and server.name in page.text("#empty")
        )
        lease = server.held(key, purpose="rebuild", ttl_ms=20000)
        assert server.acquire(key, "carol").status == 423
        row = page.wait_for(key)
        assert row["owner"][0] == "alice" and row["key"] == key and row["state"] == "held"
        assert page.text("#rows .key .second") == "rebuild" and page.text("#figure-held") == "1"
        first = seconds(row["ends"][0])
        assert 15 <= first <= 20
        page.wait_for(key, lambda row: seconds(row["ends"][0]) <= first - 2)
        page.wait_for(key, lambda row: row["queue"][1].startswith("refused carol "))
        server("PATCH", path_of(key), {"ttl_ms": 300000}, {"Lease-Id": lease})
        page.wait_for(key, lambda row: seconds(row["ends"][0]) > 290)
        waiting = server.wait(key, "bob")
        page.wait_for(key, lambda row: row["queue"][0] == "1 waiting")
        server.release(key, lease)
        page.wait_for(key, lambda row: row["owner"][0] == "bob" and row["queue"][0] == "")
        server.release(key, Answer(waiting.getresponse()).json["lease"])
        page.wait_for(key, lambda row: row["state"] == "free")
        wait_until(lambda: page.row(key) is None)
        assert page.text("#figure-held") == "0"
        wait_until(lambda: any(event.startswith("bob got " + key) for event in page.events()))
        assert page.console() == []


def test_what_others_wrote_is_text(live, guarded):
    marks = "\u202e\u2066\u061c\u00ad\U000e0041"
    hostile = HOSTILE + marks + secrets.token_hex(2)
    shown = hostile.replace(marks, r"\u202e\u2066\u061c\u00ad\U000e0041")
    guarded.held(
        hostile,
        owner="<script>window.harmed=2</script>" + marks,
        purpose='"><b onmouseover=window.harmed=3>' + marks,
        ttl_ms=600000,
    )
    guarded.acquire(hostile, owner="refused" + marks)
    row = live.wait_for(hostile)
    assert row["owner"][0].startswith("<script>")
    wait_until(lambda: any(HOSTILE in event for event in live.events()))
    live.look(hostile)
    assert live.text("#detail-key") == shown and '"><b onm' in live.text("#detail-body")
    live.at("#detail-break").click()
    assert HOSTILE in live.text("#break-who")
    assert live.js(
        "return [window.harmed ?? null, document.querySelectorAll('#rows img, #events img, dialog"
        " img, dialog b b, script:not([src])').length]"
    ) == [None, 0]
    page = live.js(
        "return document.body.textContent + [...document.querySelectorAll('[title]')].map((one) =>"
        " one.title).join()"
    )
    assert shown in page and not [mark for mark in marks if mark in page]
    live.press(Keys.ESCAPE)
    live.press(Keys.ESCAPE)


def test_filter_and_sort(live, guarded, key):
    for i, owner in enumerate(["zoe", "Yann", "xena"]):
        guarded.held(f"{key}:{i}", owner=owner, ttl_ms=[600000, 500000, 900000][i])
    guarded.wait(f"{key}:1", "walt").close()
    live.wait_for(f"{key}:2")
    live.write("#prefix", key)
    wait_until(lambda: [row["key"] for row in live.rows()] == [f"{key}:{i}" for i in range(3)])
    order = lambda: [row["key"][-1] for row in live.rows()]
    for name, expected in (("owner", "120"), ("ends", "102"), ("since", "012"), ("key", "012")):
        live.at(f"[data-sort={name}]").click()
        wait_until(lambda: "".join(order()) == expected)
        assert (
            live.js(
                (
                    "return"
                    " document.querySelector(`[data-sort=${arguments[0]}]`).parentElement.ariaSort"
                ),
                name,
            )
            == "ascending"
        )
    live.at("[data-sort=key]").click()
    wait_until(lambda: "".join(order()) == "210")
    live.at("[data-sort=key]").click()
    live.write("#owner", "yan")
    wait_until(lambda: order() == ["1"])
    assert all("Yann" in event or "yan" in event for event in live.events())
    wait_until(lambda: live.text("#said").startswith("1 of "))
    live.write("#prefix", key.upper())
    wait_until(lambda: "No lease matches" in live.text("#empty"))
    live.at("#empty button").click()
    wait_until(lambda: len(live.rows()) >= 3)


# ---- what is done ----


def test_breaking_asks_first_and_needs_an_admin(page, guarded, locks, key):
    guarded.held(key, purpose="stuck work", ttl_ms=600000)
    page.open(guarded, CLIENT)
    page.wait_for(key)
    page.look(key)
    wait_until(lambda: "needs an admin" in page.text("#detail-foot"))
    page.at("#detail-break").click()
    page.write("#token-input", ADMIN)
    page.press(Keys.ENTER)
    wait_until(lambda: page.text("#detail-break") == "Break the lease…")
    page.at("#detail-break").click()
    assert page.is_open("#break") and {"alice", "stuck work", key} <= set(
        page.js(
            "return [...document.querySelectorAll('#break-who bdi')].map((part) =>"
            " part.textContent)"
        )
    )
    page.at("#break-do").click()
    assert (
        page.is_open("#break") and locks.find_one({"workspace_id": key})["owner"] == "alice"
    )  # without a reason nothing is done
    page.write("#break-reason", "does not answer")
    page.write("#break-by", "op")
    page.at("#break-do").click()
    wait_until(lambda: not page.is_open("#break"))
    released = locks.find_one({"workspace_id": key})["released"]
    assert (released["how"], released["by"], released["reason"]) == (
        "break",
        "op",
        "does not answer",
    )
    wait_until(
        lambda: any(
            event == f"op broke the lease of alice on {key}: does not answer"
            for event in page.events()
        )
    )
    wait_until(lambda: "was broken" in page.text("#detail-body"))
    assert page.console() == []


def test_only_the_grant_that_was_shown_is_broken(page, guarded, locks, key):
    lease = guarded.held(key, ttl_ms=600000)
    page.open(guarded, ADMIN)
    page.wait_for(key)
    page.look(key)
    wait_until(lambda: page.text("#detail-break"))
    page.at("#detail-break").click()
    page.write("#break-reason", "x")
    guarded.release(key, lease)
    guarded.held(key, owner="bob", ttl_ms=600000)
    page.at("#break-do").click()
    wait_until(lambda: "nothing was done" in page.text("#break-wrong"))
    assert locks.find_one({"workspace_id": key})["owner"] == "bob"
    assert [entry for entry in page.console() if "409" not in entry] == []


def test_it_asks_for_a_token_and_keeps_it_in_the_tab(page, guarded, key):
    guarded.held(key, ttl_ms=600000)
    page.open(guarded)
    wait_until(lambda: page.is_open("#token"))
    assert page.text("#state-text") == "Token needed" and page.rows() == []
    page.write("#token-input", "wrong-token-0123456789")
    page.press(Keys.ENTER)
    wait_until(lambda: "does not know this token" in page.text("#token-wrong"))
    page.write("#token-input", CLIENT)
    page.press(Keys.ENTER)
    page.wait_for(key)
    assert page.js(
        "return [localStorage.length, document.cookie, Object.values(sessionStorage).join(),"
        " location.href]"
    ) == [0, "", CLIENT, guarded.name + "/"]
    page.driver.refresh()
    page.wait_for(key)
    page.at("#open-token").click()
    page.at("#token-forget").click()
    page.wait_for_state("Token needed")
    assert page.js("return sessionStorage.length") == 0 and page.console() == []


def test_by_keyboard(live, guarded, key):
    for i in range(30):
        guarded.held(f"{key}:{i:02}", ttl_ms=600000)
    live.wait_for(f"{key}:00")
    live.press(Keys.TAB)
    assert live.text(":focus") == "Skip to the leases"
    live.press(Keys.ENTER)
    assert live.focused() == "leases"
    live.press("/")
    assert live.focused() == "prefix"
    live.press(key + ":")
    wait_until(
        lambda: live.rows()[0]["key"] == f"{key}:00" and live.text("#count").startswith("30 ")
    )
    live.at("#leases").send_keys(Keys.ARROW_DOWN)
    assert live.focused() == f"{key}:00"
    live.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert live.focused() == f"{key}:02"
    live.press(Keys.END)
    assert live.focused() == f"{key}:29"
    live.press(Keys.PAGE_UP)
    assert f"{key}:10" < live.focused() < f"{key}:29"
    live.press(Keys.HOME, Keys.ENTER)
    assert live.is_open("#detail") and live.text("#detail-key") == f"{key}:00"
    live.press(Keys.ESCAPE)
    assert not live.is_open("#detail") and live.focused() == f"{key}:00"
    live.press("?")
    assert live.is_open("#help")
    live.at("#shortcuts").click()
    live.press(Keys.ESCAPE)
    live.press("?")
    assert not live.is_open("#help")


# ---- when something is gone ----


def test_a_server_that_is_gone_is_said_and_found_again(page, ready, serve, key):
    with socket.create_server(("127.0.0.1", 0)) as free:
        where = f"127.0.0.1:{free.getsockname()[1]}"
    server = serve(ready, "--listen", where)
    server.held(key, ttl_ms=600000)
    page.open(server)
    page.wait_for(key)
    assert page.console() == []
    server.process.kill()
    page.wait_for_state("No connection")
    assert (
        "No connection to the server" in page.text("#banner")
        and page.row(key)
        and page.js("return document.body.dataset.stale") == "true"
    )
    server.process.wait()
    server = serve(ready, "--listen", where)
    server.held(key + ":2", ttl_ms=600000)
    page.wait_for_state("Live")
    page.wait_for(key + ":2")
    assert page.js(
        "return [document.querySelector('#banner').hidden, document.body.dataset.stale]"
    ) == [True, "false"]
    assert [entry for entry in page.console() if "net::ERR_" not in entry] == []


def test_a_database_that_is_gone_is_said_and_found_again(page, serve, key):
    with Tunnel(STANDALONE) as tunnel, program_on(tunnel.uri) as cli:
        server = serve(WithEnvironment(cli, {"LEASEHOLD_TIMEOUT": "1s"}), "--listen", "127.0.0.1:0")
        server.held(key, ttl_ms=600000)
        page.open(server)
        page.wait_for(key)
        tunnel.frozen = True
        page.wait_for_state("No database", 15)
        assert "The database does not respond" in page.text("#banner") and page.row(key)
        tunnel.frozen = False
        page.wait_for_state("Live", 15)
        server.held(key + ":2")
        page.wait_for(key + ":2")
        assert [entry for entry in page.console() if "503" not in entry] == []


# ---- many; and for everybody ----


def test_ten_thousand_leases(live, locks, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    locks.insert_many(
        [
            {
                "_id": f"{key}:{i:05}",
                "workspace_id": f"{key}:{i:05}",
                "id": secrets.token_hex(16),
                "owner": f"owner {i % 100}",
                "mode": "exclusive",
                "token": i + 1,
                "purpose": "many",
                "v": 1,
                "ttl_ms": 3600000,
                "acquired_at": now,
                "renewed_at": now,
                "expires_at": now + datetime.timedelta(seconds=3600 + i),
            }
            for i in range(10000)
        ]
    )
    live.driver.refresh()
    live.wait_for_state("Live", 30)
    live.write("#prefix", key)
    wait_until(lambda: live.at("#leases").get_attribute("aria-rowcount") == "10001", 30)
    assert 5 < len(live.rows()) < 60
    before = live.metrics()
    changed, rows = live.driver.execute_async_script(
        """const done = arguments[0], seen = new Set();
      const row = (node) => node.closest?.("tr") ?? node.parentElement?.closest("tr");
      const observer = new MutationObserver(
        (all) => all.forEach((one) => seen.add(row(one.target))));
      observer.observe(document.querySelector("#rows"),
        {subtree: true, childList: true, characterData: true, attributes: true});
      setTimeout(() => {
        observer.disconnect();
        done([seen.size, document.querySelectorAll("#rows tr").length]);
      }, 2000)"""
    )
    idle = live.metrics()
    assert rows >= changed >= 5, "only what can be seen ticks"
    frames = live.driver.execute_async_script(
        """const done = arguments[0], frames = []; let last = performance.now(), rows = 0;
      requestAnimationFrame(function step(now) {
        frames.push(now - last); last = now; window.scrollBy(0, 3000);
        rows = Math.max(rows, document.querySelectorAll("#rows tr").length);
        if (frames.length < 80) requestAnimationFrame(step); else done([frames.slice(1), rows]);
      })"""
    )
    after = live.metrics()
    assert frames[1] < 60
    spent = lambda a, b: {
        name: round(1000 * (b[name] - a[name]))
        for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration")
    }
    print(
        f"10,000 leases: in 2 s idle {spent(before, idle)} ms; 80 frames scrolled"
        f" {spent(idle, after)} ms, a frame {sorted(frames[0])[40]:.0f} ms, p95"
        f" {sorted(frames[0])[75]:.0f}; heap {after['JSHeapUsedSize'] / 1e6:.1f} MB"
    )
    live.at("#leases").send_keys(Keys.END)
    wait_until(lambda: live.focused() == live.rows()[-1]["key"])
    locks.update_one(
        {"_id": f"{key}:09999"},
        {"$set": {"owner": "somebody else", "id": secrets.token_hex(16), "token": 20000}},
    )
    live.wait_for(f"{key}:09999", lambda row: row["owner"][0] == "somebody else")


def test_nobody_is_shut_out(live, guarded, key):
    guarded.held(key, purpose="work", ttl_ms=600000)
    waiting = guarded.wait(key, "bob")
    live.wait_for(key, lambda row: row["queue"][0])
    for size, scheme in (((1360, 900), "light"), ((390, 844), "dark")):
        live.resize(*size)
        live.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        assert live.barriers() == [], (size, scheme)
    assert live.js(
        "return document.documentElement.scrollWidth <= innerWidth"
    ), "a phone scrolls down only"
    live.look(key)
    wait_until(lambda: live.text("#detail-break"))
    assert live.barriers() == []
    live.at("#detail-break").click()
    assert live.barriers() == []
    live.press(Keys.ESCAPE)
    live.press(Keys.ESCAPE)
    live.prefer()
    live.resize(1360, 900)
    waiting.close()
