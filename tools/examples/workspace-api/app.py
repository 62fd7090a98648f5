#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workspaces that one user edits at a time: FastAPI, with leasehold.aio.

    python3 app.py 8000         # then open http://127.0.0.1:8000/login?user=alice&workspace=plan

Environment: LEASEHOLD_URI, LEASEHOLD_DB (also for the texts), LEASEHOLD_TTL, LEASEHOLD_MODE and so
on; ADMINS, the names of those who may break a lease.

The lease id is in a cookie of the browser, and nowhere in this process. So after a reload, a
restart, or on another instance of the application the same user goes on with the same lease. It is
renewed as long as the page keeps its session open, and otherwise ends by its ttl. The texts have a
fence: a lease that was taken over cannot overwrite what the next user has opened."""
import asyncio
import contextlib
import json
import logging
import math
import os
import socket
import sys
from pathlib import Path
from typing import List
from urllib.parse import quote, unquote

import leasehold
import uvicorn
from fastapi import Cookie, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from leasehold import aio
from pydantic import BaseModel
from pymongo import AsyncMongoClient, ReturnDocument

log = logging.getLogger("uvicorn.error")
ADMINS = os.environ.get("ADMINS", "").split()
MIGRATE_AGAIN = float(os.environ.get("MIGRATE_AGAIN", "30"))  # seconds


async def prepare(store):
    """Creates the index, and moves duplicates away. Until that has worked, nobody gets a lease,
    but the application runs."""
    while True:
        try:
            log.info("leases are ready: %s", await store.migrate())
            return
        except leasehold.Error as why:
            log.error("leases are not ready: %s", why)
        await asyncio.sleep(MIGRATE_AGAIN)


@contextlib.asynccontextmanager
async def lifespan(app):
    # for_others: a restart of the application releases nothing.
    options = {"at_open": "nothing", "for_others": True}
    async with aio.Store.from_environment(**options) as app.state.store:
        async with AsyncMongoClient(os.environ["LEASEHOLD_URI"]) as client:
            app.state.texts = client[os.environ["LEASEHOLD_DB"]].texts
            preparing = asyncio.ensure_future(prepare(app.state.store))
            yield
            preparing.cancel()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(leasehold.Busy)
async def locked(_, busy):
    """423 with what a countdown needs."""
    holder, retry_after = busy.holder, math.ceil(busy.retry_after)
    left = holder.remaining if holder and math.isfinite(holder.remaining) else None
    body = {"detail": str(busy), "holder": holder and holder.owner, "remaining": left}
    return JSONResponse(
        {**body, "retry_after": retry_after}, 423, headers={"Retry-After": str(retry_after)}
    )


@app.exception_handler(leasehold.Lost)
async def lost(_, why):
    return JSONResponse({"detail": str(why)}, 410)


@app.exception_handler(leasehold.Invalid)
async def invalid(_, why):
    return JSONResponse({"detail": str(why)}, 400)


@app.exception_handler(leasehold.Error)
async def unavailable(_, why):
    log.error("%s", why)
    return JSONResponse({"detail": "Workspaces cannot be opened at the moment."}, 503)


def current_user(user: str = Cookie("")):
    if not user:
        raise HTTPException(401, "log in first")
    return user


def current_admin(user: str = Depends(current_user)):
    if user not in ADMINS:
        raise HTTPException(403, "only for admins")
    return user


def the_store(request: Request):
    return request.app.state.store


def the_texts(request: Request):
    return request.app.state.texts


def key_of(workspace: str):
    return leasehold.key_join("workspace", workspace)


async def my_lease(
    key: str = Depends(key_of),
    user: str = Depends(current_user),
    store=Depends(the_store),
    lease: str = Cookie(""),
):
    """The guard of what only the holder may do: this browser's lease for this user, renewed."""
    owner, _, lease_id = lease.partition(":")
    if unquote(owner) != user:
        raise leasehold.Lost("this browser has no lease on the workspace", code="lost")
    mine = store.attach(key, lease_id)
    await mine.renew()
    return mine


class Text(BaseModel):
    text: str


class Reason(BaseModel):
    reason: str


@app.post("/workspaces/{workspace}/lock")
async def lock(
    workspace: str,
    response: Response,
    key: str = Depends(key_of),
    user: str = Depends(current_user),
    store=Depends(the_store),
    texts=Depends(the_texts),
    lease: str = Cookie(""),
):
    """Opens the workspace for editing. 423: another user has it."""
    try:
        mine = await my_lease(key, user, store, lease)
    except leasehold.Lost:  # resume: also the lease of this user in another browser
        mine = await store.acquire(key, owner=user, purpose="editing", resume=True, by_hand=True)
    response.set_cookie(
        "lease",
        f"{quote(user)}:{mine.id}",
        path=f"/workspaces/{quote(workspace)}",
        httponly=True,
        samesite="strict",
    )
    found = await texts.find_one_and_update(
        {"_id": workspace},
        {"$max": {"fence": mine.token}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    warning = str(mine.refusal) if mine.refusal else None  # in a store that only observes
    return {"text": found.get("text", ""), "remaining": mine.remaining, "warning": warning}


@app.get("/workspaces/{workspace}/session")
async def session(mine: aio.Lease = Depends(my_lease)):
    """Server-sent events. The lease is renewed while this stream is open."""

    async def renewals():
        while mine.valid:
            yield f"event: renewed\ndata: {json.dumps(mine.remaining)}\n\n"
            await asyncio.sleep(mine.remaining / 3)
            with contextlib.suppress(leasehold.Error):  # it may work the next time
                try:
                    await mine.renew()
                except leasehold.Lost:
                    break
        yield "event: lost\ndata: 0\n\n"

    return StreamingResponse(renewals(), media_type="text/event-stream")


@app.put("/workspaces/{workspace}")
async def save(
    workspace: str,
    body: Text,
    mine: aio.Lease = Depends(my_lease),
    user: str = Depends(current_user),
    texts=Depends(the_texts),
):
    """410: the lease was lost, and nothing is saved."""
    selected = {"_id": workspace}
    if mine.enforced:
        selected["fence"] = {"$lte": mine.token}
    saved = await texts.update_one(selected, {"$set": {"text": body.text, "by": user}})
    if not saved.matched_count:
        raise leasehold.Lost("another user has opened the workspace since", code="lost")
    return {"remaining": mine.remaining}


@app.delete("/workspaces/{workspace}/lock")
async def unlock(mine: aio.Lease = Depends(my_lease)):
    await mine.release()
    return {}


@app.get("/workspaces")
async def status(
    name: List[str] = Query(), user: str = Depends(current_user), store=Depends(the_store)
):
    """The states of many workspaces, for a list, with one command."""
    keys = [key_of(each) for each in name]
    held = {each.key: each for each in await store.list(keys=keys)}
    return {each: state_of(held.get(key), user) for each, key in zip(name, keys)}


def state_of(found, user):
    if found is None:
        return {"state": "free"}
    owners = [holder.owner for holder in found.holders]
    return {"state": found.state, "holders": owners, "mine": user in owners}


@app.post("/workspaces/{workspace}/break")
async def break_lease(
    body: Reason,
    key: str = Depends(key_of),
    admin: str = Depends(current_admin),
    store=Depends(the_store),
):
    """Ends the lease of another user. The reason and the admin's name are kept."""
    broken = await store.break_(key, reason=body.reason, by=admin)
    return {"holders": [holder.owner for holder in broken.holders]}


@app.get("/login")
async def login(user: str, workspace: str):
    """Stands for the login of your application."""
    response = RedirectResponse(f"/edit/{quote(workspace, safe='')}")
    response.set_cookie("user", user, httponly=True, samesite="strict")
    return response


@app.get("/edit/{workspace}")
async def page(_: str = Depends(current_user)):
    return FileResponse(Path(__file__).parent / "page.html")


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
