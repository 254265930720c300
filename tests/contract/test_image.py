"""Images of kiosks, made of an official one by sfdisk, mtools, mke2fs and debugfs themselves."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from checkin import settings
from provisioning import boot_partition, disk, image, official, ranges, tools
from provisioning.boot_partition import BootError, BootPartition
from provisioning.disk import DiskError
from provisioning.image import ImageError
from provisioning.official import OfficialError
from provisioning.tools import ToolError
from tests import disk_images
from tests.disk_images import PACKAGES, SEED, SMALL


def nothing(_done):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def trixie(folder):
    return disk_images.official(folder / "raspios-trixie-arm64-lite.img", boot_bytes=SMALL)


@pytest.fixture(scope="module")
def small(folder):
    """The smallest that is still a FAT32: unpacking takes its time by the byte."""
    return disk_images.official(folder / "small.img", boot_bytes=SMALL)


@pytest.fixture(scope="module")
def bookworm(folder):
    return disk_images.official(folder / "bookworm.img", release="bookworm")


@pytest.fixture(scope="module")
def prepared(folder, trixie):
    base = official.look_into(trixie, "0" * 64)
    return image.prepare(base, PACKAGES, "0.1.0", folder / "cache")


@pytest.fixture(scope="module")
def made(folder, prepared):
    into = folder / "images" / "door-1.img"
    image.make(
        prepared, SEED, into, kiosk="door-1", token="0123456789abcdef", at="2026-11-22T08:00:00Z"
    )
    return into


def boot_of(file):
    return BootPartition(file, disk.read(file).boot.begin)


# the official image


def test_an_image_is_known_for_what_it_is(trixie, bookworm):
    found = official.look_into(trixie, "1" * 64)
    assert (found.release, found.arch, found.form) == ("trixie", "arm64", "cloud-init")
    assert official.look_into(bookworm, "1" * 64).form == "bookworm"


@pytest.mark.parametrize(
    ("made_with", "said"),
    [
        ({"release": "bullseye"}, "give Raspberry Pi OS Lite, 64-bit, trixie or bookworm"),
        ({"arch": "armhf"}, "is for armhf; give the 64-bit image"),
    ],
)
def test_another_system_is_refused(tmp_path, made_with, said):
    file = disk_images.official(tmp_path / "other.img", **made_with)
    with pytest.raises(OfficialError, match=said):
        official.look_into(file, "1" * 64)


def test_what_is_no_image_is_refused(tmp_path, trixie):
    file = tmp_path / "holiday.img"
    file.write_bytes(os.urandom(1024 * 1024))
    with pytest.raises(OfficialError, match="no partition table that can be read"):
        official.look_into(file, "1" * 64)
    file.write_bytes(trixie.read_bytes()[: 50 * 1024 * 1024])
    with pytest.raises(OfficialError, match="ends before its partitions do"):
        official.look_into(file, "1" * 64)


def test_a_download_is_held_to_its_checksum(tmp_path, small):
    packed = disk_images.packed(small, tmp_path / "raspios.img.xz")
    expected = official.checksum(packed, None)
    counted = []
    assert official.check(packed, expected, counted.append) == expected
    assert sum(counted) == packed.stat().st_size
    unpacked = official.unpack(packed, expected, tmp_path / "cache", nothing)
    assert unpacked.read_bytes() == small.read_bytes()
    assert unpacked.stat().st_blocks * 512 < unpacked.stat().st_size / 2  # zeros became holes
    packed.unlink()  # unpacked once, and kept
    assert official.unpack(packed, expected, tmp_path / "cache", nothing) == unpacked


def test_a_damaged_download_is_refused_and_leaves_nothing(tmp_path, small):
    packed = disk_images.packed(small, tmp_path / "raspios.img.xz")
    expected = official.checksum(packed, None)
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(OfficialError, match="download it again"):
        official.check(packed, expected, nothing)
    with pytest.raises(OfficialError, match="is cut off or damaged .* download it again"):
        official.unpack(packed, expected, tmp_path / "cache", nothing)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "beside", "said"),
    [
        (None, None, r"has no checksum; download x\.img\.sha256"),
        ("abc", None, "is no SHA-256: 64 hexadecimal digits"),
        (None, "not found\n", r"has no SHA-256 of x\.img"),
        (None, f"{'a' * 64}  one.img\n{'b' * 64}  two.img\n", "has no SHA-256|expected"),
    ],
)
def test_a_checksum_that_is_none_is_refused(tmp_path, given, beside, said):
    file = tmp_path / "x.img"
    file.write_bytes(b"x")
    if beside is not None:
        (tmp_path / "x.img.sha256").write_text(beside)
    with pytest.raises(OfficialError, match=said):
        official.check(file, official.checksum(file, given), nothing)


def test_a_list_of_many_checksums_has_ours(tmp_path):
    (tmp_path / "x.img.sha256").write_text(
        f"{'a' * 64}  w.img\n{'b' * 64} *x.img\n{'c' * 64}  x.img\n"
    )
    assert official.checksum(tmp_path / "x.img", None) == "c" * 64


# the table


def test_root_gets_room_and_the_data_a_partition(made, trixie):
    before, after = disk.read(trixie), disk.read(made)
    assert [p.begin for p in after.partitions[:2]] == [p.begin for p in before.partitions]
    assert after.boot == before.boot
    assert after.root.bytes == disk.ROOT_BYTES
    data = after.partitions[2]
    assert data.begin == after.root.range.end
    assert data.bytes == disk.DATA_BYTES
    assert data.begin % disk.ALIGNMENT_BYTES == 0
    # The table's own number is part of root's name on the kernel's line, so it has to stay.
    assert b"label-id: 0x5ec2ab1e" in tools.run("sfdisk", "--dump", str(made))


def test_a_table_of_the_newer_kind_is_changed_too(tmp_path):
    file = disk_images.official(tmp_path / "gpt.img", label="gpt")
    table = disk.make_room(file)
    assert table.label == "gpt"
    assert [p.bytes for p in table.partitions[1:]] == [disk.ROOT_BYTES, disk.DATA_BYTES]
    said = subprocess.run(
        [tools.find("sfdisk"), "--verify", str(file)], capture_output=True, text=True, check=True
    )
    assert "No errors detected" in said.stdout + said.stderr


def test_an_image_that_was_laid_out_before_is_refused(made, tmp_path):
    with pytest.raises(DiskError, match="has 3 partitions, where an official image has two"):
        disk.make_room(made)


def test_the_data_partition_is_whole_and_empty(made, tmp_path):
    data = disk.read(made).partitions[2]
    ranges.copy_out(made, data.range, tmp_path / "data")
    tools.run("e2fsck", "-f", "-n", str(tmp_path / "data"))
    said = tools.run("debugfs", "-R", "stats -h", str(tmp_path / "data")).decode()
    assert re.search(r"Filesystem volume name:\s+vaora-data\n", said)
    assert re.search(r"Block size:\s+4096\n", said)


def test_on_a_card_the_data_grows_to_its_end(made, tmp_path):
    """As first-boot.sh does it, on a card larger than the image."""
    card = tmp_path / "card"
    with card.open("wb") as opened:
        opened.truncate(made.stat().st_size + 1024**3)
    ranges.copy(made, card)
    tools.run("sfdisk", "--quiet", "--no-reread", "-N", "3", str(card), given=b", +\n")
    data = disk.read(card).partitions[2]
    assert data.range.end > card.stat().st_size - 4 * 1024**2
    ranges.copy_out(card, data.range, tmp_path / "data")
    tools.run("resize2fs", str(tmp_path / "data"))
    tools.run("e2fsck", "-f", "-n", str(tmp_path / "data"))
    assert ranges.filesystem_bytes(tmp_path / "data", 0) == data.bytes


def test_root_is_left_as_it_was(made, trixie):
    before, after = disk.read(trixie).root, disk.read(made).root
    with trixie.open("rb") as a, made.open("rb") as b:
        a.seek(before.begin)
        b.seek(after.begin)
        assert a.read(before.bytes) == b.read(before.bytes)


# the boot partition


def test_seed_and_packages_are_on_it_and_the_os_too(made):
    boot = boot_of(made)
    for name, content in {**SEED, **PACKAGES}.items():
        assert boot.read(name) == content, name
    assert {"kernel8.img", "bcm2711-rpi-4-b.dtb", "config.txt", "cmdline.txt"} < set(boot.names())


def test_nothing_grows_root_over_the_data(made):
    line = boot_of(made).read("cmdline.txt").decode()
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert "root=PARTUUID=5ec2ab1e-02" in line.split()
    assert "resize" not in line.split()


def test_bookworms_own_first_boot_gives_way_to_ours(bookworm, tmp_path):
    base = official.look_into(bookworm, "0" * 64)
    prepared = image.prepare(base, PACKAGES, "0.1.0", tmp_path / "cache")
    seed = {**SEED, "firstrun.sh": b"#!/bin/bash\n"}
    into = tmp_path / "door-1.img"
    image.make(prepared, seed, into, kiosk="door-1", token="ab", at="2026-11-22T08:00:00Z")
    words = boot_of(into).read("cmdline.txt").decode().split()
    assert not any("raspberrypi-sys-mods" in word for word in words)
    assert "systemd.run=/boot/firmware/firstrun.sh" in words


def test_the_lines_edited_twice_are_as_edited_once():
    line = boot_partition.command_line(disk_images.COMMAND_LINE["trixie"], runs_once=True)
    assert boot_partition.command_line(line, runs_once=True) == line
    text = boot_partition.config(disk_images.CONFIG, pins=(27, 17), clock_chip="ds3231")
    assert boot_partition.config(text, pins=(27, 17), clock_chip="ds3231") == text
    assert text.startswith(disk_images.CONFIG)
    other = boot_partition.config(text, pins=(4,))
    assert "gpio=4=op,dl" in other
    assert "17" not in other
    assert "ds3231" not in other


def test_the_panels_outputs_are_dark_from_the_first_second(made):
    lines = boot_of(made).read("config.txt").decode().splitlines()
    ours = lines[lines.index(boot_partition.BEGIN) : lines.index(boot_partition.END) + 1]
    # Of the seed's own settings: amber is wired there. The button is an input and isn't driven.
    assert ours == [
        boot_partition.BEGIN, "[all]", "dtparam=watchdog=on", "gpio=17,22,24,27=op,dl",
        boot_partition.END,
    ]  # fmt: skip


def test_a_panel_that_is_no_pins_drives_none():
    assert image.outputs(settings.Panel(kind="terminal")) == []


def test_what_reads_back_otherwise_is_said(made, tmp_path):
    boot = boot_of(made)
    with pytest.raises(BootError, match="user-data reads back other than it was written"):
        boot.check({"user-data": b"something else"})
    with pytest.raises(BootError, match="mcopy"):
        boot.check({"missing": b""})


def test_a_full_boot_partition_is_said(tmp_path, small):
    base = official.look_into(small, "0" * 64)
    with pytest.raises(ImageError, match="boot partition"):
        image.prepare(base, {"vaora/vaora.deb": bytes(40_000_000)}, "0.1.0", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


# the whole


def test_the_only_private_key_in_the_image_is_the_claims(made):
    """Every byte of it is looked at, also those that no file has."""
    found = []
    for each in ranges.data(made):
        with made.open("rb") as opened:
            opened.seek(each.begin)
            found += re.findall(
                rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(\w+)", opened.read(len(each))
            )
    assert found == [b"MADEUPCLAIM"]


def test_the_sheet_says_what_went_in(made, prepared):
    sheet = image.read_sheet(made)
    assert (sheet.kiosk, sheet.token, sheet.package) == ("door-1", "0123456789abcdef", "0.1.0")
    assert sheet.image_digest == ranges.digest(made)
    assert sheet.base_sha256 == "0" * 64
    assert "VT1" not in json.dumps(json.loads(image.sheet_of(made).read_text()))
    assert made.stat().st_mode & 0o777 == 0o600


def test_an_image_without_its_sheet_is_refused(tmp_path):
    with pytest.raises(ImageError, match="vaora-provision image --kiosk door-9"):
        image.read_sheet(tmp_path / "door-9.img")


def test_an_image_under_another_kiosks_name_is_refused(made, tmp_path):
    (tmp_path / "door-9.json").write_bytes(image.sheet_of(made).read_bytes())
    (tmp_path / "door-9.img").touch()
    with pytest.raises(ImageError, match="its sheet is of door-1; make it again"):
        image.read_sheet(tmp_path / "door-9.img")


def test_a_copy_to_another_filesystem_has_the_same_bytes_and_holes(tmp_path):
    source = tmp_path / "source"
    with source.open("wb") as opened:
        opened.write(b"begin" * 1000)
        opened.seek(20 * 2**20)
        opened.write(b"end" * 1000)
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as other:  # memory, whatever tmp_path is on
        ranges.copy(source, Path(other.name))
        assert Path(other.name).read_bytes() == source.read_bytes()
        assert Path(other.name).stat().st_blocks * 512 < 2**20


def test_a_seed_without_settings_leaves_no_image(prepared, tmp_path):
    with pytest.raises(ImageError, match="no settings that a kiosk could read"):
        image.make(
            prepared, {"vaora/kiosk.toml": b"[panel]\ngreen_pin = 99\n"}, tmp_path / "x.img",
            kiosk="x", token="ab", at="2026-11-22T08:00:00Z",
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_an_image_takes_no_more_room_than_its_bytes(made, trixie):
    assert made.stat().st_size > 5 * 1024**3
    assert made.stat().st_blocks * 512 < trixie.stat().st_blocks * 512 + 40 * 1024**2


def test_a_missing_tool_is_named_with_its_package(monkeypatch):
    monkeypatch.setattr(tools, "PLACES", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolError, match="sudo apt install mtools"):
        tools.run("mcopy", "--version")


def test_the_checksum_is_of_bytes_and_not_of_holes(tmp_path):
    begin, end = b"begin" * 1000, b"end" * 1000
    holes, zeros = tmp_path / "holes", tmp_path / "zeros"
    with holes.open("wb") as made:
        made.write(begin)
        made.seek(20 * 2**20)
        made.write(end)
    zeros.write_bytes(holes.read_bytes())
    assert ranges.digest(holes) == ranges.digest(zeros)
    with holes.open("r+b") as made:
        made.seek(20 * 2**20 - 1)
        made.write(b"x")
    assert ranges.digest(holes) != ranges.digest(zeros)
    with zeros.open("ab") as made:
        made.write(b"\0")
    assert ranges.digest(zeros) not in {ranges.digest(holes), ""}


def test_every_program_that_is_run_is_named_with_its_package():
    """Whoever misses one is told what to install; and no name is left of one that isn't run."""
    ran = set()
    for file in Path(tools.__file__).parent.rglob("*.py"):
        asked = r'(?:tools\.run|tools\.find|_mtools|self\._run)\(\s*"([a-z0-9.-]+)"'
        ran |= set(re.findall(asked, file.read_text(encoding="utf-8")))
    assert ran == set(tools.PACKAGES)
