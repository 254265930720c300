"""Documentation is tested: what it names exists, and what exists is named."""

import math
import re
from pathlib import Path

import pytest

import central.__main__
import kiosk.__main__
import provisioning.__main__
import provisioning.desk
import sync_daemon.__main__
from checkin import settings
from checkin.settings import Settings
from docs import pages
from sync_daemon.topics import Address

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
HARDWARE = (ROOT / "hardware.md").read_text(encoding="utf-8")
PROSE = {
    str(file.relative_to(ROOT)): file.read_text(encoding="utf-8")
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
COMMANDS = {
    "vaora-kiosk": kiosk.__main__.main,
    "vaora-sync": sync_daemon.__main__.main,
    "vaora-central": central.__main__.main,
    "vaora-pass": provisioning.desk.main,
    "vaora-provision": provisioning.__main__.main,
}
ALL_SETTINGS = {key for _, kind in settings.section_types() for key in kind.__struct_fields__}
ALL_SETTINGS |= {"seal"}


@pytest.mark.parametrize("name", PROSE)
def test_every_command_that_is_named_exists(name):
    for program, command in re.findall(
        r"`?(vaora-(?:kiosk|sync|central|pass|provision)) ([a-z]+)", PROSE[name]
    ):
        assert command in COMMANDS[program].commands, f"{name}: {program} {command}"


def test_every_command_is_in_the_readme():
    for program, group in COMMANDS.items():
        for command in group.commands:
            assert f"`{program} {command}" in README, f"{program} {command}"


def test_every_command_has_one_row_in_the_readme():
    """Two tables of the same commands are what merging two branches leaves behind."""
    rows = re.findall(r"^\| `(vaora-[a-z]+ [a-z]+(?: [a-z]+(?=[` ]))?)", README, re.MULTILINE)
    assert sorted(rows) == sorted(set(rows))
    titles = re.findall(r"^#+ (?:For )?(?:the )?(.*?)s?$", README, re.MULTILINE)
    assert sorted(titles) == sorted(set(titles))  # one section for technicians, and no second


def test_every_page_is_to_be_found_from_the_readme():
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in README, page.name


@pytest.mark.parametrize("name", PROSE)
def test_every_make_word_that_is_named_exists(name):
    words = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in re.findall(r"`make ([a-z]+)", PROSE[name]):
        assert word in words, f"{name}: make {word}"


@pytest.mark.parametrize("name", PROSE)
def test_every_test_that_is_named_exists(name):
    """The threat model says of each danger which test shows that it is stopped."""
    files = [*(ROOT / "tests").rglob("*.py")]
    there = {file.stem for file in files} | ALL_SETTINGS
    for file in files:
        there |= set(re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8")))
    for test, star in re.findall(r"`(test_\w+)(\*?)(?:\.py)?`", PROSE[name]):
        assert test in there or (star and any(each.startswith(test) for each in there)), test
    for path in re.findall(r"`(tests/[\w/.-]+)`", PROSE[name]):
        assert (ROOT / path).exists(), path


def test_every_suite_is_in_the_page_about_testing():
    page = PROSE["docs/testing.md"]
    for place in (ROOT / "tests").iterdir():
        if place.is_dir() and any(place.glob("**/test_*.py")):
            assert f"`tests/{place.name}/`" in page or f"`make {place.name}`" in page, place.name
    for file in (ROOT / "tests").glob("test_*.py"):
        assert f"`tests/{file.name}`" in page, file.name


@pytest.mark.parametrize("name", PROSE)
def test_every_setting_that_is_named_exists(name):
    for key in re.findall(r"`([a-z_]+) = ", PROSE[name]):
        assert key in ALL_SETTINGS, f"{name}: {key}"


@pytest.mark.parametrize("name", PROSE)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)\)", PROSE[name]):
        if "://" not in target:
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_every_setting_is_in_the_page_and_the_page_is_fresh():
    for name, page in pages.PAGES.items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == page(), f"docs/{name} is old: make docs"
    for key in ALL_SETTINGS:
        assert f"| `{key}` |" in pages.settings_page()


def test_the_light_table_is_the_codes():
    table = README.split("light table: made by docs/pages.py -->\n")[1].split("\n<!-- end")[0]
    assert table == pages.light_table()


def test_the_settings_in_the_readme_are_settings():
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)[1]
    loaded = settings.parse(example)
    assert loaded.kiosk.id == "bv-lao-cai-cong-1"


def test_the_pins_in_hardware_md_are_the_defaults():
    panel = Settings().panel
    wired = {
        "green": panel.green_pin, "red": panel.red_pin, "buzzer": panel.buzzer_pin,
    }  # fmt: skip
    for name, pin in wired.items():
        assert re.search(rf"GPIO{pin} \(\d+\).*", HARDWARE), name
        assert f"`{name}_pin = {pin}`" in HARDWARE
    # The 40-pin header's place of each BCM number that is named.
    places = {2: 3, 3: 5, 5: 29, 6: 31, 17: 11, 22: 15, 23: 16, 24: 18, 27: 13}
    for pin, place in re.findall(r"GPIO(\d+) \((\d+)\)", HARDWARE):
        assert places[int(pin)] == int(place)
    low = re.search(r"gpio=([\d,]+)=op,dl", HARDWARE)[1]
    assert {str(pin) for pin in wired.values()} <= set(low.split(","))


def test_the_topics_in_the_readme_are_the_codes():
    named = set(re.findall(r"`(vaora/v1/[^`]+)`", README))
    assert named == {
        Address("+", "+").checkins,
        Address("+", "+").state,
        Address("<checkpoint>", "<kiosk>").receipt,
        Address("<checkpoint>", "<kiosk>").settings,
    }


def test_the_optics_add_up():
    rows = re.findall(r"\| (\d\.\d+) mm \| (\d+) mm \| ([\d.]+) \|(?: (\d+) mm \|)?", HARDWARE)
    assert len(rows) >= 8
    focal_px = 640 / math.tan(math.radians(33))
    for module, distance, pixels, across in rows:
        zoom = 1.8 if across else 1.0
        wide = zoom * focal_px * float(module) / float(distance)
        assert float(pixels) == pytest.approx(wide, abs=0.06)
        if across:
            assert float(across) == pytest.approx(1280 * float(distance) / zoom / focal_px, abs=0.7)


def test_the_focus_table_adds_up():
    rows = re.findall(r"\| (\d+) mm \| (\d+) mm \| ([\d.]+) \| ([\d.]+) \|", HARDWARE)
    assert len(rows) >= 6
    per_px = 4.74 / 1.8 * 4.74 / 0.0028
    for focused, at, spot, module in rows:
        blur = per_px * abs(1 / float(focused) - 1 / float(at))
        assert float(spot) == pytest.approx(blur, abs=0.06)
        size = 0.24 if float(at) < 130 else 1.1
        assert float(module) == pytest.approx(1773 * size / float(at), abs=0.06)


def test_the_design_cards_top_level_is_there():
    for name in ("kiosk", "sync_daemon", "provisioning", "systemd", "tests", "hardware.md"):
        assert (ROOT / name).exists()


def test_no_path_of_a_machine_is_written_anywhere():
    for folder in ("checkin", "kiosk", "sync_daemon", "central", "demo", "bench", "docs"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in {".py", ".md", ".svg", ".yaml"}:
                text = file.read_text(encoding="utf-8")
                assert not re.search(r"/(work|root|home/[a-z]+)/", text), file
