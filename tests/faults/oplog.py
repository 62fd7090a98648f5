# SPDX-License-Identifier: Apache-2.0
"""The oplog rolls over: somebody else's writes push out what the clients' change streams stood at,
while some clients are stopped."""
import json
import os
import signal
import threading
import time
from pathlib import Path

import pymongo

FILLING = os.urandom(200_000)
STREAM_WAITS_S = 1.5  # so long the server may go on reading for a client that was stopped
GIVE_UP_S = 12
PAUSE_S = 0.15  # between fills: who reads the oplog ten times a second keeps up
LOST = [136, 286]  # CappedPositionLost, ChangeStreamHistoryLost


def processes_of(pid):
    """Those that torture started, with what they are in its history."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        for line in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            if line.startswith(b"LEASEHOLD_TORTURE_PROCESS="):
                p, life, *_ = line.partition(b"=")[2].split()
                yield int(child), int(p), int(life)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # torture's own fault: it was killed


class Rolling:
    """Goes on until nothing is left of when it began, then lets the stopped clients go on."""

    def __init__(self, client, database, history, stopped):
        self.client, self.database, self.history, self.stopped = (
            client,
            client[database],
            history,
            stopped,
        )
        self.rolled, self.lost, self.enough = False, 0, threading.Event()
        self.began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.database.command("profile", 1, filter={"errCode": {"$in": LOST}})
        for pid, _, _ in stopped:
            send(pid, signal.SIGSTOP)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def end_of_oplog(self, which):
        return self.client.local["oplog.rs"].find_one(
            sort=[("$natural", which)], projection=["ts"]
        )["ts"]

    def run(self):
        newest, n = None, 0
        self.enough.wait(STREAM_WAITS_S)
        while not (self.enough.is_set() or self.rolled):
            try:
                newest = newest or self.end_of_oplog(-1)
                self.fill(n := n + 1)
                self.enough.wait(PAUSE_S)
                self.rolled = self.end_of_oplog(1) > newest
            except pymongo.errors.PyMongoError:
                time.sleep(0.1)
        for pid, _, _ in self.stopped:
            send(pid, signal.SIGCONT)
        self.tell()
        self.enough.wait(STREAM_WAITS_S)  # until they have asked, and were refused

    def fill(self, n):
        """A fifth of the oplog. No member is left behind: it would never come back."""
        all_members = pymongo.WriteConcern(w=len(self.client.nodes), wtimeout=1000)
        self.client.leasehold_faults.get_collection(
            "filling", write_concern=all_members
        ).bulk_write(
            [
                pymongo.ReplaceOne({"_id": i}, {"n": n, "filling": FILLING}, upsert=True)
                for i in range(3)
            ]
        )

    def tell(self):
        """As torture does of those that it stops."""
        ms = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.began_ns) // 1_000_000 + 1000
        with open(self.history, "ab", buffering=0) as history:
            for _, p, life in self.stopped:
                history.write(
                    json.dumps(
                        {
                            "e": "fault",
                            "t": self.began_ns,
                            "kind": "pause",
                            "p": p,
                            "life": life,
                            "ms": ms,
                        }
                    ).encode()
                    + b"\n"
                )

    def is_going_on(self):
        return (
            self.thread.is_alive()
            and time.clock_gettime_ns(time.CLOCK_BOOTTIME) < self.began_ns + GIVE_UP_S * 10**9
        )

    def finish(self):
        self.enough.set()
        self.thread.join()
        self.lost = self.database["system.profile"].count_documents({"errCode": {"$in": LOST}})
        self.database.command("profile", 0)
