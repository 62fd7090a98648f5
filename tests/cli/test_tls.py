# SPDX-License-Identifier: Apache-2.0
"""TLS and passwords against a real server: what is accepted, what is refused, and what is said of
it."""
import subprocess
import time

import pymongo
import pytest
import servers
from conftest import BINARY, URI, Cli

PASSWORD = "canary-3fe1"
ALWAYS = "authSource=admin&tls=true"


class Tls:
    def __init__(self, uri):
        self.uri, self.files = uri, servers.folder_of(uri) / "tls"
        self.port = int(uri.split("@")[1].split("/")[0].split(":")[1])

    def made(self, *options, user="root:root@", host="127.0.0.1", port=None):
        return f"mongodb://{user}{host}:{port or self.port}/?" + "&".join(options)

    def trusting(self, ca, **at):
        return self.made(ALWAYS, f"tlsCAFile={self.files / ca}.pem", **at)


@pytest.fixture(scope="module")
def tls():
    uri, end = servers.start("cli-tls", "standalone", "--tls", "--auth")
    with pymongo.MongoClient(uri) as client:
        client.admin.command(
            "createUser", "sha256", pwd=PASSWORD, roles=["root"], mechanisms=["SCRAM-SHA-256"]
        )
    yield Tls(uri)
    end()


def status(uri, *options, timeout="2s"):
    return Cli(uri, "cli_tls")("--json", "--timeout", timeout, "status", "k", *options)


def refused(result, exit, *words):
    assert result.exit == exit and result.json["exit"] == exit, result
    for word in words:
        assert word in result.json["message"], result
    assert "root:root" not in result.out + result.err and PASSWORD not in result.out + result.err
    return result


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_is_trusted_and_names_the_host(tls, host):
    assert status(tls.trusting("ca", host=host)).exit == 0


def test_scram_sha_256(tls):
    user = f"sha256:{PASSWORD}@"
    assert status(tls.trusting("ca", user=user)).exit == 0
    assert status(tls.trusting("ca", user=user) + "&authMechanism=SCRAM-SHA-256").exit == 0
    refused(status(tls.trusting("ca", user=user) + "&authMechanism=SCRAM-SHA-1"), 77)


def test_another_authority(tls):
    refused(
        status(tls.trusting("other-ca")),
        78,
        f"127.0.0.1:{tls.port}",
        "tlsCAFile",
        "not signed by an authority",
    )
    refused(status(tls.made(ALWAYS)), 78, "tlsCAFile")  # the system's authorities


def test_an_expired_certificate(tls):
    with servers.Impostor(tls.files / "expired.pem") as impostor:
        told = refused(
            status(tls.trusting("ca", port=impostor.port)),
            78,
            f"127.0.0.1:{impostor.port}",
            "has expired",
            "renew",
        )
        assert told.json["reason"] == "certificate"
    assert impostor.heard == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_for_another_host(tls, host):
    with servers.Impostor(tls.files / "other-host.pem") as impostor:
        refused(
            status(tls.trusting("ca", port=impostor.port, host=host)),
            78,
            f"{host}:{impostor.port}",
            "for another host",
        )
    assert impostor.heard == b"", "something was told to a stranger"


def test_a_certificate_is_not_waited_for(tls):
    """It will not change within the timeout: half of it is enough to try."""
    begin = time.monotonic()
    refused(status(tls.trusting("other-ca"), timeout="4s"), 78)
    assert time.monotonic() - begin < 3.5


def test_one_member_that_is_down_is_an_outage_and_no_certificate(tls):
    both = tls.trusting("other-ca").replace("/?", ",127.0.0.1:1/?") + "&replicaSet=x"
    refused(status(both), 69)


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
def test_a_file_that_is_not_there(tls, option):
    begin = time.monotonic()
    refused(
        status(tls.made(ALWAYS, f"{option}=/nowhere/c.pem")),
        78,
        option,
        "/nowhere/c.pem",
        "No such file",
    )
    assert time.monotonic() - begin < 1


def test_a_file_that_is_no_certificate(tls, tmp_path):
    (tmp_path / "c.pem").write_text("no certificate\n")
    for option in ("tlsCAFile", "tlsCertificateKeyFile"):
        refused(status(tls.made(ALWAYS, f"{option}={tmp_path / 'c.pem'}")), 78, option, "PEM")


def test_no_tls_towards_a_server_that_wants_it(tls):
    refused(status(tls.made("authSource=admin")), 69, f"127.0.0.1:{tls.port}", "tls=true")


def test_tls_towards_a_server_without(tls):
    plain = URI.split("//")[1].split("/")[0].split(",")[0]
    host, port = plain.split(":")
    refused(
        status(tls.trusting("ca", user="", host=host, port=port)), 69, plain, "that it uses TLS"
    )


@pytest.mark.parametrize("user", ["root:wrong@", "nobody:root@"])
def test_a_wrong_password_or_user(tls, user):
    refused(status(tls.trusting("ca", user=user)), 77, "password")


def test_no_password(tls):
    refused(status(tls.trusting("ca", user="")), 77, "requires a user and password")


INSECURE = [
    "tlsInsecure=true",
    "tlsAllowInvalidCertificates=true",
    "tlsAllowInvalidHostnames=true",
    "tlsDisableOCSPEndpointCheck=true",
    "tlsDisableCertificateRevocationCheck=true",
]
OLD_NAMES = ["sslAllowInvalidCertificates=true", "sslAllowInvalidHostnames=true"]


@pytest.mark.parametrize("option", INSECURE + OLD_NAMES)
def test_what_switches_checks_off_is_refused_unless_asked_for_by_name(tls, option):
    name = option.split("=")[0].replace("ssl", "tls")
    uri = tls.trusting("ca") + f"&{option}"
    refused(status(uri), 78, name, "--insecure-tls")
    allowed = status(uri, "--insecure-tls", "--quiet")
    assert allowed.exit == 0 and "NOT made" in allowed.err, allowed


def test_insecure_tls_alone_switches_nothing_off(tls):
    refused(status(tls.trusting("other-ca"), "--insecure-tls"), 78)


def test_a_stranger_is_believed_only_where_that_was_asked_for(tls):
    with servers.Impostor(tls.files / "other-host.pem") as impostor:
        uri = tls.trusting("ca", port=impostor.port) + "&tlsInsecure=true"
        refused(status(uri), 78)
        assert impostor.heard == b""
        assert status(uri, "--insecure-tls", timeout="1s").exit == 69
        assert impostor.heard != b""


def test_run_and_acquire_work_over_tls(tls):
    cli = Cli(tls.trusting("ca"), "cli_tls")
    assert cli("migrate", "--yes").exit == 0
    assert cli("run", "k", "--", "true").exit == 0
    done = subprocess.run(
        [BINARY, "acquire", "k", "--quiet"], env=cli.env, capture_output=True, text=True
    )
    assert done.returncode == 0 and cli("release", "k", "--lease", done.stdout.strip()).exit == 0
