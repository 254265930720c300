"""A technician in a hurry: each command with the mistakes that can be made at it.

Whatever it is, the command ends in one line that says what to do, with an exit code that a script
sees, and leaves everything as it was.
"""

import errno
import os
import shutil
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from central.__main__ import main as central
from central.store import Store
from provisioning import image, ranges
from provisioning.__main__ import main as provision
from provisioning.commands import options
from provisioning.register import open_register
from sync_daemon.__main__ import main as sync
from tests import disk_images, fleet
from tests.inventories import door, listed

KIOSK = ["--kiosk", "cong-1"]
GARBAGE = b"\xff\xfe\x00 no such thing"

# What a command may leave: who holds a lock is no part of what was made, nor what is made again.
LEFT = {"enrol.lock", ".passes.csv.lock", ".lock", ".cache"}


# what may have happened to the fleet's folder


def gone(*names):
    def change(folder):
        for name in names:
            file = folder / name
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    return change


def holds(name, content=GARBAGE):
    return lambda folder: (folder / name).write_bytes(content)


def is_a_folder(name):
    def change(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return change


def is_anothers(name, other):
    return lambda folder: shutil.copy(folder / other, folder / name)


def may_be_read_by_all(name):
    return lambda folder: (folder / name).chmod(0o644)


def as_it_is(_folder):
    pass


# the commands, and what each says

INIT = [
    (["X", "--broker", "h", "@F"], "name a new folder"),
    (["X", "--broker", "h", "."], "name a new one: fleet"),
    (["X", "--broker", "h", "@F/fleet.toml"], "name another folder"),
    (["X", "--broker", "h", "@F/fleet.toml/below"], "name another folder"),
    (["X", "--broker", "h", f"@F/{'x' * 300}"], "name another folder"),
    (["", "--broker", "h", "@F/n"], "NAME has 0 letters; write 1 to 100"),
    (["x" * 101, "--broker", "h", "@F/n"], "NAME has 101 letters; write 1 to 100"),
    (["X", "--broker", "h", "--support", "x" * 201, "@F/n"], "write 200 at most"),
    (["X", "--broker", "", "@F/n"], "write one such as mqtt.example.vn"),
    (["X", "--broker", "mqtt.example.vn:8883", "@F/n"], "and its port with --port"),
    (["X", "--broker", "tls://mqtt.example.vn", "@F/n"], "write one such as"),
    (["X", "--broker", "192.168.1.300", "@F/n"], "write one such as mqtt.example.vn or 192.0.2.7"),
    (["X", "--broker", "h", "--also", "a b", "@F/n"], "'a b': is no name and no address"),
    (["X", "--broker", "h", "--port", "0", "@F/n"], "1<=x<=65535"),
    (["X", "@F/n"], "--broker"),
]

# Any command that opens the fleet.
OPENING = [
    (gone("fleet.toml"), "name one with --fleet DIR, or make one: vaora-provision init"),
    (holds("fleet.toml"), "is not UTF-8 text; bring it back from the backup"),
    (holds("fleet.toml", b"name = 1"), "correct it there"),
    (is_a_folder("fleet.toml"), "bring it back from the backup"),
]

PROVISION = [
    # command, what happened to the folder, what is said
    ("check", gone("inventory.csv"), "write the list of doors there"),
    ("check", holds("inventory.csv"), "correct it, then run check again"),
    ("check", holds("register.db"), "bring it back from the backup"),
    ("check", may_be_read_by_all("register.db"), "chmod 600"),
    ("enrol --list", gone("register.db"), "bring it back from the backup"),
    ("enrol --list", holds("register.db"), "bring it back from the backup"),
    ("enrol --list", holds("register.db", b""), "is empty; bring it back from the backup"),
    ("enrol --list", is_a_folder("register.db"), "chmod 600"),
    ("enrol --once", gone("keys/kiosks.key"), "bring it back from the backup"),
    ("enrol --once", holds("keys/kiosks.key"), "bring both back from the backup"),
    ("enrol --once", is_anothers("keys/kiosks.key", "keys/ca.key"), "isn't the key of"),
    ("enrol --once", holds("public/kiosks.pem", b""), "bring both back from the backup"),
    ("enrol --once", gone("enrol"), "bring it back from the backup"),
    ("enrol --once", holds("enrol/enrol.key"), "bring them back from the backup"),
    ("label", as_it_is, "say which: --kiosk ID (repeatable), or --all"),
    ("label --kiosk x", as_it_is, "put it there, or name one that is: cong-1"),
    ("label --all", gone("inventory.csv"), "write the list of doors there"),
    ("label --all --out @F/fleet.toml/x", as_it_is, "name another folder with --out"),
    ("pass issue", as_it_is, "say for whom: --holder NAME, or --csv FILE"),
    ("pass issue --holder A --hours x", as_it_is, "write one such as 12"),
    ("pass issue --holder A --until x", as_it_is, "write 2026-12-01 or 2026-12-01 07:30"),
    ("pass issue --holder A --until 2020-01-01", as_it_is, "write a later end"),
    ("pass issue --holder A --checkpoint x", as_it_is, "write checkpoints of the inventory"),
    ("pass issue --holder A --pdf @F/none/x.pdf", as_it_is, "name a folder that is there"),
    ("pass issue --holder A --pdf @F/fleet.toml", as_it_is, "name another with --pdf"),
    ("pass issue --holder A", gone("keys/pass.key"), "bring it back from the backup"),
    ("pass issue --holder A", holds("keys/pass.key"), "bring it back from the backup"),
    ("pass issue --holder A", holds("passes.csv"), "put a copy of before there"),
    ("pass issue --holder A", is_a_folder("passes.csv"), "put a copy of before there"),
    ("pass issue --csv @F/fleet.toml", as_it_is, "correct them and try again"),
    ("pass print 0011223344556677", as_it_is, "`vaora-provision pass list` shows them"),
    ("pass revoke", as_it_is, "say which: PASS_ID…, or --holder NAME"),
    ("pass revoke 0011223344556677", as_it_is, "`vaora-provision pass list` shows them"),
    ("pass revoke --holder B", as_it_is, "`vaora-provision pass list` shows them"),
    ("pass list", holds("passes.csv"), "put a copy of before there"),
    ("retire cong-9 --yes", as_it_is, "vaora-provision enrol --list shows them all"),
    ("retire cong-1 --yes", gone("register.db"), "bring it back from the backup"),
    ("retire cong-1 --yes", gone("keys/kiosks.key"), "bring it back from the backup"),
    ("retire cong-1 --yes", holds("keys/kiosks.key"), "bring both back from the backup"),
    ("retire cong-1", as_it_is, "Its name can't be used again"),
    ("send trust", as_it_is, "is the broker running, and the port right?"),
    ("send trust", gone("fleet_client"), "bring it back from the backup"),
    ("send revocations", holds("fleet_client/fleet.key"), "bring them back from the backup"),
    ("send settings", as_it_is, "give a --file with tables, a --seal, or --drop"),
    ("send settings --seal x", as_it_is, "--seal: a key is base64 of 32 bytes"),
    ("send settings --drop door --to x", as_it_is, "no kiosk of that name is in"),
    ("send settings --file @F/fleet.toml", as_it_is, "what can is [door], [policy], [epidemic]"),
    ("fleet", as_it_is, "is the broker running, and the port right?"),
    ("fleet", holds("fleet_client/ca.pem", b""), "bring them back from the backup"),
    (
        "fleet",
        is_anothers("fleet_client/fleet.key", "enrol/enrol.key"),
        "isn't the key of fleet.pem; bring both back from the backup",
    ),
    ("fleet", gone("inventory.csv"), "write the list of doors there"),
    ("release @F/none.deb", as_it_is, "does not exist"),
    ("release @F/fleet.toml", as_it_is, "is no Debian package"),
    ("release @F/fleet.toml", gone("keys/settings.key"), "bring it back from the backup"),
    ("image --kiosk cong-1", as_it_is, "--base"),
    ("image --kiosk cong-1 --base @F/none", as_it_is, "does not exist"),
    ("image --base @F/fleet.toml", as_it_is, "name kiosks with --kiosk ID, or say --all"),
    ("image --kiosk x --base @F/fleet.toml", as_it_is, "`vaora-provision check` reads it"),
    ("image --kiosk cong-1 --base @F/fleet.toml", as_it_is, "or give --sha256"),
    ("image --kiosk cong-1 --base @F/fleet.toml --sha256 x", as_it_is, "64 hexadecimal digits"),
    ("image --kiosk cong-1 --base @F/fleet.toml --no-checksum", as_it_is, "give the image of"),
    ("image --kiosk cong-1 --base @F/x.xz --no-checksum", holds("x.xz"), "download it again"),
    ("image --kiosk cong-1 --base @F/fleet.toml --out /proc/x", as_it_is, "is the name right?"),
    ("flash --kiosk cong-1", as_it_is, "DEVICE"),
    ("flash --kiosk x @F/card", as_it_is, "make it again: vaora-provision image --kiosk x"),
]  # fmt: skip

CENTRAL = [
    ("@F/none.db", "name it with --database FILE"),
    ("@F", "run it with sudo, or as the user that runs the central"),
    ("@F/fleet.toml", "name the central's with --database"),
    ("@F/register.db", "is the database of something else; name the central's with --database"),
    ("@F/empty.db", "is empty; name the right one with --database"),
]

ENROLMENT = [
    (None, "Write the settings there, or name another file with --settings FILE"),
    (GARBAGE, "is not UTF-8 text"),
    (b"[kiosk]\nid = 3\n", "such as 'bv-lao-cai-cong-1'"),
]


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A fleet of two doors; a card was made for the first."""
    made = fleet.made_up(tmp_path_factory.mktemp("made") / "fleet")
    made.folder.inventory.write_bytes(listed(door(1), door(2)).encode())
    made.card("cong-1", "0100001")
    return made.folder.root


@pytest.fixture
def folder(untouched, tmp_path, monkeypatch):
    """A copy of it; the technician stands beside it."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "fleet"
    shutil.copytree(untouched, copy)
    # Nobody listens there: mosquitto may well do on its usual port.
    text = (copy / "fleet.toml").read_text(encoding="utf-8")
    (copy / "fleet.toml").write_text(text.replace("8883", "9"), encoding="utf-8")
    return copy


def ends(program, words, folder, given=None):
    """The last line that `words` end in. Fails where they go well, crash or leave anything."""
    before = there(folder.parent)
    told = [word.replace("@F", str(folder)) for word in words]
    done = CliRunner().invoke(program, told, input=given)
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code != 0, done.output
    assert "Traceback" not in done.output
    assert "[Errno" not in done.output
    assert there(folder.parent) == before
    return done.output.strip().splitlines()[-1]


def there(place):
    """Every file and what is in it. SQLite's own bookkeeping is nobody's."""
    return {
        str(file.relative_to(place)): file.read_bytes() if file.is_file() else b""
        for file in place.rglob("*")
        if not LEFT & set(file.parts) and not file.name.endswith((".db-wal", ".db-shm", ".img"))
    }


@pytest.mark.parametrize(("words", "said"), INIT)
def test_init(folder, words, said):
    if words[-1] == ".":
        os.chdir(folder.parent)
        shutil.move(folder, folder.parent.parent / "away")
    assert said in ends(provision, ["init", *words], folder)


@pytest.mark.parametrize(
    "command", ["enrol --list", "label --all", "pass list", "retire x", "fleet"]
)
@pytest.mark.parametrize(("change", "said"), OPENING)
def test_a_folder_that_is_no_fleets(folder, command, change, said):
    change(folder)
    assert said in ends(provision, [*command.split(), "--fleet", "@F"], folder)


@pytest.mark.parametrize(("command", "change", "said"), PROVISION)
def test_a_command(folder, command, change, said):
    change(folder)
    if Path(folder / "register.db").is_dir():
        (folder / "register.db").chmod(0o755)
    assert said in ends(provision, [*command.split(), "--fleet", "@F"], folder)


@pytest.mark.parametrize("command", ["report", "retire"])
@pytest.mark.parametrize(("database", "said"), CENTRAL)
def test_the_central(folder, command, database, said):
    (folder / "empty.db").touch()
    words = [command, "--database", database, "--kiosk", "cong-1"]
    assert said in ends(central, words, folder)


@pytest.mark.parametrize(("content", "said"), ENROLMENT)
def test_enrolment_at_the_kiosk(folder, content, said):
    if content is not None:
        (folder / "kiosk.toml").write_bytes(content)
    assert said in ends(sync, ["enrolment", "--settings", "@F/kiosk.toml"], folder)


def test_a_kiosk_that_the_central_never_heard_of_is_asked_about(tmp_path):
    """It is retired all the same: a stolen one may begin to send only now."""
    file = tmp_path / "central.db"
    Store(file).close()
    words = ["--database", str(file), "--kiosk", "cong-l"]
    done = CliRunner().invoke(central, ["retire", *words])
    assert done.exit_code == 0
    assert "cong-l: nothing ever came from a kiosk of this name; is it right?" in done.output
    assert CliRunner().invoke(central, ["retire", "--undo", *words]).exit_code == 0
    done = CliRunner().invoke(central, ["retire", "--undo", *words])
    assert (done.exit_code, "isn't retired here; is its name right?" in done.output) == (1, True)


def put_image(folder):
    """What `image` leaves, as far as `flash` looks before it writes; of another machine's fleet."""
    (folder / "register.db").unlink()
    file = folder / "images" / "cong-1.img"
    file.write_bytes(b"image")
    sheet = image.Sheet("cong-1", "", "", ranges.digest(file), "", "0.1.0", "token")
    image.sheet_of(file).write_bytes(msgspec.json.encode(sheet))
    return file


FLASH = [
    (lambda file: file.unlink(), "card", "make it again: vaora-provision image --kiosk cong-1"),
    (lambda file: file.write_bytes(b"other"), "card", "make it again: vaora-provision image"),
    (lambda file: image.sheet_of(file).write_text("{"), "card", "make it again: vaora-provision"),
    (as_it_is, "none/card", "name a disk of `lsblk`, or a file in a folder that is there"),
    (as_it_is, "/dev/null", "`lsblk` lists the disks there are"),
    (as_it_is, "fleet", "`lsblk` lists the disks there are"),
]


@pytest.mark.parametrize(("change", "device", "said"), FLASH)
def test_flash(folder, change, device, said):
    change(put_image(folder))
    assert said in ends(provision, ["flash", *KIOSK, device, "--fleet", "@F"], folder)


def test_a_disk_without_its_folder_is_no_new_file(folder):
    """`flash … sda`: a file of that name would be said to be a card that reads back right."""
    disks = [file.name for file in Path("/dev").iterdir() if file.is_block_device()]
    if not disks:
        pytest.skip("this machine has no disks")
    put_image(folder)
    last = ends(provision, ["flash", *KIOSK, disks[0], "--fleet", "@F"], folder)
    assert last == f"Error: {disks[0]}: isn't there; is /dev/{disks[0]} meant? Write it so"


class Stopped:
    """Ctrl-C, or a full disk, after so many writes."""

    def __init__(self, error, after):
        self.error = error
        self.left = after

    def __call__(self, file, content, place):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return len(content)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "stopped half way, and no card for a Pi like this; flash it again"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room there"),
        (OSError(errno.EIO, "Input/output error"), "is broken, or was pulled out; try another"),
    ],
)
def test_what_was_half_flashed_is_said_and_no_file_stays(folder, monkeypatch, error, said):
    file = put_image(folder)
    made = disk_images.official(folder.parent / "made.img", boot_bytes=disk_images.SMALL)
    made.replace(file)
    sheet = image.Sheet("cong-1", "", "", ranges.digest(file), "", "0.1.0", "token")
    image.sheet_of(file).write_bytes(msgspec.json.encode(sheet))
    monkeypatch.setattr(os, "pwrite", Stopped(error, after=1))
    assert said in ends(provision, ["flash", *KIOSK, "card", "--fleet", "@F"], folder)


def test_a_kiosk_is_not_half_retired(folder):
    """Retired in the register, and not on the list that the broker goes by."""
    (folder / "keys" / "kiosks.key").unlink()
    ends(provision, ["retire", "cong-1", "--yes", "--fleet", "@F"], folder)
    with open_register(folder / "register.db") as register:
        assert register.retired("cong-1") is None


@pytest.mark.parametrize("command", ["check", "enrol --list", "label --all", "pass list", "fleet"])
def test_somebody_elses_folder(folder, command):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    words = [*command.split(), "--fleet", str(folder)]
    os.seteuid(65_534)
    try:
        done = CliRunner().invoke(provision, words)
    finally:
        os.seteuid(0)
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert (done.exit_code, "Permission denied" in done.output) == (1, True)
    assert any(cure in done.output for cure in ("as the user whose", "write the list of doors"))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "f: No space left on device; make room there, then do it again"),
        (errno.EROFS, "f: Read-only file system; nothing can be written there"),
        (errno.EACCES, "f: Permission denied; do it as the user whose file it is"),
        (errno.EIO, "f: Input/output error; look at the file and its folder"),
    ],
)
def test_what_the_system_refuses_anywhere_ends_in_a_line(number, said):
    @click.group(cls=options.Commands)
    def group():
        pass

    @group.command()
    def trip():
        raise OSError(number, os.strerror(number), "f")

    done = CliRunner().invoke(group, ["trip"])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {said}")
