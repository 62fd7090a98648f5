# SPDX-License-Identifier: Apache-2.0
"""What scripts/faults does: rounds of `leasehold torture` on a set of its own, with harm beside it
by a seeded schedule."""
import argparse
import heapq
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kinds import KINDS, NOT_NOW, NOT_TOGETHER, OF_TORTURE, Cannot, GRACE_CLOCK_MS
from servers import OwnSet, clock_environment, set_clock

VIOLATION = 70
CALM_S = 5  # at a round's end: what is left of it has to be told, and read from the oplog
PROMISED_ALWAYS = {2, 10}  # tokens grow, and the fence holds, whatever clocks and collections do


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class World:
    """What the deeds may touch."""

    def __init__(self, own_set, dice):
        self.set, self.dice = own_set, dice
        self.client_clock = own_set.folder / "client.clock"
        self.client_network, self.database, self.ended_by_disk = None, None, 0
        self.torture, self.history, self.rolled = (
            None,
            None,
            [],
        )  # its process id, its history; how the oplog was rolled over


class Tally:
    def __init__(self):
        self.times, self.operations, self.violations, self.skipped = (
            Counter(),
            Counter(),
            Counter(),
            Counter(),
        )

    def print(self, words):
        print(f"\n{'kind':14}{'how often':>10}{'not done':>10}{'operations':>12}{'violations':>12}")
        for word in words:
            print(
                f"{word:14}{self.times[word]:10}{self.skipped[word]:10}{self.operations[word]:12}"
                f"{self.violations[word]:12}"
            )


class Round:
    def __init__(self, program, own_set, harms, of_torture, seed, seconds, folder):
        self.program, self.set, self.harms, self.of_torture = program, own_set, harms, of_torture
        self.seed, self.seconds, self.far = seed, seconds, any(harm.far for harm in harms)
        self.history = Path(folder) / f"history-{seed}"
        self.windows = []  # (word, from, to) in ns
        self.skipped = Counter()

    def plan(self, dice):
        """A heap of (when, number, which, for how long), from the seed alone: each once at
        least."""
        deeds = []
        for harm in self.harms:
            lasts, end = dice.uniform(*harm.lasts), self.seconds - CALM_S
            when = dice.uniform(0, max(0, min(harm.every, end - lasts)))
            while when + lasts <= end:
                deeds.append((when, len(deeds), harm, lasts))
                when += lasts + dice.expovariate(1 / harm.every)
                lasts = dice.uniform(*harm.lasts)
        heapq.heapify(deeds)
        return deeds

    def start(self, world):
        program = (
            self.history.parent / "torture"
        )  # by another name: the processes that it starts have the stepped clocks, it has not
        program.unlink(missing_ok=True)
        program.symlink_to(self.program)
        command = [
            program,
            "--json",
            "--yes",
            "--seed",
            str(self.seed),
            "--seconds",
            f"{self.seconds}s",
            "--faults",
            ",".join(self.of_torture) or "none",
            "--processes",
            "8",
            "--keys",
            "4",
            "--history",
            self.history,
        ]
        if self.set.networks:
            command = ["ip", "netns", "exec", self.set.networks.space("client"), *command]
        environment = os.environ | {"LEASEHOLD_URI": self.set.uri, "MONGOC_DISABLE_SHM": "1"}
        if any(harm.word == "client-clock" for harm in self.harms):
            set_clock(world.client_clock, 0)
            environment |= clock_environment(world.client_clock) | {
                "FAKETIME_ONLY_CMDS": "leasehold-torture"
            }
        return subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def note(self, harm, lasts):
        """A line of the history, so that the checker knows when the deployment was disturbed."""
        begin, end = now_ns(), now_ns() + int((lasts + harm.felt) * 1e9)
        line = {
            "e": "fault",
            "t": begin,
            "kind": harm.word,
            "p": -1,
            "ms": int((lasts + harm.felt) * 1000),
        }
        if harm.word == "clock":
            line["clocks_ms"] = 2 * GRACE_CLOCK_MS
        with open(self.history, "ab", buffering=0) as history:
            history.write(json.dumps(line).encode() + b"\n")
        self.windows.append((harm.word, begin, end))

    def harm(self, world, torture):
        """Until the round is nearly over, or torture is."""
        while torture.poll() is None and not (
            self.history.exists() and self.history.stat().st_size
        ):
            time.sleep(0.02)
        world.torture, world.history = torture.pid, self.history
        begin, deeds, undo = time.monotonic(), self.plan(world.dice), []
        while torture.poll() is None and time.monotonic() - begin < self.seconds - CALM_S:
            now = time.monotonic() - begin
            while deeds and deeds[0][0] <= now:
                _, order, harm, lasts = heapq.heappop(deeds)
                try:
                    heapq.heappush(undo, (time.monotonic() - begin + lasts, order, harm.do(world)))
                    self.note(harm, lasts)
                except NOT_NOW:
                    heapq.heappush(deeds, (now + 0.5, order, harm, lasts))
            self.undo(undo, now)
            for member in self.set.members:  # a server that crashes by itself comes back too
                if member.is_dead() and not member.ill:
                    print(f"  {member.name} ended by itself", flush=True)
                    member.revive()
            time.sleep(0.02)
        self.skipped.update(harm.word for _, _, harm, _ in deeds)
        give_up = time.monotonic() + 30
        while undo and time.monotonic() < give_up:
            self.undo(undo, float("inf"))
        for member in self.set.members:
            set_clock(member.clock, 0)
            member.heal()
        set_clock(world.client_clock, 0)

    @staticmethod
    def undo(undo, until):
        """What can't be undone just then is tried again."""
        again = []
        while undo and undo[0][0] <= until:
            when, order, deed = heapq.heappop(undo)
            try:
                deed()
            except NOT_NOW:
                again.append((when + 1, order, deed))
        for item in again:
            heapq.heappush(undo, item)

    def count(self, tally):
        events = [json.loads(line) for line in self.history.read_text().splitlines()]
        windows = self.windows + [
            (e["kind"], e["t"], e["t"] + e["ms"] * 1000000)
            for e in events
            if e["e"] == "fault" and e["kind"] in OF_TORTURE
        ]
        calls = [e["t"] for e in events if e["e"] == "call"]
        tally.times.update(word for word, _, _ in windows)
        tally.skipped.update(self.skipped)
        for word in {word for word, _, _ in windows}:
            mine = [(begin, end) for w, begin, end in windows if w == word]
            tally.operations[word] += sum(
                any(begin <= t <= end for begin, end in mine) for t in calls
            )
        return {word for word, _, _ in windows}

    def run(self, world, tally):
        """Returns the result of torture, and the violations of what was promised."""
        self.set.wait_until_well()
        torture = self.start(world)
        try:
            self.harm(world, torture)
            out, story = torture.communicate(timeout=180)
        except BaseException:
            os.killpg(torture.pid, signal.SIGKILL)
            raise
        lines = [json.loads(line) for line in out.splitlines()]
        result = next((line for line in lines if line["outcome"] in ("ok", "violated")), None)
        if result is None or torture.returncode not in (0, VIOLATION):
            raise RuntimeError(
                f"seed {self.seed}: torture ended with {torture.returncode}: {out}{story}"
            )
        seen = self.count(tally)
        not_rolled = sum(not rolling.rolled for rolling in world.rolled)
        tally.times["oplog"] -= not_rolled
        tally.skipped["oplog"] += not_rolled
        of = {
            int(i): int(n)
            for n, i in re.findall(r"^(\d+) violations? of invariant (\d+)$", story, re.M)
        }
        wrong = sum(n for i, n in of.items() if not self.far or i in PROMISED_ALWAYS)
        failed = (
            lines[-1]["message"]
            if torture.returncode == VIOLATION and result["outcome"] == "ok"
            else None
        )
        for word in seen:
            tally.violations[word] += wrong
        print(
            f"  seed {self.seed}: {result['operations']} operations, {result['grants']} grants,"
            f" {result['commits']} committed changes, elections {result['elections']},"
            f" {len(self.windows)} harms beside torture's, violations {wrong}"
            + (
                f" (clocks and data are not what is promised on: {sum(of.values())} seen)"
                if self.far
                else ""
            )
            + (
                "; change streams that fell off the oplog"
                f" {sum(rolling.lost for rolling in world.rolled)}"
                if world.rolled
                else ""
            )
            + ("" if result["oplog"] else "; WITHOUT THE OPLOG, WHICH WAS CUT OFF")
            + (f"; {failed}" if failed else ""),
            flush=True,
        )
        if wrong or failed:
            print(story, f"the history: {self.history}", sep="\n", flush=True)
        else:
            self.history.unlink()
        return result, wrong, failed


def split_rounds(words):
    """The kinds of each round, where a "/" stands between them; [] without."""
    rounds = [[]]
    for word in words:
        if word == "/":
            rounds.append([])
        else:
            rounds[-1].append(word)
    return rounds if len(rounds) > 1 else []


def choose(parser, words, own_set):
    known = {harm.word: harm for harm in KINDS}
    for word in words:
        if word not in known and word not in OF_TORTURE:
            parser.error(f"there is no kind {word}; there are {', '.join([*OF_TORTURE, *known])}")
    harms, of_torture = [], [word for word in OF_TORTURE if not words or word in words]
    for harm in KINDS:
        if words and harm.word not in words:
            continue
        if harm.needs and not getattr(own_set, harm.needs):
            print(
                (
                    f"SKIPPED: {harm.word}: this machine gives us no {harm.needs} of our own (they"
                    " need root, iproute2, mount; clocks libfaketime)"
                ),
                flush=True,
            )
        else:
            harms.append(harm)
            if harm.word == "slow" and not own_set.netem:
                print(
                    (
                        "this kernel has no netem: slow is narrow lines, which delay and drop under"
                        " load"
                    ),
                    flush=True,
                )
    return harms, of_torture


def of_round(number, rounds, harms, of_torture, dice):
    """The kinds of a round: what is promised on, and in each third round (if asked for), what
    isn't. With a dice, each of them in every other round: what some kinds hide, others show without
    them."""
    near, far = [h for h in harms if not h.far], [h for h in harms if h.far]
    if dice:
        near, of_torture = [h for h in near if dice.random() < 0.5], [
            word for word in of_torture if dice.random() < 0.5
        ]
    if far and (number % 3 == min(2, rounds - 1) or not (near or of_torture)):
        return far, [word for word in of_torture if word in ("kill", "pause", "stepdown")]
    for one, other in NOT_TOGETHER:
        if one in of_torture and any(h.word == other for h in near):
            if number % 2:
                near = [h for h in near if h.word != other]
            else:
                of_torture = [word for word in of_torture if word != one]
    return near, of_torture


def main():
    parser = argparse.ArgumentParser(prog="faults")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--round", type=int, default=40, dest="round_s")
    parser.add_argument("--torture", required=True)
    parser.add_argument("--mongod", required=True)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    options = parser.parse_args()
    tally, wrong, failed, grants, idle, unread = Tally(), 0, 0, 0, [], []
    named = split_rounds(options.kinds)
    rounds = len(named) or max(1, options.seconds // options.round_s)
    folder = tempfile.mkdtemp(prefix="leasehold-faults-")
    own_set = OwnSet(options.mongod, folder)
    try:
        harms, of_torture = choose(parser, [word for word in options.kinds if word != "/"], own_set)
        print(
            (
                f"seed {options.seed}, {rounds} rounds of {options.round_s} s:"
                f" {' '.join([*of_torture, *(h.word for h in harms)])}"
            ),
            flush=True,
        )
        for number in range(rounds):
            seed = options.seed + number
            if named:
                near, own = [h for h in harms if h.word in named[number]], [
                    word for word in of_torture if word in named[number]
                ]
            else:
                near, own = of_round(
                    number,
                    rounds,
                    harms,
                    of_torture,
                    None if options.kinds else random.Random(-seed),
                )
            one = Round(options.torture, own_set, near, own, seed, options.round_s, folder)
            result, found, why = one.run(World(own_set, random.Random(seed)), tally)
            wrong, failed, grants = wrong + found, failed + bool(why), grants + result["grants"]
            idle += [seed] if result["grants"] == 0 else []
            unread += [] if result["oplog"] else [seed]
    finally:
        own_set.close()
    tally.print([*of_torture, *(h.word for h in harms)])
    never = [word for word in [*of_torture, *(h.word for h in harms)] if tally.times[word] == 0]
    if never:
        print(
            "\nNOT DONE, though asked for (nobody was there to do it to, or the time was over):"
            f" {' '.join(never)}"
        )
    print(
        f"\n{'violated' if wrong or failed else 'ok'}: {wrong} violations, {failed} processes that"
        " hung or crashed"
    )
    if wrong or failed:
        return VIOLATION
    shutil.rmtree(folder)
    if unread:
        print(
            f"the oplog was cut off before it was read in the rounds of the seeds {unread}: what"
            " was committed is not checked there"
        )
        return 1
    if grants == 0 or (named and idle):
        print(f"nothing was granted in the rounds of the seeds {idle}: they show nothing")
        return 1
    return 0


if __name__ == "__main__":
    for word in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, word), lambda number, _: sys.exit(128 + number))
    sys.exit(main())
