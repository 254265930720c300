"""`vaora-provision image` and `flash`, from a fleet's folder and a list of doors to a card."""

import csv
import os
import re
import subprocess

import pytest
from click.testing import CliRunner

from checkin import identity
from checkin.claim import Token
from provisioning import disk, image, ranges
from provisioning.__main__ import main
from provisioning.boot_partition import BootPartition
from provisioning.packages import NEEDED
from tests import disk_images, fleet
from tests.inventories import door, listed

CONTROL = """\
Package: {name}
Version: 0.1.0
Architecture: {arch}
Maintainer: Made Up <made-up@example.org>
Description: stands in
"""


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")


def package(folder, name, arch):
    tree = folder / f"{name}-tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL.format(name=name, arch=arch))
    file = folder / f"{name}_0.1.0_{arch}.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", str(tree), str(file)], check=True,
                   capture_output=True)  # fmt: skip
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An official image that has all but our package."""
    status = disk_images.STATUS.format(arch="arm64") + "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n\n"
        for name in NEEDED
    )
    folder = tmp_path_factory.mktemp("download")
    made = disk_images.official(folder / "made.img", status=status, boot_bytes=disk_images.SMALL)
    return disk_images.packed(made, folder / "raspios-trixie-arm64-lite.img.xz")


@pytest.fixture(scope="module")
def made(tmp_path_factory, base):
    """A fleet of two doors, with our package and one it needs; images of both."""
    folder = tmp_path_factory.mktemp("fleet") / "fleet"
    found = fleet.made_up(folder)
    found.folder.inventory.write_bytes(listed(door(1), door(2)).encode())
    package(folder, "vaora", "arm64")
    (folder / "debs").mkdir()
    package(folder / "debs", "made-up", "all")
    done = run(folder, "image", "--all", base=base)
    assert done.exit_code == 0, done.output
    return found


def run(folder, command, *words, base=None, given=None):
    options = ["--fleet", str(folder)]
    if base is not None:
        options += ["--base", str(base), "--packages", str(folder / "debs")]
    return CliRunner().invoke(main, [command, *options, *map(str, words)], input=given)


def of(made, kiosk="cong-1"):
    return made.folder.images / f"{kiosk}.img"


def boot_of(file):
    return BootPartition(file, disk.read(file).boot.begin)


def manifest_of(made):
    with made.folder.manifest.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_each_door_has_an_image_with_its_own_secrets(made):
    tokens = []
    for kiosk in ("cong-1", "cong-2"):
        boot = boot_of(of(made, kiosk))
        assert f'id = "{kiosk}"' in boot.read("vaora/kiosk.toml").decode()
        tokens.append(Token.read(boot.read("vaora/claim.token").decode().strip()))
        assert identity.read(boot.read("vaora/claim.pem")).name == "vaora-claim"
        assert image.read_sheet(of(made, kiosk)).token == tokens[-1].fingerprint
    assert tokens[0] != tokens[1]
    with made.register() as register:
        assert [register.token(each.fingerprint).kiosk for each in tokens] == ["cong-1", "cong-2"]


def test_the_only_private_key_in_an_image_is_the_claims(made):
    content = b""
    for each in ranges.data(of(made)):
        with of(made).open("rb") as opened:
            opened.seek(each.begin)
            content += opened.read(len(each))
    (key,) = re.findall(
        rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
        content,
        re.DOTALL,
    )
    claim = boot_of(of(made)).read("vaora/claim.pem")
    assert key in claim
    assert identity.fits(claim, key + b"\n")
    for file in (made.folder.root / "keys").iterdir():
        assert file.read_bytes().strip() not in content, file.name


def test_what_is_there_already_is_left(made, base):
    before = image.read_sheet(of(made))
    done = run(made.folder.root, "image", "--all", base=base)
    assert "2 images are there already; --again makes them anew" in done.output
    assert image.read_sheet(of(made)) == before


def test_an_image_made_anew_ends_the_earlier_token(made, base):
    before = image.read_sheet(of(made, "cong-2"))
    done = run(made.folder.root, "image", "--kiosk", "cong-2", base=base)
    assert done.exit_code == 0, done.output
    assert "Each is for one card and holds a secret, good until 2" in done.output
    after = image.read_sheet(of(made, "cong-2"))
    assert after.token != before.token
    with made.register() as register:
        old, new = register.token(before.token), register.token(after.token)
    assert old.expires_at < new.expires_at


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name kiosks with --kiosk ID, or say --all"),
        (["--kiosk", "cong-9"], "cong-9: is no kiosk in the inventory"),
        (["--kiosk", "cong-1", "--sha256", "0" * 64], "was expected: it was damaged"),
    ],
)
def test_a_mistake_ends_in_a_line_that_says_what_to_do(made, base, words, said):
    before = image.read_sheet(of(made))
    done = run(made.folder.root, "image", *words, base=base)
    assert done.exit_code
    assert said in done.output
    assert "Traceback" not in done.output
    assert image.read_sheet(of(made)) == before


def test_an_image_without_a_checksum_is_refused_until_it_is_said(made, base, tmp_path):
    bare = tmp_path / "raspios.img.xz"
    bare.symlink_to(base)
    done = run(made.folder.root, "image", "--kiosk", "cong-1", base=bare)
    assert "has no checksum; download raspios.img.xz.sha256" in done.output
    done = run(
        made.folder.root, "image", "--kiosk", "cong-1", "--no-checksum", "--out", tmp_path / "out",
        base=bare,
    )  # fmt: skip
    assert done.exit_code == 0, done.output


def test_an_image_that_has_all_that_is_needed_asks_nobody(made, base, tmp_path):
    words = ("--fleet", made.folder.root, "--base", base, "--kiosk", "cong-1", "--out", tmp_path)
    done = CliRunner().invoke(main, ["image", *map(str, words)])
    assert done.exit_code == 0, done.output
    names = boot_of(tmp_path / "cong-1.img").names()
    assert "vaora/vaora.deb" in names
    assert not [name for name in names if name.startswith("vaora/packages/")]


def test_a_list_with_a_mistake_makes_no_image(base, tmp_path):
    found = fleet.made_up(tmp_path)
    (tmp_path / "debs").mkdir()
    found.folder.inventory.write_bytes(listed(door(1, direction="sideways")).encode())
    done = run(tmp_path, "image", "--all", base=base)
    assert "inventory.csv" in done.output
    assert "line 2" in done.output
    assert not list(found.folder.images.glob("*.img"))


def test_two_at_once_don_t_take_each_others_half_images(made, base):
    with image.alone(made.folder.images):
        done = run(made.folder.root, "image", "--kiosk", "cong-1", base=base)
    assert "images are being made there by another; wait for it" in done.output


def test_what_a_killed_one_left_is_taken_away(made, base):
    left = made.folder.images / f"{image.HALF}killed"
    left.mkdir()
    (left / "cong-1.img").write_bytes(b"a secret")
    done = run(made.folder.root, "image", "--kiosk", "cong-1", base=base)
    assert done.exit_code == 0, done.output
    assert not left.exists()
    assert {file.name for file in made.folder.images.iterdir()} == {
        ".cache", ".lock", "cong-1.img", "cong-1.json", "cong-2.img", "cong-2.json",
    }  # fmt: skip


# to a card


@pytest.fixture
def flashed(made, tmp_path, base):
    """A fresh image of the first door, on a card that is a file."""
    assert run(made.folder.root, "image", "--kiosk", "cong-1", base=base).exit_code == 0
    card = tmp_path / "card"
    done = run(made.folder.root, "flash", "--kiosk", "cong-1", card)
    assert done.exit_code == 0, done.output
    return card


def test_a_card_gets_the_image_and_a_row(made, flashed):
    sheet = image.read_sheet(of(made))
    assert boot_of(flashed).read("vaora/claim.token") == boot_of(of(made)).read("vaora/claim.token")
    assert disk.read(flashed) == disk.read(of(made))
    assert ranges.digest(flashed) == sheet.image_digest
    row = manifest_of(made)[-1]
    assert (row["kiosk"], row["token"], row["package"]) == ("cong-1", sheet.token, "0.1.0")
    assert (row["image_digest"], row["seed_digest"]) == (sheet.image_digest, sheet.seed_digest)
    assert row["device"] == str(flashed)


def test_one_image_is_for_one_card(made, flashed, tmp_path):
    done = run(made.folder.root, "flash", "--kiosk", "cong-1", tmp_path / "second")
    assert "only one can enrol with it; make another: vaora-provision image" in done.output
    assert not (tmp_path / "second").exists()
    done = run(made.folder.root, "flash", "--kiosk", "cong-1", "--again", tmp_path / "second")
    assert done.exit_code == 0, done.output


def test_a_file_that_is_there_is_written_only_after_being_told_twice(made, flashed, tmp_path):
    words = ("flash", "--kiosk", "cong-1", "--again", flashed)
    done = run(made.folder.root, *words)
    assert "is there already\nIf it is the right one, say so: --yes-this-disk" in done.output
    done = run(made.folder.root, *words, "--yes-this-disk", given="card2\n")
    assert "'card2' isn't 'card'; nothing was written" in done.output
    done = run(made.folder.root, *words, "--yes-this-disk", given="card\n")
    assert done.exit_code == 0, done.output


def test_a_disk_too_small_is_refused_before_a_byte_is_written(made, tmp_path, base):
    run(made.folder.root, "image", "--kiosk", "cong-1", base=base)
    small = tmp_path / "small"
    small.write_bytes(b"photographs" * 1000)
    done = run(made.folder.root, "flash", "--kiosk", "cong-1", "--yes-this-disk", small)
    assert "take a card of 16 GB or more" in done.output
    assert small.read_bytes() == b"photographs" * 1000


def test_a_disk_that_was_pulled_out_becomes_no_file(made, base):
    run(made.folder.root, "image", "--kiosk", "cong-1", base=base)
    done = run(made.folder.root, "flash", "--kiosk", "cong-1", "/dev/sd-made-up")
    assert "No such file or directory; `lsblk` lists" in done.output
    assert not os.path.lexists("/dev/sd-made-up")


def test_an_image_that_was_changed_since_is_refused(made, base, tmp_path):
    run(made.folder.root, "image", "--kiosk", "cong-2", base=base)
    with of(made, "cong-2").open("r+b") as opened:
        opened.seek(9 * 1024 * 1024)
        opened.write(b"x")
    done = run(made.folder.root, "flash", "--kiosk", "cong-2", tmp_path / "card")
    assert "isn't as it was made; make it again" in done.output


def test_an_image_whose_token_died_is_refused(made, base, tmp_path):
    run(made.folder.root, "image", "--kiosk", "cong-2", base=base)
    elsewhere = tmp_path / "elsewhere"
    # A later image of the same kiosk, put somewhere else, ends the token of this one.
    run(made.folder.root, "image", "--kiosk", "cong-2", "--out", elsewhere, base=base)
    done = run(made.folder.root, "flash", "--kiosk", "cong-2", tmp_path / "card")
    assert "the token in its image counts no more" in done.output
    done = run(
        made.folder.root, "flash", "--kiosk", "cong-2", "--images", elsewhere, tmp_path / "card"
    )
    assert done.exit_code == 0, done.output
