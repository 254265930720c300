"""`make pictures`: the README's two pictures, from a run of the demo and from the design."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 108

THEME = TerminalTheme(
    (24, 26, 31),
    (214, 217, 224),
    [
        (24, 26, 31),
        (224, 82, 82),
        (96, 190, 110),
        (222, 178, 80),
        (92, 142, 226),
        (190, 120, 210),
        (80, 190, 200),
        (214, 217, 224),
    ],
)

# The fonts of the reader's machine: a picture in a README fetches nothing from anywhere.
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}">
<style>{styles} text {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; white-space: pre; }}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#181a1f"/>
<g transform="translate(8, 8)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def terminal() -> None:
    """Run the demo and draw what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "demo"], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = ran.stdout.splitlines()

    def at(text: str) -> int:
        return next(number for number, line in enumerate(lines) if text in line)

    parts = (
        lines[: at("check-in 2 on disk")],
        lines[at("repeated") : at("repeated") + 1],
        lines[at("foreign") : at("foreign") + 1],
        lines[at("pulled out") : at("pulled out") + 6],
        lines[at("network is back") : at("network is back") + 6],
        lines[at("green lights") :],
    )
    shown = [line for part in parts for line in (*part, "         …")][:-1]
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text("$ make demo"))
    for line in shown:
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
    console.print()
    svg = console.export_svg(theme=THEME, code_format=SVG, unique_id="demo")
    (HERE / "demo.svg").write_text(svg, encoding="utf-8")
    print("docs/demo.svg")


BOXES = (
    # x, y, width, title, note, where
    (20, 60, 110, "camera", "grey frames", "kiosk"),
    (150, 60, 110, "decoder", "bytes, not text", "kiosk"),
    (280, 60, 110, "station", "a verdict", "kiosk"),
    (410, 60, 130, "outbox.append", "on disk, flushed", "kiosk"),
    (280, 150, 110, "panel", "light and sound", "kiosk"),
    (410, 250, 130, "outbox.db", "SQLite, sealed", "disk"),
    (160, 410, 130, "Sender", "publish, wait", "sync"),
    (410, 345, 130, "settle", "one watermark", "sync"),
    (600, 375, 110, "broker", "MQTT 5, TLS", "net"),
    (780, 375, 130, "central", "one copy of each", "central"),
)
ARROWS = (
    ((130, 85), (150, 85), ""),
    ((260, 85), (280, 85), ""),
    ((390, 85), (410, 85), "1"),
    ((410, 100), (390, 165), "2"),
    ((475, 110), (475, 250), ""),
    ((410, 275), (225, 410), "pending"),
    ((290, 435), (600, 415), "check-ins"),
    ((710, 412), (780, 412), "check-ins"),
    ((780, 388), (710, 388), "receipts"),
    ((600, 385), (540, 372), "receipts"),
    ((475, 345), (475, 300), "confirmed"),
)
FILL = {
    "kiosk": "#e8f3ea",
    "disk": "#fdf3dd",
    "sync": "#e6eefb",
    "net": "#eeeeee",
    "central": "#f3e8f8",
}


def data_path() -> None:
    """Draw the way of a check-in, from the camera to the central."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 930 490" font-family="sans-serif">',
        '<defs><marker id="a" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#333"/></marker></defs>',
        '<rect width="930" height="490" fill="white"/>',
        _zone(10, 20, 545, 190, "kiosk process: camera and pins, no network"),
        _zone(135, 320, 420, 155, "sync daemon: network, no devices"),
    ]
    for x, y, width, title, note, where in BOXES:
        middle = x + width / 2
        parts += [
            f'<rect x="{x}" y="{y}" width="{width}" height="50" rx="6" fill="{FILL[where]}"'
            ' stroke="#555"/>',
            f'<text x="{middle}" y="{y + 22}" text-anchor="middle" font-size="15">{title}</text>',
            f'<text x="{middle}" y="{y + 40}" text-anchor="middle" font-size="11" fill="#555">'
            f"{note}</text>",
        ]
    for (x1, y1), (x2, y2), label in ARROWS:
        parts.append(
            f'<path d="M{x1},{y1} L{x2},{y2}" stroke="#333" stroke-width="1.5" fill="none"'
            ' marker-end="url(#a)"/>'
        )
        if label:
            parts.append(
                f'<text x="{(x1 + x2) / 2}" y="{(y1 + y2) / 2 - 5}" text-anchor="middle"'
                f' font-size="11" fill="#333">{label}</text>'
            )
    parts += [
        '<text x="20" y="235" font-size="12" fill="#333">1 on disk first, 2 then the green light'
        "</text>",
        "</svg>",
    ]
    (HERE / "data-path.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")
    print("docs/data-path.svg")


def _zone(x: int, y: int, width: int, height: int, title: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="none"'
        f' stroke="#999" stroke-dasharray="5 4"/><text x="{x + 10}" y="{y + height - 8}" font-size="12"'
        f' fill="#555">{title}</text>'
    )


if __name__ == "__main__":
    data_path()
    terminal()
