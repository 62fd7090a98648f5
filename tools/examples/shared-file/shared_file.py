# SPDX-License-Identifier: Apache-2.0
"""A JSON file that several programs edit, on one host or on a shared file system.

    file = SharedFile(store, "roles.json")
    opened = file.read()                                # a shared lease
    file.save({**opened.document, "ann": "admin"}, opened)   # an exclusive one; merged, or Conflict
    for change in file.changes(): ...                   # the changes of all, as they happen

The lease alone cannot stop a holder that was suspended and wakes up after its lease has ended. So
the highest token is kept beside the file, in `roles.json.fence`. Each holder raises it before it
reads the file. A write checks it and replaces the file under one flock(): a holder whose token is
no longer the highest cannot write."""
from __future__ import annotations

import contextlib
import copy
import fcntl
import hashlib
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import leasehold

LOOK_EVERY = 0.25  # seconds between looks for changes by editors that take no lease
ENDS = ("opened", "gap", "released", "transferred", "broken", "expired")
MISSING = object()


@dataclass(frozen=True)
class Snapshot:
    """The file as it was at one time."""

    document: dict
    version: str


@dataclass(frozen=True)
class Change:
    snapshot: Snapshot
    own: bool  #: this window wrote it
    owner: str  #: the writer; "" if unknown: it took no lease, or did not live to release it


class Conflict(Exception):
    """Both sides changed the same names. Theirs is in the file, ours in `backup`."""

    def __init__(self, names, theirs, backup):
        super().__init__(f"also changed by others: {', '.join(names)}; yours is in {backup}")
        self.names, self.theirs, self.backup = names, theirs, backup


def merge(base, ours, theirs):
    """A three-way merge of objects: the result, and the names that both changed differently."""
    merged, clashes = {}, []
    for name in {**theirs, **ours}:
        old, our, their = (side.get(name, MISSING) for side in (base, ours, theirs))
        chosen = their
        if isinstance(our, dict) and isinstance(their, dict):
            chosen, inner = merge(old if isinstance(old, dict) else {}, our, their)
            clashes += [f"{name}.{each}" for each in inner]
        elif their == old:
            chosen = our
        elif our not in (old, their):
            clashes.append(name)
        if chosen is not MISSING:
            merged[name] = chosen
    return merged, clashes


class SharedFile:
    """The key is the same in all programs; by default it is made of the file's path."""

    def __init__(self, store, path, key=None, feedback=None):
        self.store, self.path, self.feedback = store, Path(path).resolve(), feedback
        self.key = key or leasehold.key_join("file", str(self.path))
        self._cache = (None, None)  # a snapshot, and the stamp of the file when it was read
        self._tokens = set()  # of the leases under which this window wrote

    def read(self, wait=5):
        """The file as it is now, from the cache if the note shows that nobody has written since."""
        with self._acquire(wait, shared=True) as lease:
            snapshot = self._load(lease)
            lease.release(note=snapshot.version)
        return snapshot

    def update(self, change, wait=5):
        """Writes what change(document) returns, as the only writer. Returns the new snapshot."""
        with self._acquire(wait) as lease:
            snapshot = self._load(lease)
            document = change(copy.deepcopy(snapshot.document))
            if document != snapshot.document:
                snapshot = self._write(lease, document)
            lease.release(note=snapshot.version)
        return snapshot

    def save(self, document, base, wait=5):
        """Writes the document, which somebody made out of the snapshot `base`. What others wrote
        meanwhile is merged. Raises `Conflict` if that is impossible; both versions are kept."""

        def merged(current):
            result, clashes = merge(base.document, document, current)
            if clashes:
                raise Conflict(clashes, current, self._backup(document))
            return result

        return self.update(merged, wait)

    def changes(self):
        """Yields the file as it is, and then each new version, until the store is closed."""
        known = None
        with self.store.watch(keys=[self.key]) as events:
            while True:
                try:
                    event = events.next(LOOK_EVERY)
                except TimeoutError:
                    event = None
                except StopIteration:
                    return
                if not self._may_have_changed(event, known):
                    continue
                # What an editor without a lease has not finished is no JSON: look again.
                with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
                    snapshot = self.read(math.inf)
                    if snapshot.version != known:
                        known = snapshot.version
                        yield self._change(snapshot, event)

    def _acquire(self, wait, shared=False):
        purpose = "read" if shared else "write"
        return self.store.acquire(
            self.key, wait=wait, shared=shared, purpose=purpose, feedback=self.feedback
        )

    def _may_have_changed(self, event, known):
        if event is None:
            return self._stamp() != self._cache[1]
        return event.kind in ENDS and event.note != known

    def _change(self, snapshot, event):
        if event is None or event.shared or event.note != snapshot.version:
            return Change(snapshot, False, "")
        return Change(snapshot, event.token in self._tokens, event.owner)

    def _stamp(self):
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _load(self, lease):
        note = lease.note()
        with self._fence(lease):
            cached, stamp = self._cache
            if cached and note and note.text == cached.version and stamp == self._stamp():
                return cached
            stamp = self._stamp()
            text = self.path.read_bytes() if stamp else b"{}"
        return self._remember(text, stamp)

    def _remember(self, text, stamp):
        snapshot = Snapshot(json.loads(text), hashlib.sha256(text).hexdigest()[:16])
        self._cache = (snapshot, stamp)
        return snapshot

    def _write(self, lease, document):
        text = json.dumps(document, indent=2).encode() + b"\n"
        prepared = self._prepare(text, ".new")
        try:
            with self._fence(lease):  # from here on no other holder can read or write
                os.replace(prepared, self.path)
                stamp = self._stamp()
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(prepared)
        self._sync_folder()
        self._tokens.add(lease.token)
        return self._remember(text, stamp)

    def _backup(self, document):
        text = json.dumps(document, indent=2).encode() + b"\n"
        return self._prepare(text, ".conflict")

    def _prepare(self, text, suffix):
        """A new file beside the other one, on the disk."""
        prefix = self.path.name + "."
        with tempfile.NamedTemporaryFile(
            dir=self.path.parent, prefix=prefix, suffix=suffix, delete=False
        ) as file:
            os.fchmod(file.fileno(), self.path.stat().st_mode & 0o777 if self._stamp() else 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return file.name

    def _sync_folder(self):
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _fence(self, lease):
        """The block runs under the file's lock, if no newer holder has come. A reader's token
        raises the fence too, but readers do not shut out each other."""
        fence = os.open(f"{self.path}.fence", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(fence, fcntl.LOCK_EX)
            highest = int(os.pread(fence, 20, 0) or b"0")
            if lease.token < highest and not lease.shared:
                raise leasehold.Lost(f"a newer holder has used {self.path}", code="lost")
            if lease.token > highest:
                os.pwrite(fence, b"%020d" % lease.token, 0)
                os.fsync(fence)
            yield
        finally:
            os.close(fence)
