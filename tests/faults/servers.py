# SPDX-License-Identifier: Apache-2.0
"""A replica set to do harm to: three mongods, each with a clock, a disk, and a network of its own
where this machine lets us."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pymongo

DISK_MB = 480
# So small that it can be rolled over in seconds; it is cut at checkpoints, which come each second.
OPLOG_MB = 3
NOTHING_PASSES = (
    "tbf rate 8bit burst 1 limit 1".split()
)  # every packet is too large: netem is not in every kernel


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.returncode == 0


def find_faketime():
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


def may_make_networks(qdisc):
    """Namespaces with a cable between them, and such a queue on it."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        return False
    name = f"lhf-{os.getpid()}-try"
    try:
        return (
            run("ip", "netns", "add", name, check=False)
            and run(
                "ip",
                "-n",
                name,
                "link",
                "add",
                "name",
                "one",
                "type",
                "veth",
                "peer",
                "name",
                "two",
                check=False,
            )
            and run("tc", "-n", name, "qdisc", "add", "dev", "one", "root", *qdisc, check=False)
        )
    finally:
        run("ip", "netns", "del", name, check=False)


def may_mount():
    return os.geteuid() == 0 and run(
        "unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt", check=False
    )


def clock_environment(file):
    return {
        "LD_PRELOAD": find_faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(file, seconds):
    part = Path(f"{file}.part")
    part.write_text(f"{seconds:+.3f}\n")
    part.rename(file)


class Networks:
    """A switch in a namespace of its own, and one namespace for each name; this process is plugged
    in too."""

    def __init__(self, names):
        self.prefix, self.subnet = f"lhf-{os.getpid()}", f"10.213.{os.getpid() % 250}"
        self.uplink, self.names = f"lhf{os.getpid()}", list(names)
        self.sweep()
        self.switch = f"{self.prefix}-switch"
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "name", "switch", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "switch", "up")
        run(
            "ip",
            "link",
            "add",
            "name",
            self.uplink,
            "type",
            "veth",
            "peer",
            "name",
            "root",
            "netns",
            self.switch,
        )
        run("ip", "addr", "add", f"{self.subnet}.1/24", "dev", self.uplink)
        run("ip", "link", "set", self.uplink, "up")
        self.plug("root")
        for number, name in enumerate(self.names):
            space = self.space(name)
            run("ip", "netns", "add", space)
            run(
                "ip",
                "-n",
                self.switch,
                "link",
                "add",
                "name",
                name,
                "type",
                "veth",
                "peer",
                "name",
                "eth",
                "netns",
                space,
            )
            self.plug(name)
            run("ip", "-n", space, "addr", "add", f"{self.subnet}.{10 + number}/24", "dev", "eth")
            run("ip", "-n", space, "link", "set", "eth", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")

    @staticmethod
    def sweep():
        """What a run that was killed left behind."""
        for name in subprocess.run(
            ["ip", "netns", "list"], capture_output=True, text=True
        ).stdout.split():
            part = name.split("-")
            if part[0] == "lhf" and len(part) == 3 and not os.path.exists(f"/proc/{part[1]}"):
                run("ip", "netns", "del", name, check=False)

    def plug(self, name):
        run("ip", "-n", self.switch, "link", "set", name, "master", "switch")
        run("ip", "-n", self.switch, "link", "set", name, "up")

    def space(self, name):
        return f"{self.prefix}-{name}"

    def address(self, name):
        return f"{self.subnet}.{10 + self.names.index(name)}"

    def disturb(self, name, qdisc, to=True, back=True):
        """What goes to it meets it at the switch, what it sends at its own end."""
        if to:
            run("tc", "-n", self.switch, "qdisc", "replace", "dev", name, "root", *qdisc)
        if back:
            run("tc", "-n", self.space(name), "qdisc", "replace", "dev", "eth", "root", *qdisc)

    def split(self, name, whether=True):
        """What it sends to the other members goes to nobody; clients reach it, and it them."""
        for other in self.names:
            if other not in (name, "client") and whether:
                run(
                    "ip",
                    "-n",
                    self.space(name),
                    "neigh",
                    "replace",
                    self.address(other),
                    "lladdr",
                    "02:00:00:00:00:01",
                    "dev",
                    "eth",
                    "nud",
                    "permanent",
                )
            elif other not in (name, "client"):
                run(
                    "ip",
                    "-n",
                    self.space(name),
                    "neigh",
                    "del",
                    self.address(other),
                    "dev",
                    "eth",
                    check=False,
                )

    def calm(self, name):
        run("tc", "-n", self.switch, "qdisc", "del", "dev", name, "root", check=False)
        run("tc", "-n", self.space(name), "qdisc", "del", "dev", "eth", "root", check=False)

    def close(self):
        for name in self.names:
            run("ip", "netns", "del", self.space(name), check=False)
        run("ip", "netns", "del", self.switch, check=False)


class Member:
    def __init__(self, owner, number):
        self.owner, self.name = owner, f"m{number}"
        self.folder = owner.folder / self.name
        self.folder.mkdir()
        self.clock, self.filler = owner.folder / f"{self.name}.clock", self.folder / "filler"
        set_clock(self.clock, 0)
        self.mounted = owner.disks
        if self.mounted:
            run(
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={DISK_MB}m,mode=700",
                "leasehold-faults",
                self.folder,
            )
        self.host, self.port = "127.0.0.1", None
        if owner.networks:
            self.host, self.port = owner.networks.address(self.name), 27017
        else:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.process, self.ill = None, False  # ill: some fault holds it
        self.start()

    def start(self):
        """Dies with us."""
        command = [
            self.owner.mongod,
            f"--dbpath={self.folder}",
            f"--bind_ip={self.host}",
            f"--port={self.port}",
            "--nounixsocket",
            f"--replSet={self.owner.name}",
            f"--oplogSize={OPLOG_MB}",
            "--syncdelay=1",
            "--wiredTigerCacheSizeGB=0.25",
            "--setParameter=enableTestCommands=1",
            "--setParameter=diagnosticDataCollectionEnabled=false",
        ]
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        if self.owner.networks:
            command = ["ip", "netns", "exec", self.owner.networks.space(self.name), *command]
        environment = dict(os.environ)
        if self.owner.clocks:
            environment |= clock_environment(self.clock)
        with open(self.owner.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def is_dead(self):
        return self.process.poll() is not None

    def revive(self):
        if self.is_dead():
            self.start()

    def command(self, *words, timeout_ms=1500, **more):
        client = pymongo.MongoClient(
            self.host,
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
        )
        try:
            return client.admin.command(*words, **more)
        finally:
            client.close()

    def heal(self):
        """Switches off what torture could not, while it was away."""

        def off():
            for failpoint in ("stopReplProducer", "failCommand"):
                try:
                    self.command("configureFailPoint", failpoint, mode="off")
                except pymongo.errors.PyMongoError:
                    pass

        threading.Thread(target=off, daemon=True).start()

    def close(self):
        self.kill()
        if self.mounted:
            run("umount", "-l", self.folder, check=False)


class OwnSet:
    def __init__(self, mongod, folder):
        self.mongod, self.folder, self.name = mongod, Path(folder), "faults"
        self.clocks, self.disks = (
            find_faketime() is not None and shutil.which("setpriv") is not None,
            may_mount(),
        )
        self.networks, self.members, self.watch = None, [], None
        try:
            self.networks = (
                Networks(["m0", "m1", "m2", "client"])
                if may_make_networks(NOTHING_PASSES)
                else None
            )
            self.netem = may_make_networks(["netem", "delay", "1ms"])
            for number in range(3):
                self.members.append(Member(self, number))
            self.initiate()
            self.watch = pymongo.MongoClient(
                self.uri,
                heartbeatFrequencyMS=500,
                connectTimeoutMS=1000,
                socketTimeoutMS=1500,
                serverSelectionTimeoutMS=1500,
            )
        except BaseException:
            self.close()
            raise

    @property
    def uri(self):
        return (
            "mongodb://"
            + ",".join(f"{m.host}:{m.port}" for m in self.members)
            + f"/?replicaSet={self.name}"
        )

    def initiate(self):
        hosts = [{"_id": i, "host": f"{m.host}:{m.port}"} for i, m in enumerate(self.members)]
        config = {
            "_id": self.name,
            "members": hosts,
            "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
        }
        give_up = time.monotonic() + 60
        while True:
            try:
                self.members[0].command("replSetInitiate", config, timeout_ms=20000)
                break
            except pymongo.errors.PyMongoError as error:
                if getattr(error, "code", None) == 23:  # already
                    break
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.2)
        self.wait_until_well()

    def wait_until_well(self, seconds=90):
        """A primary, and two that follow it. A full disk ends a server only when it has written
        down why, which takes a while."""
        give_up = time.monotonic() + seconds
        states = []
        while time.monotonic() < give_up:
            for member in self.members:
                member.revive()
            try:
                states = sorted(
                    m["stateStr"] for m in self.members[0].command("replSetGetStatus")["members"]
                )
                if states == ["PRIMARY", "SECONDARY", "SECONDARY"]:
                    return
            except pymongo.errors.PyMongoError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"the set is not well after {seconds} s: {states}; logs: {self.folder}")

    def well(self):
        return [m for m in self.members if not m.ill]

    def primary(self):
        """Who was it when last heard of?"""
        return next((m for m in self.members if (m.host, m.port) == self.watch.primary), None)

    def close(self):
        if self.watch:
            self.watch.close()
        for member in self.members:
            if not member.is_dead():
                member.process.send_signal(signal.SIGCONT)
            member.close()
        if self.networks:
            self.networks.close()
