# SPDX-License-Identifier: Apache-2.0
"""The kinds of harm. Each is done at an instant of a schedule, and undone by what its deed returns,
a while later."""
import errno
import os
import signal

import pymongo

from oplog import Rolling, processes_of
from servers import NOTHING_PASSES, set_clock

# What `leasehold torture` does itself, to its processes and to the deployment.
OF_TORTURE = ["pause", "kill", "old", "stepdown", "lag", "rollback", "errors", "killops"]
GRACE_CLOCK_MS = 200  # to either side: two members differ by less than the grace of 500 ms


# Older code wrote under an _id of its own: only the index keeps it from a second document of a key.
NOT_TOGETHER = [("old", "index")]


class Cannot(Exception):
    """Not now: who it would meet is ill already, or away."""


class Harm:
    """One in `every` seconds on the average, for `lasts` seconds. `felt` is for how long after its
    end it may be felt."""

    def __init__(self, word, every, lasts, do, needs=None, far=False, felt=4):
        self.word, self.every, self.lasts, self.do, self.needs, self.far, self.felt = (
            word,
            every,
            lasts,
            do,
            needs,
            far,
            felt,
        )


def someone(world):
    """A member to make ill. At most one is, and in one case of four two are: then there is no
    majority."""
    well = world.set.well()
    if len(well) == 1 or (len(well) == 2 and world.dice.random() > 0.25):
        raise Cannot
    primary = (
        world.set.primary() if world.dice.random() < 0.5 else None
    )  # half of the harm is the primary's
    member = primary if primary in well else world.dice.choice(well)
    member.ill = True
    return member


def recovered(member):
    member.ill = False
    member.heal()


def kill_member(world):
    member = someone(world)
    member.kill()

    def undo():
        member.revive()
        member.ill = False

    return undo


def pause_member(world):
    member = someone(world)
    member.process.send_signal(signal.SIGSTOP)

    def undo():
        member.process.send_signal(signal.SIGCONT)
        recovered(member)

    return undo


def fill_disk(world):
    """Until the server notices: mostly it ends."""
    member = someone(world)
    disk = os.statvfs(member.folder)
    with open(member.filler, "wb") as filler:
        try:
            os.posix_fallocate(filler.fileno(), 0, disk.f_bavail * disk.f_frsize)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def undo():
        member.filler.unlink()
        world.ended_by_disk += member.is_dead()
        member.revive()
        recovered(member)

    return undo


def cut(world, to=True, back=True):
    member = someone(world)
    world.set.networks.disturb(member.name, NOTHING_PASSES, to, back)

    def undo():
        world.set.networks.calm(member.name)
        recovered(member)

    return undo


def split(world):
    """Two believe themselves primary for a while, and clients reach both."""
    member = someone(world)
    world.set.networks.split(member.name)

    def undo():
        world.set.networks.split(member.name, False)
        recovered(member)

    return undo


def one_way(world):
    inwards = world.dice.random() < 0.5
    return cut(world, to=inwards, back=not inwards)


def slow_network(world):
    """Everybody's, the clients' too; it makes nobody ill."""
    if world.client_network:
        raise Cannot
    delay, loss, kbit = (
        world.dice.randint(5, 60),
        world.dice.randint(0, 4),
        world.dice.randint(300, 1500),
    )
    qdisc = (
        f"netem delay {delay}ms {delay // 2}ms loss {loss}%"
        if world.set.netem
        else f"tbf rate {kbit}kbit burst 4k latency 300ms"
    )
    names = [*(m.name for m in world.set.well()), "client"]
    for name in names:
        world.set.networks.disturb(name, qdisc.split())
    world.client_network = "slow"

    def undo():
        for name in names:
            if not next((m.ill for m in world.set.members if m.name == name), False):
                world.set.networks.calm(name)
        world.client_network = None

    return undo


def cut_clients(world):
    """The members see each other: nothing is elected, and nobody is answered."""
    if world.client_network:
        raise Cannot
    inwards, outwards = world.dice.choice([(True, True), (True, False), (False, True)])
    world.set.networks.disturb("client", NOTHING_PASSES, inwards, outwards)
    world.client_network = "cut"

    def undo():
        world.set.networks.calm("client")
        world.client_network = None

    return undo


def step_clock(world):
    member = world.dice.choice(world.set.members)
    set_clock(member.clock, world.dice.randint(-GRACE_CLOCK_MS, GRACE_CLOCK_MS) / 1000)
    return lambda: None  # it stays until its next step


def step_clock_far(world):
    member = world.set.primary() or world.dice.choice(world.set.members)
    set_clock(member.clock, world.dice.choice([-1, 1]) * world.dice.choice([2, 30, 3600]))
    return lambda: set_clock(member.clock, 0)


def step_clients_clocks(world):
    set_clock(world.client_clock, world.dice.choice([-3600, 3600, -60, 60, 0]))
    return lambda: None


def database(world):
    """The one that torture works in."""
    if not world.database:
        names = world.set.watch.list_database_names()
        world.database = next(
            (name for name in names if name.startswith("leasehold_torture_")), None
        )
    if not world.database:
        raise Cannot
    return world.set.watch[world.database]


def drop_index(world):
    locks = database(world).workspace_locks
    index = next((i for i in locks.list_indexes() if i.get("unique")), None)
    if not index:
        raise Cannot
    locks.drop_index(index["name"])
    return lambda: locks.create_index(list(index["key"].items()), name=index["name"], unique=True)


def drop_collection(world):
    database(world).workspace_locks.drop()
    return lambda: None


def roll_oplog(world):
    """While some clients are stopped whose change streams stand where it is cut off."""
    data = database(world)
    if len(world.set.well()) < len(world.set.members):
        raise Cannot
    try:
        there = list(processes_of(world.torture))
    except OSError as gone:  # one of them, or torture
        raise Cannot from gone
    rolling = Rolling(
        world.set.watch, data.name, world.history, world.dice.sample(there, min(3, len(there)))
    )

    def undo():
        if rolling.is_going_on():
            raise Cannot
        rolling.finish()
        world.rolled.append(rolling)

    return undo


KINDS = [
    Harm("member-kill", 16, (0.2, 4), kill_member, felt=8),
    Harm("member-pause", 12, (0.5, 5), pause_member, felt=6),
    Harm("cut", 15, (0.5, 5), cut, "networks", felt=6),
    Harm("split", 10, (1, 6), split, "networks", felt=6),
    Harm("one-way", 15, (0.5, 5), one_way, "networks", felt=6),
    Harm("slow", 11, (1, 6), slow_network, "networks"),
    Harm("client-cut", 9, (0.3, 2.5), cut_clients, "networks"),
    Harm("disk", 30, (3, 6), fill_disk, "disks", felt=8),
    Harm("clock", 5, (0, 0), step_clock, "clocks"),
    Harm("client-clock", 5, (0, 0), step_clients_clocks, "clocks"),
    Harm("index", 9, (0.3, 2), drop_index),
    Harm("oplog", 15, (4, 5), roll_oplog),
    Harm("clock-far", 8, (1, 6), step_clock_far, "clocks", far=True),
    Harm("collection", 8, (0, 0), drop_collection, far=True),
]
NOT_NOW = (pymongo.errors.PyMongoError, Cannot)
