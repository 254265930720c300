"""Cards: which are written, which never, and that all of it is read back."""

import csv
from multiprocessing import get_context
from pathlib import Path

import pytest

from provisioning import card, flash, manifest, ranges, raw_disk
from provisioning.card import CardError
from provisioning.flash import FlashError
from provisioning.manifest import ManifestError, Row
from provisioning.ranges import Range
from provisioning.raw_disk import RawDiskError

MIB = 1024 * 1024
GIB = 1024 * MIB
GB = 10**9

MOUNTS = """\
21 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
22 21 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw
23 21 8:17 / /media/an/MY\\040CARD rw - vfat /dev/sdb1 rw
24 21 0:45 /home /home rw - btrfs /dev/sdc1 rw
25 21 254:0 / /srv rw - ext4 /dev/mapper/vg-srv rw
26 21 0:5 / /proc rw - proc proc rw
"""
SWAPS = """\
Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sdd2                               partition\t1000\t0\t-2
"""


class Kernel:
    """A /sys and a /proc of our own, with the disks of a technician's laptop."""

    def __init__(self, folder):
        self.sys, self.proc = folder / "sys", folder / "proc"
        self._write(self.proc / "self" / "mountinfo", MOUNTS)
        self._write(self.proc / "swaps", SWAPS)

    def disk(self, kernel_name, number, length, parts=(), removable="0", **about):
        place = self.sys / "devices" / kernel_name
        self._device(place, number, length)
        self._write(place / "removable", removable)
        self._write(place / "ro", about.pop("ro", "0"))
        for key, value in about.items():
            self._write(place / "device" / key, value)
        for n, (part, part_number) in enumerate(parts, start=1):
            self._device(place / part, part_number, length // 2)
            self._write(place / part / "partition", str(n))

    def hold(self, name, holder):
        (self.sys / "devices" / name / "holders" / holder).mkdir(parents=True)

    def look_at(self, number, name="/dev/somewhere"):
        return card.look_at(Path(name), sys=self.sys, proc=self.proc, number=number)

    def _device(self, place, number, length):
        self._write(place / "dev", number + "\n")
        self._write(place / "size", f"{length // 512}\n")
        for link in (
            self.sys / "dev" / "block" / number,
            self.sys / "block" / place.name,
        ):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)

    def _write(self, file, text):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def kernel(tmp_path):
    made = Kernel(tmp_path)
    made.disk(
        "nvme0n1", "259:0", 512 * GB, [("nvme0n1p1", "259:1"), ("nvme0n1p2", "259:2")],
        model="Made-up SSD",
    )  # fmt: skip
    made.disk("sda", "8:0", 32 * GB, removable="1", model="Card Reader")
    made.disk("sdb", "8:16", 32 * GB, [("sdb1", "8:17")], removable="1")
    made.disk("sdc", "8:32", 32 * GB, [("sdc1", "8:33")], removable="1")
    made.disk("sdd", "8:48", 32 * GB, [("sdd1", "8:49"), ("sdd2", "8:50")], removable="1")
    made.disk("sde", "8:64", 2000 * GB, [("sde1", "8:65")], model="USB HDD")
    made.disk("sdf", "8:80", 32 * GB, [("sdf1", "8:81")], removable="1")
    made.disk("dm-0", "254:0", 16 * GB)
    made.hold("sdf/sdf1", "dm-0")
    made.disk(
        "mmcblk0", "179:0", 32 * GB, [("mmcblk0p1", "179:1")],
        type="SD", name="SC32G", serial="0x1234abcd",
    )  # fmt: skip
    made.disk("mmcblk1", "179:8", 32 * GB, type="MMC", name="BJTD4R", serial="0x5")
    made.disk("sdg", "8:96", 4 * GB, removable="1")
    made.disk("sdi", "8:128", 0, removable="1")
    made.disk("sdh", "8:112", 32 * GB, removable="1", ro="1")
    return made


IMAGE_BYTES = 6 * GB


@pytest.mark.parametrize("number", ["8:0", "179:0"])
def test_a_card_in_a_reader_is_taken(kernel, number):
    found = kernel.look_at(number)
    assert card.refusals(found, IMAGE_BYTES) == []
    assert card.doubts(found) == []


def test_a_card_in_a_laptops_own_slot_says_who_it_is(kernel):
    found = kernel.look_at("179:0")
    assert (found.model, found.serial, found.bytes) == ("SC32G", "0x1234abcd", 32 * GB)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("259:0", "this machine runs from it: nvme0n1p2 is mounted at /"),
        ("259:1", "this machine runs from it: nvme0n1p2 is mounted at /"),  # a part of that disk
        (
            "8:16",
            "sdb1 is mounted at /media/an/MY CARD; if it is the right one: sudo umount /dev/sdb1",
        ),
        ("8:32", "sdc1 is mounted at /home"),  # btrfs, which numbers its mounts itself
        ("8:48", "this machine swaps to sdd2"),
        ("8:80", "sdf1 is part of dm-0"),
        ("8:80", "is mounted at /srv"),  # through dm-0
        ("8:96", "it holds 4.0 GB, and the image takes 6.0; take a card of 16 GB or more"),
        ("8:128", "there is no card in it; put one in"),
        ("8:112", "write-protected; slide the lock"),
    ],
)
def test_what_is_never_written_to(kernel, number, said):
    assert any(said in each for each in card.refusals(kernel.look_at(number), IMAGE_BYTES))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("8:64", ["it is no card in a reader, but built in", "it holds 2000.0 GB, more than any"]),
        ("179:8", ["it is no card in a reader, but built in"]),  # soldered on
        ("179:1", ["it is one partition, not the whole card"]),
    ],
)
def test_what_is_written_only_after_being_told_twice(kernel, number, said):
    found = kernel.look_at(number)
    assert card.refusals(found, IMAGE_BYTES) == []
    for doubt, begin in zip(card.doubts(found), said, strict=True):
        assert doubt.startswith(begin)


def test_what_is_no_disk_is_refused(tmp_path):
    with pytest.raises(CardError, match="No such file or directory; `lsblk` lists"):
        card.look_at(tmp_path / "sdz")
    with pytest.raises(CardError, match="is no disk and no file"):
        card.look_at(tmp_path)


def test_a_file_that_is_there_is_doubted_and_an_empty_one_is_not(tmp_path):
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_bytes(b"photographs")
    new.touch()
    assert card.doubts(card.look_at(there)) == ["it is a file that is there already"]
    assert card.doubts(card.look_at(new)) == []


# writing and reading back


class Forgetful:
    """A counterfeit card: has less than it says, and begins from the front again."""

    BLOCK = 4096

    def __init__(self, has):
        self._has = has
        self._blocks = {}

    def write_at(self, place, content):
        for n in range(0, len(content), self.BLOCK):
            self._blocks[(place + n) % self._has] = content[n : n + self.BLOCK]

    def read_at(self, place, length):
        return b"".join(
            self._blocks.get((place + n) % self._has, bytes(self.BLOCK))
            for n in range(0, length, self.BLOCK)
        )

    def flush(self):
        pass


class Losing(Forgetful):
    """Another: takes everything and keeps what it has room for."""

    def write_at(self, place, content):
        if place < self._has:
            super().write_at(place, content)


class Broken:
    """A card of which one byte doesn't hold."""

    def __init__(self, length, bad):
        self._bytes, self._bad = bytearray(length), bad

    def write_at(self, place, content):
        self._bytes[place : place + len(content)] = content
        self._bytes[self._bad] = 0

    def read_at(self, place, length):
        return bytes(self._bytes[place : place + length])

    def flush(self):
        pass


@pytest.fixture
def image(tmp_path):
    """Twelve chunks, no two alike."""
    file = tmp_path / "door-1.img"
    chunk = ranges.CHUNK_BYTES
    file.write_bytes(b"".join(bytes([n + 1]) * chunk for n in range(12)))
    return file


def whole(file):
    return [Range(0, file.stat().st_size)]


def put(image, what, disk, disk_bytes=0, progress=lambda _done: None):
    flash.put(image, what, disk, disk_bytes=disk_bytes, nonce=b"nonce", progress=progress)


def test_an_image_is_written_to_a_file_and_read_back(image, tmp_path):
    onto = tmp_path / "card"
    onto.write_bytes(b"old" * 30_000_000)
    done = []
    with raw_disk.opened(onto) as disk:
        put(image, whole(image), disk, onto.stat().st_size, done.append)
    assert onto.read_bytes()[: image.stat().st_size] == image.read_bytes()
    assert sum(done) == 2 * image.stat().st_size


def test_only_what_means_something_is_written(image, tmp_path):
    onto = tmp_path / "card"
    onto.write_bytes(b"\xff" * image.stat().st_size)
    chunk = ranges.CHUNK_BYTES
    with raw_disk.opened(onto) as disk:
        put(image, [Range(0, 2 * chunk), Range(11 * chunk, 12 * chunk)], disk)
    written = onto.read_bytes()
    assert written[: 2 * chunk] == image.read_bytes()[: 2 * chunk]
    assert written[2 * chunk : 11 * chunk] == b"\xff" * 9 * chunk
    assert written[11 * chunk :] == image.read_bytes()[11 * chunk :]


def test_a_card_with_one_bad_byte_is_found(image):
    disk = Broken(image.stat().st_size, bad=30_000_000)
    with pytest.raises(FlashError, match=r"gives back other bytes .* at 0.0 GB: .* counterfeit"):
        put(image, whole(image), disk)
    # Its partition table was to be written last, and so never was: it looks as empty as it is.
    assert not any(disk.read_at(0, flash.HEAD_BYTES))


@pytest.mark.parametrize("disk", [Forgetful(8 * GIB), Forgetful(16 * GIB), Losing(31 * GIB)])
def test_a_card_that_has_less_than_it_says_is_found_at_once(disk):
    with pytest.raises(FlashError, match="forgets what is written .* counterfeit"):
        flash.probe(disk, 6 * GIB, 32 * GIB, b"nonce")


def test_a_card_of_an_odd_size_is_found_once_the_image_is_on_it(image):
    """The image took the place of a mark, which lies where the card began from the front again."""
    length = image.stat().st_size
    disk = Forgetful(length + 5 * MIB + 4096)
    flash.probe(disk, length, 4 * length, b"nonce")
    with pytest.raises(FlashError, match="forgets|other bytes"):
        put(image, whole(image), disk, 4 * length)


def test_an_honest_card_is_asked_to_its_last_block():
    disk = Forgetful(32 * GIB)
    flash.probe(disk, 6 * GIB, 32 * GIB, b"nonce")
    asked = flash.places(6 * GIB, 32 * GIB)
    assert (asked[0], asked[-1]) == (6 * GIB, 32 * GIB - flash.PROBE_BYTES)
    assert len(asked) > flash.PROBES
    assert flash.places(6 * GIB, 6 * GIB) == []


def test_a_disk_that_is_not_there_is_said(tmp_path):
    with (
        pytest.raises(RawDiskError, match="can't be opened alone"),
        raw_disk.opened(tmp_path / "sdz"),
    ):
        pass


def test_a_card_that_ends_early_is_said(image, tmp_path):
    """The kernel's own full device, which takes nothing."""
    broken = pytest.raises(RawDiskError, match="broken, or was pulled out")
    with broken, raw_disk.opened(Path("/dev/full")) as disk:
        disk.write_at(0, b"x")


# the manifest


def row(kiosk, **changed):
    values = {
        "written_at": "2026-11-22T08:00:00Z", "kiosk": kiosk, "device": "/dev/sda",
        "device_bytes": 32 * GB, "card_name": "SC32G", "card_serial": "0x1234abcd",
        "image_digest": "a" * 64, "seed_digest": "b" * 64, "token": "0123456789abcdef",
        "package": "0.1.0",
    }  # fmt: skip
    return Row(**{**values, **changed})


def rows(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_each_card_is_a_row(tmp_path):
    file = tmp_path / "manifest.csv"
    manifest.append(file, row("door-1"))
    manifest.append(file, row("door-2", card_name='a "name", with commas'))
    assert [each["kiosk"] for each in rows(file)] == ["door-1", "door-2"]
    assert rows(file)[1]["card_name"] == 'a "name", with commas'
    assert rows(file)[0]["card_serial"] == "0x1234abcd"


def test_a_row_that_a_power_cut_left_half_spoils_no_other(tmp_path):
    file = tmp_path / "manifest.csv"
    manifest.append(file, row("door-1"))
    whole_file = file.read_bytes()
    manifest.append(file, row("door-2"))
    file.write_bytes(file.read_bytes()[: len(whole_file) + 30])
    manifest.append(file, row("door-3"))
    assert [each["kiosk"] for each in rows(file)][::2] == ["door-1", "door-3"]


def _append_many(file, name):
    for n in range(25):
        manifest.append(file, row(f"{name}-{n}"))


def test_two_technicians_at_once_lose_no_row(tmp_path):
    file = tmp_path / "manifest.csv"
    context = get_context("fork")
    writers = [context.Process(target=_append_many, args=(file, name)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(each["kiosk"] for each in rows(file)) == sorted(
        f"{name}-{n}" for name in "abcd" for n in range(25)
    )


def test_a_manifest_that_can_not_be_written_says_what_to_note(tmp_path):
    with pytest.raises(ManifestError, match="note its kiosk door-1 and serial 0x1234abcd"):
        manifest.append(tmp_path / "missing" / "manifest.csv", row("door-1"))
