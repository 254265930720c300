"""The daemon's download on a real disk: what it keeps, and what it leaves alone."""

import hashlib
import os
import shutil

import msgspec
import pytest

from checkin import VERSION, signed_list, updates, whole
from checkin.cose import SigningKey
from checkin.signed_list import Release
from checkin.updates import Told
from sync_daemon import topics
from sync_daemon.topics import PART_BYTES
from sync_daemon.updates import AGAIN_S, LOOK_EVERY_S, RESERVE, Leave, Read, Updates

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)
PACKAGE = bytes(range(256)) * 1100  # two whole parts and a bit
TOPIC = topics.update("arm64")


def signed(number=1, content=PACKAGE, key=KEY, **changed):
    release = Release(
        number, "2026-11-22T00:00:00+00:00", "9.0", "arm64", len(content),
        hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return signed_list.sign(msgspec.structs.replace(release, **changed), key)


class Bench:
    """A daemon's download, and a broker that has whatever it is given."""

    def __init__(self, folder, **how):
        self.folder, self.root = folder / "update", folder / "root"
        self.root.mkdir(exist_ok=True)
        self.how = how
        self.retained = {}
        self.tick = 0.0
        self.begin()

    def begin(self):
        """A daemon that has just started."""
        self.updates = Updates(
            arch="arm64", authority=KEY.public, folder=self.folder, root_folder=self.root,
            **self.how,
        )  # fmt: skip
        self.read = []

    def publish(self, body, content=PACKAGE):
        self.retained[TOPIC] = body
        digest = hashlib.sha256(content).hexdigest()
        for number in range(-(-len(content) // PART_BYTES)):
            part = content[number * PART_BYTES : (number + 1) * PART_BYTES]
            self.retained[topics.update_part("arm64", digest, number)] = part
        return digest

    def connect(self):
        self.do(self.updates.hear(TOPIC, self.retained[TOPIC], self.tick))

    def turn(self, times=1, seconds=1.0):
        for _ in range(times):
            self.tick += seconds
            self.do(self.updates.turn(self.tick))

    def do(self, wishes):
        for wish in wishes:
            if isinstance(wish, Read):
                self.read.append(wish.topic)
                if wish.topic in self.retained:
                    body = self.retained[wish.topic]
                    self.do(self.updates.hear(wish.topic, body, self.tick))
            else:
                assert isinstance(wish, Leave)

    @property
    def arrived(self):
        package, release = self.folder / updates.PACKAGE, self.folder / updates.RELEASE
        return (package.read_bytes(), release.read_bytes()) if release.exists() else None


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_signed_release_arrives_whole(bench):
    bench.publish(signed())
    bench.connect()
    bench.turn(5)
    assert bench.arrived == (PACKAGE, signed())
    assert len(bench.read) == 3
    assert list(bench.folder.glob("*.part")) == []
    assert bench.updates.in_words == ""


def test_how_far_it_is_is_said(bench):
    bench.publish(signed())
    bench.connect()
    assert bench.updates.in_words == "downloading 0 %"
    bench.turn(2)
    assert bench.updates.in_words == "downloading 66 %"


@pytest.mark.parametrize(
    "body",
    [
        signed(key=OTHER), signed(arch="amd64"), signed(package=VERSION),
        signed(package="0.0.9"), b"", b"\xd2\x84", signed()[:-1],
        bytes(updates.LONGEST_RELEASE_BYTES + 1),
    ],
    ids=[
        "another's signature", "another machine", "runs already", "older", "empty", "none", "cut",
        "long",
    ],
)  # fmt: skip
def test_what_isnt_for_us_is_left(bench, body):
    bench.publish(body)
    bench.connect()
    bench.turn(5)
    assert bench.read == []
    assert not bench.folder.exists()


def test_an_older_one_doesnt_take_the_place_of_a_newer(bench):
    bench.publish(signed(2))
    bench.connect()
    bench.turn(1)
    bench.do(bench.updates.hear(TOPIC, signed(1, b"older"), bench.tick))
    bench.turn(5)
    assert bench.arrived == (PACKAGE, signed(2))


def test_a_newer_one_takes_the_place_of_one_that_is_half_here(bench):
    bench.publish(signed(1))
    bench.connect()
    bench.turn(1)
    newer = PACKAGE[::-1]
    bench.publish(signed(2, newer), newer)
    bench.connect()
    bench.turn(5)
    assert bench.arrived == (newer, signed(2, newer))
    assert len(list(bench.folder.iterdir())) == 2


def test_a_power_cut_costs_one_part(bench):
    digest = bench.publish(signed())
    bench.connect()
    bench.turn(2)
    with (bench.folder / f"{digest}.part").open("ab") as part:
        part.write(b"half of a part")
    bench.begin()
    bench.connect()
    bench.turn(2)
    assert bench.read == [topics.update_part("arm64", digest, 2)]
    assert bench.arrived == (PACKAGE, signed())


def test_half_a_release_waits_for_the_other_half(bench):
    digest = bench.publish(signed())
    last = bench.retained.pop(topics.update_part("arm64", digest, 2))
    bench.connect()
    bench.turn(20)
    assert bench.arrived is None
    bench.retained[topics.update_part("arm64", digest, 2)] = last
    bench.turn(100)
    assert bench.arrived == (PACKAGE, signed())


def test_parts_that_arent_what_was_signed_never_arrive(bench):
    digest = bench.publish(signed())
    bench.retained[topics.update_part("arm64", digest, 1)] = bytes(PART_BYTES)
    bench.connect()
    bench.turn(5)
    assert bench.arrived is None
    assert list(bench.folder.iterdir()) == []
    assert "isn't what was signed" in bench.updates.in_words
    bench.publish(signed())
    bench.turn(6, AGAIN_S)
    assert bench.arrived == (PACKAGE, signed())


def test_the_outbox_has_its_room_first(tmp_path):
    free = {"bytes": RESERVE * 1_000_000 + len(PACKAGE) - 1}
    bench = Bench(tmp_path, min_free_bytes=1_000_000, free=lambda _: free["bytes"])
    bench.publish(signed())
    bench.connect()
    bench.turn(5)
    assert list(bench.folder.iterdir()) == []
    assert "no room" in bench.updates.in_words
    free["bytes"] += 1
    bench.turn(5, AGAIN_S)
    assert bench.arrived == (PACKAGE, signed())


def test_what_a_full_disk_didnt_take_at_the_end_is_put_down_later(bench, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    bench.publish(signed())
    with monkeypatch.context() as while_full:
        while_full.setattr(whole, "write", full)
        bench.connect()
        bench.turn(5)
        assert bench.updates.in_words == "the update can't be put down: No space left on device"
        bench.turn(2, AGAIN_S)
    assert bench.arrived is None
    bench.turn(1, AGAIN_S)
    assert bench.arrived == (PACKAGE, signed())
    assert len(bench.read) == 3
    assert bench.updates.in_words == ""


def test_a_folder_that_somebody_removed_is_made_anew(bench):
    digest = bench.publish(signed())
    last = topics.update_part("arm64", digest, 2)
    body = bench.retained.pop(last)
    bench.connect()
    bench.turn(5)
    shutil.rmtree(bench.folder)
    bench.retained[last] = body
    bench.do(bench.updates.hear(last, body, bench.tick))
    assert "can't be put down" in bench.updates.in_words
    bench.turn(5, AGAIN_S)
    assert bench.arrived == (PACKAGE, signed())


def test_a_pipe_in_the_place_of_what_comes_holds_up_nobody(bench):
    digest = bench.publish(signed())
    bench.connect()
    os.mkfifo(bench.folder / f"{digest}.part")
    bench.turn(2)
    assert "can't be put down" in bench.updates.in_words


def test_not_all_begin_at_once(tmp_path):
    bench = Bench(tmp_path, spread_s=1800, jitter=lambda: 0.5)
    bench.publish(signed())
    bench.connect()
    bench.turn(1, 899)
    assert bench.read == []
    bench.turn(1, 1)
    assert len(bench.read) == 1


def tell(bench, **told):
    (bench.root / updates.TOLD).write_bytes(msgspec.json.encode(Told(**told)))
    bench.turn(1, LOOK_EVERY_S)


def test_what_root_has_dealt_with_is_removed_and_not_wanted_again(bench):
    bench.publish(signed())
    bench.connect()
    bench.turn(5)
    tell(bench, number=1, running="9.0")
    assert list(bench.folder.iterdir()) == []
    bench.read.clear()
    bench.connect()
    bench.turn(5)
    assert bench.read == []
    bench.begin()
    bench.turn(1)
    bench.connect()
    bench.turn(5)
    assert bench.read == []


def test_an_update_in_force_may_be_followed_by_an_older_one(bench):
    tell(bench, number=1, running=VERSION)
    bench.publish(signed(2, package="0.0.9"))
    bench.connect()
    bench.turn(5)
    assert bench.arrived is not None


def test_what_root_says_goes_into_the_state(bench):
    tell(bench, number=1, trial="9.0")
    assert (bench.updates.in_words, bench.updates.faults) == ("on trial 9.0", [])
    tell(bench, number=1, refused="9.0", why="it fell")
    assert bench.updates.in_words == "refused 9.0: it fell"
    assert bench.updates.faults == ["update-refused"]


def test_a_link_in_the_place_of_what_came_leads_nowhere(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    digest = bench.publish(signed())
    bench.folder.mkdir()
    (bench.folder / f"{digest}.part").symlink_to(outside)
    bench.connect()
    bench.turn(5)
    assert outside.read_bytes() == b"mine"
    assert bench.arrived is None


def test_a_disk_that_does_not_take_the_beginning_is_tried_again(bench):
    bench.folder.write_bytes(b"in its way")
    bench.publish(signed())
    bench.connect()
    assert bench.updates.in_words.startswith("the update can't be put down: ")
    said = topics.encode(topics.State(online=True, update=bench.updates.in_words))
    assert topics.read_state(said).update == bench.updates.in_words
    bench.folder.unlink()
    bench.turn(5)
    assert not bench.folder.exists()  # not soon
    bench.turn(1, AGAIN_S)
    bench.turn(5)
    assert bench.arrived == (PACKAGE, signed())
    assert bench.updates.in_words == ""


def test_a_disk_that_does_not_take_the_end_is_tried_again(bench):
    (bench.folder / updates.RELEASE).mkdir(parents=True)
    bench.publish(signed())
    bench.connect()
    bench.turn(5)
    assert bench.updates.in_words.startswith("the update can't be put down: ")
    (bench.folder / updates.RELEASE).rmdir()
    read = len(bench.read)
    bench.turn(1, AGAIN_S)
    assert bench.arrived == (PACKAGE, signed())
    assert len(bench.read) == read  # nothing is downloaded twice
    assert bench.updates.in_words == ""
