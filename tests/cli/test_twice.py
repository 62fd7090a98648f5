# SPDX-License-Identifier: Apache-2.0
"""A document with a field that is stored twice: MongoDB 6.0 aborts when a pipeline changes that
field. The member that an acquire reaches first may die of it; no other one does. On a set of the
test's own."""
import struct
from datetime import datetime, timedelta

import bson
import pymongo
import pytest
import servers
from bson.raw_bson import RawBSONDocument
from conftest import Cli
from advice import follow


@pytest.fixture(scope="module")
def uri():
    uri, end = servers.start("cli-twice", "set")
    yield uri
    end()


def twice(*fields):
    """A document in which a field may stand twice."""
    body = b"".join(bson.encode({name: value})[4:-1] for name, value in fields)
    return RawBSONDocument(struct.pack("<i", len(body) + 5) + body + b"\0")


def answers(host):
    with pymongo.MongoClient(
        f"mongodb://{host}/?directConnection=true", serverSelectionTimeoutMS=1000
    ) as client:
        try:
            return client.admin.command("ping")["ok"] == 1
        except pymongo.errors.PyMongoError:
            return False


def test_one_member_dies_at_most(uri):
    cli = Cli(uri, "twice")
    assert cli("migrate", "--yes").exit == 0
    hour = timedelta(hours=1)
    with pymongo.MongoClient(uri) as client:
        hosts = uri.split("//")[1].split("/")[0].split(",")
        locks = client.twice.get_collection(
            "workspace_locks", write_concern=pymongo.WriteConcern("majority")
        )
        locks.insert_one(
            twice(
                ("_id", "k"),
                ("workspace_id", "k"),
                ("id", "a" * 32),
                ("expires_at", datetime.utcnow() - hour),
                ("expires_at", datetime.utcnow() + hour),
            )
        )
        assert "expires_at is stored twice" in cli("status", "k").out
        assert "expires_at is stored twice" in cli("list", "--malformed").out
        assert '"k"' in cli("doctor").out.split("malformed:")[1]
        broken = cli("break", "k", "--yes", "--reason", "test")
        assert (
            broken.exit == 65
            and "expires_at is stored twice" in broken.err
            and "leasehold status" in broken.err
        ), broken
        assert all(map(answers, hosts))
        acquired = cli("acquire", "k", "--timeout", "30s")
        assert (
            acquired.exit == 65 and "is stored twice" in acquired.err
        ), acquired  # 7.0 refuses, and lives
        assert sum(map(answers, hosts)) >= 2
        follow(cli, cli("status", "k").out, "migrate --quarantine")
        assert client.twice.workspace_locks_archive.count_documents({}) == 1
        assert cli("acquire", "k").exit == 0
