"""`make docs`: the pages that are made from the code, so that they can't say anything else."""

from pathlib import Path
from typing import get_args

from checkin import settings
from checkin.blinks import PARTS, STEPS
from checkin.settings import Section, Settings
from kiosk.devices.simulated_panel import drawn
from kiosk.logic import feedback
from kiosk.logic.examination import TEST_CODE
from kiosk.ports import Pattern
from provisioning import columns, qr

HERE = Path(__file__).parent

# What each pattern says to a visitor, in Vietnamese and English.
MEANING = {
    "accepted-in": ("Mời vào: đã ghi nhận", "Come in: recorded"),
    "accepted-out": ("Mời ra: đã ghi nhận", "Goodbye: recorded"),
    "repeated": ("Đã ghi nhận rồi", "You are in already"),
    "refused": ("Không nhận ở đây: hỏi nhân viên", "Not taken here: ask the staff"),
    "foreign": ("Không phải mã của khách", "Not a visitor's code"),
    "fault": ("Máy lỗi: dùng phiếu giấy", "Out of order: use the paper form"),
    "direction-in": ("Từ nay: vào", "From now on: in"),
    "direction-out": ("Từ nay: ra", "From now on: out"),
    "self-test": ("Tự kiểm tra, rồi kết quả", "Self-test, then what was found"),
    "well": ("Tự kiểm tra: tốt", "Self-test: nothing found"),
    "starting": ("Đang khởi động", "Starting"),
    "ready": ("Sẵn sàng", "Ready"),
    "not-synced": ("Sẵn sàng, lâu chưa gửi được", "Ready; not confirmed for long"),
    "out-of-order": ("Máy lỗi: dùng phiếu giấy", "Out of order: use the paper form"),
}


def light_table() -> str:
    """The README's table: each verdict's light, sound and meaning."""
    lines = ["| light | sound | Nghĩa là | meaning |", "| --- | --- | --- | --- |"]
    for pattern in (*feedback.VERDICTS, *feedback.IDLE):
        vietnamese, english = MEANING[pattern.name]
        lines.append(f"| {_light(pattern)} | {_sound(pattern)} | {vietnamese} | {english} |")
    return "\n".join(lines)


def _light(pattern: Pattern) -> str:
    words = []
    for step in pattern.steps:
        level = step.level
        colour = next((name for name in ("green", "red", "amber") if getattr(level, name)), "")
        if not colour:
            continue
        length = "long" if step.seconds >= 0.4 else "short"  # noqa: PLR2004  as it looks
        words.append((colour, length))
    if pattern in feedback.IDLE:
        return f"{' and '.join(dict.fromkeys(c for c, _ in words))}, every {pattern.seconds:g} s"
    return f"{words[0][0]}, {pattern.seconds:.1f} s"


def _sound(pattern: Pattern) -> str:
    beeps = [step for step in pattern.steps if step.level.tone_hz]
    if not beeps:
        return "none"
    tone = "high" if beeps[0].level.tone_hz >= feedback.HIGH_HZ else "low"
    lengths = ", ".join(f"{step.seconds:g}" for step in beeps)
    return f"{len(beeps)} {tone}: {lengths} s"


def patterns_page() -> str:
    lines = [
        "# Light and sound",
        "",
        "Made from `kiosk/logic/feedback.py` by `make docs`. One character is 50 ms: G green,",
        "R red, A amber, · dark; ♪ is the buzzer. Every verdict has a rhythm of its own in light",
        "*and* in sound, so that it is understood without colour, without hearing, without sight.",
        "",
    ]
    kinds = (
        ("Verdicts", feedback.VERDICTS),
        ("Buttons", feedback.BUTTONS),
        ("Idle", feedback.IDLE),
    )
    for title, patterns in kinds:
        lines += [f"## {title}", ""]
        for pattern in patterns:
            vietnamese, english = MEANING[pattern.name]
            lines += [f"**{pattern.name}**: {english} / {vietnamese}", *_timeline(pattern)]
    lines += [
        "## Inspector's status",
        "",
        "Behind the verdict on an inspector's pass. High beeps with green count the check-ins that",
        f"wait: one for none, two for fewer than {feedback.FEW_WAITING}, three for more. Low beeps",
        "with amber say how long ago the central confirmed any: one for less than 15 minutes, two",
        "for less than a day, three for longer or never.",
        "",
    ]
    for waiting, confirmed_s in ((0, 0.0), (12, 3600.0), (5000, None)):
        pattern = feedback.status_pattern(waiting, confirmed_s)
        ago = "never" if confirmed_s is None else f"{confirmed_s:g} s ago"
        lines += [f"**{pattern.name}**: {waiting} wait, confirmed {ago}", *_timeline(pattern)]
    lines += [
        "## What the self-test found",
        "",
        "Behind the self-test, which the test button starts, the printed test code before the camera",
        "([test-code.svg](test-code.svg)), and `vaora-kiosk doctor`. Slow low beeps with red count the",
        f"number of a part that isn't well, for at most {feedback.MOST_FINDINGS} parts one after the",
        "other; `vaora-kiosk doctor` says what to do.",
        "",
        "| number | part |",
        "| --- | --- |",
        *(f"| {number} | {part} |" for number, part in enumerate(PARTS, 1)),
        "",
    ]
    for numbers in ([1], [7], [5, 9]):
        pattern = feedback.findings_pattern(numbers)
        parts = " and ".join(PARTS[number - 1] for number in numbers)
        lines += [f"**{pattern.name}**: {parts}", *_timeline(pattern)]
    lines += [
        "## What first boot couldn't do",
        "",
        "A card's first boot counts the step that failed in red with low beeps, on the panel and on",
        "the Pi's own LED. Where the door serves all the same (the last ones), it is counted in amber",
        "while nobody is there. The label lists what to do.",
        "",
        "| number | step |",
        "| --- | --- |",
        *(f"| {number} | {step} |" for number, step in enumerate(STEPS, 1)),
        "",
    ]
    pattern = feedback.first_boot_pattern("read-only")
    lines += [f"**{pattern.name}**: read-only", *_timeline(pattern)]
    return "\n".join(lines)


def _timeline(pattern: Pattern) -> list[str]:
    return ["", "```", drawn(pattern).replace("  sound", "\nsound"), "```", ""]


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Made from `checkin/settings.py` by `make docs`. One file, `/etc/vaora/kiosk.toml`, for",
        "both processes; `vaora-kiosk settings` prints what is in force, `vaora-kiosk settings",
        "--defaults` a file to begin with. A key that is no setting is refused.",
        "",
        "## At the top",
        "",
        *_table(Settings, ("seal",)),
    ]
    for name, kind in settings.section_types():
        lines += [f"## [{name}]", "", *_table(kind, kind.__struct_fields__)]
    return "\n".join(lines)


def _table(kind: type[Section], keys: tuple[str, ...]) -> list[str]:
    lines = ["| setting | default | what |", "| --- | --- | --- |"]
    defaults = kind()
    for key in keys:
        meta = settings.meta_of(kind, key)
        what = meta.description if meta is not None else ""
        lines.append(f"| `{key}` | `{getattr(defaults, key)!r}` | {what} |")
    return [*lines, ""]


def inventory_page() -> str:
    """The list of doors, column by column."""
    lines = [
        "# The list of doors",
        "",
        "Made from `provisioning/columns.py` by `make docs`. One row of `inventory.csv` for each kiosk;",
        "`vaora-provision init` makes one to begin with, `vaora-provision check` names every mistake in",
        "it. UTF-8, with commas, semicolons or tabs; the columns in any order, called by either name,",
        "with or without accents and capitals. Columns that aren't needed may be left out.",
        "",
        "| column | in Vietnamese | needed | example | what |",
        "| --- | --- | --- | --- | --- |",
    ]
    for column in columns.COLUMNS:
        needed = "yes" if column.needed else ""
        example = f"`{column.example}`" if column.example else ""
        lines.append(
            f"| `{column.name}` | {column.vietnamese} | {needed} | {example} | {column.what} |"
        )
    lines += [
        "",
        f"- `type` is one of {', '.join(get_args(columns.Kind))}; or in Vietnamese "
        f"{', '.join(columns.KINDS)}. An event needs its last day.",
        f"- `direction` is one of in, out, alternate, button; or {', '.join(columns.DIRECTIONS)}.",
        f"- `network` is one of ethernet, wifi, sim; or {', '.join(columns.NETWORKS)}.",
        "- `wiring` is `standard` or `full`, as [hardware.md](../hardware.md) draws them, or GPIO",
        "  numbers such as `green=17 red=27 amber=24 buzzer=22 direction=5 test=6 lamp=23`; 0 is none.",
        "- Days are written 2026-12-01. Format the columns of codes, days and telephone numbers as",
        "  text before you write into them: a spreadsheet else makes 100123 of 0100123. A code that",
        "  is right although `check` misses a 0 in it is written with `'` in front.",
        "- The file has the Wi-Fi's passwords in it: keep it where the fleet's keys are kept.",
        "",
    ]
    return "\n".join(lines)


# Millimetres a module: a citizen card's, one between, a visitor's pass.
TEST_CODE_MODULES_MM = (0.25, 0.5, 1.1)

# As `qr.svg` draws a code of version 1, with its quiet zone.
TEST_CODE_MODULES = 29


def test_code_page() -> str:
    """The printed test code, in three sizes: print it without scaling, on matt paper or a card."""
    drawn_code = qr.svg(TEST_CODE.decode()).partition("?>")[2].strip()
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<svg xmlns="http://www.w3.org/2000/svg" width="100mm" height="50mm" viewBox="0 0 100 50">',
        '<rect width="100" height="50" fill="#fff"/>',
        '<text x="4" y="46" font-family="sans-serif" font-size="3">Vào Ra: mã thử, test code. '
        "In không co giãn, print at 100 %.</text>",
    ]
    left = 4.0
    for module in TEST_CODE_MODULES_MM:
        size = module * TEST_CODE_MODULES
        place = f'<svg x="{left:g}" y="4" width="{size:g}" height="{size:g}" '
        lines.append(drawn_code.replace("<svg ", place, 1).replace(*_VIEW_BOX, 1))
        left += size + 6
    return "\n".join([*lines, "</svg>", ""])


_SIZE = TEST_CODE_MODULES * qr.MODULE_PX
_VIEW_BOX = (f'width="{_SIZE}" height="{_SIZE}" ', f'viewBox="0 0 {_SIZE} {_SIZE}" ')

PAGES = {
    "inventory.md": inventory_page,
    "patterns.md": patterns_page,
    "settings.md": settings_page,
    "test-code.svg": test_code_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
