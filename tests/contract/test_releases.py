"""Releases at a real broker: what a kiosk finds there, and what is refused before it gets there."""

import gzip
import hashlib
import io
import tarfile
import time
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from checkin import signed_list
from checkin.signed_list import Release
from provisioning import debian_package, fleet_broker, fleet_watch, releases
from provisioning.__main__ import main
from provisioning.fleet_folder import signing_key
from provisioning.fleet_watch import Line
from provisioning.releases import WHEELS, ReleaseError
from sync_daemon import topics
from sync_daemon.broker import Acknowledged, Broker, Connected, Message, Received
from sync_daemon.topics import PART_BYTES
from tests import fleet

AT = datetime(2026, 11, 22, tzinfo=UTC)
OWN = f"{WHEELS}vaora-1-py3-none-any.whl"
BIG = f"{WHEELS}big-1-py3-none-any.whl"


def tar(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def deb(files, name="vaora", arch="arm64", version="0.2.0"):
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n".encode()
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar({"./control": control}),
        "data.tar.gz": tar(files),
    }
    made = b"!<arch>\n"
    for member, content in members.items():
        made += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (
            member.encode(), 0, 0, 0, b"100644", len(content),
        ) + content + b"\n" * (len(content) % 2)  # fmt: skip
    return made


# Gzip finds nothing in it.
NOISE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(6000))
PACKAGE = deb({OWN: b"ours", BIG: NOISE})


def test_what_kiosks_have_is_left_out():
    slim = debian_package.without(PACKAGE, lambda name: name == BIG)
    assert debian_package.files(slim) == {OWN: 4}
    data = io.BytesIO(debian_package._content(slim, debian_package.DATA))
    with tarfile.open(fileobj=data) as kept:
        assert kept.extractfile(OWN).read() == b"ours"
    assert debian_package.named(slim) == debian_package.named(PACKAGE)
    assert slim == debian_package.without(PACKAGE, lambda name: name == BIG)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return fleet.made_up(tmp_path_factory.mktemp("releases") / "fleet")


@pytest.fixture(scope="module")
def key(made):
    return signing_key(made.folder.settings_key)


@pytest.fixture(scope="module")
def served(made):
    with made.served() as broker:
        yield broker


def test_only_the_wheels_that_are_the_same_are_left_out(key):
    since = deb({OWN: b"ours", BIG: NOISE}, version="0.1.0")
    slim = releases.make(PACKAGE, key, number=1, at=AT, since=since)
    assert debian_package.files(slim.package) == {OWN: 4}  # our own stays, whatever there was
    other = deb({BIG: NOISE + b"more"}, version="0.1.0")
    whole = releases.make(PACKAGE, key, number=1, at=AT, since=other)
    assert set(debian_package.files(whole.package)) == {OWN, BIG}


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (b"", "is no Debian package"),
        (PACKAGE[:-200], "cut off"),
        (deb({}, name="another"), "is the package another"),
        (deb({}, arch="riscv64"), "is for riscv64; kiosks are arm64 or amd64"),
        (PACKAGE.replace(b"data.tar.gz     ", b"data.tar.zst    "), "holds no data.tar.gz"),
    ],
    ids=["nothing", "half", "another", "another machine", "packed otherwise"],
)
def test_what_is_no_package_of_ours_is_refused(key, package, why):
    # Without a wheel that `since` has, but looked through for it.
    with pytest.raises(ReleaseError, match=why):
        releases.make(package, key, number=1, at=AT, since=deb({}))


def release(made, tmp_path, package, *options):
    file = tmp_path / "vaora.deb"
    file.write_bytes(package)
    command = ["release", "--fleet", str(made.folder.root), *options, str(file)]
    return CliRunner().invoke(main, command)


def retained(made, *wanted):
    """What the broker hands to whoever asks; by topic."""
    broker = Broker(fleet_broker.visit(made.folder, made.settings, "looks", wanted))
    broker.connect()
    found, until = {}, time.monotonic() + 10
    quiet_at = until
    while time.monotonic() < min(until, quiet_at):
        for heard in broker.wait(0.05):
            if isinstance(heard, Connected | Received):
                quiet_at = time.monotonic() + 0.3
            if isinstance(heard, Received):
                found[heard.message.topic] = heard.message.body
    broker.close()
    return found


class Slow:
    """A broker that acknowledges one message a turn; `most` is how many were on their way."""

    def __init__(self):
        self.kinds, self.flying, self.most = [], [], 0

    def publish(self, message, content_type="", *, retain=False):
        self.kinds.append(content_type)
        self.flying.append(len(self.kinds))
        self.most = max(self.most, len(self.flying))
        return self.flying[-1]

    def wait(self, timeout_s):
        return [Acknowledged(self.flying.pop(0))]


def test_parts_are_made_as_they_go_and_counted_as_they_are_there(key, tmp_path):
    broker, counted = Slow(), []
    made = releases.make(deb({BIG: NOISE * 12}), key, number=1, at=AT)
    shelf = releases.Shelf(tmp_path, "arm64", key.public)
    releases.publish(Line(broker, lambda: 0.0), made, shelf, counted.append)
    assert broker.most == fleet_watch.IN_FLIGHT
    assert sum(counted) == releases.parts_of(made.release)
    assert broker.kinds == [topics.PART_TYPE] * sum(counted) + [topics.SIGNED_TYPE]


def test_the_last_two_releases_lie_at_the_broker(made, served, key, tmp_path):
    packages = [deb({OWN: bytes([n]), BIG: NOISE}, version=f"0.{n}.0") for n in range(1, 4)]
    for number, package in enumerate(packages, 1):
        done = release(made, tmp_path, package)
        assert done.exit_code == 0, done.output
        assert f"Release {number}:" in done.output
    found = retained(made, f"{topics.update('arm64')}/#")
    newest = signed_list.read(found.pop(topics.update("arm64")), Release, key.public)
    assert (newest.version, newest.package) == (3, "0.3.0")
    digests = [hashlib.sha256(package).hexdigest() for package in packages]
    assert {topic.split("/")[4] for topic in found} == set(digests[1:])
    parts = range(-(-len(packages[2]) // PART_BYTES))
    joined = b"".join(found[topics.update_part("arm64", digests[2], part)] for part in parts)
    assert joined == packages[2]


def test_a_lower_number_is_refused(made, served, tmp_path):
    assert release(made, tmp_path, PACKAGE).exit_code == 0
    done = release(made, tmp_path, PACKAGE, "--number", "1")
    assert done.exit_code == 1
    assert "take only a higher one" in done.output


def test_a_laptop_that_forgot_asks_the_broker_for_the_number(made, served, key, tmp_path):
    for file in made.folder.signed.glob("release-*"):
        file.unlink()
    lies = retained(made, topics.update("arm64"))[topics.update("arm64")]
    before = signed_list.read(lies, Release, key.public).version
    assert f"Release {before + 1}:" in release(made, tmp_path, PACKAGE).output


def test_another_fleets_broker_isnt_written_over(made, served, key, tmp_path):
    with fleet_watch.connected(fleet_broker.visit(made.folder, made.settings, "looks")) as line:
        line.leave([Message(topics.update("amd64"), b"somebody else's")])
    done = release(made, tmp_path, deb({}, arch="amd64"))
    assert done.exit_code == 1
    assert "is this the right fleet's folder?" in done.output
