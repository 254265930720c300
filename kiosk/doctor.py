"""What a kiosk is asked about its health, gathered: `vaora-kiosk doctor`, and the self-test.

The camera and the pins belong to the running kiosk; a doctor beside it asks by a file in
`runtime_dir`, as `vaora-kiosk watch` does. Without a running kiosk it looks for itself.
"""

import os
import shutil
import statistics
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from checkin import health, outbox
from checkin.clock import Moment
from checkin.health import KioskHealth, SyncHealth
from checkin.outbox import Outbox, OutboxError, OutboxLostError
from checkin.settings import Settings
from kiosk.logic import examination
from kiosk.logic.examination import Facts, Finding, Sight

# Who wants the running kiosk to play every light and tone touches this in `runtime_dir`.
ASKED_FILE = "examine"

CLOCK_CHIP = Path("/sys/class/rtc/rtc0")

FLUSHES = 9
FLUSHED = b"\0" * 4096


class Doctor:
    """Answers for one kiosk. `quick` is for its own loop: it reads a few small files."""

    def __init__(self, loaded: Settings) -> None:
        self._loaded = loaded
        self._asked = Path(loaded.kiosk.runtime_dir) / ASKED_FILE
        self._asked_at = _changed(self._asked)

    def is_asked(self) -> bool:
        """Whether somebody asked since this was last called."""
        before, self._asked_at = self._asked_at, _changed(self._asked)
        return self._asked_at not in {before, None}

    def ask(self) -> None:
        """Ask the running kiosk. Raises `OSError`."""
        self._asked.touch()

    def quick(self, now: Moment, sight: Sight, faults: Collection[str]) -> list[Finding]:
        """What the running kiosk knows of itself, while its lights play."""
        facts = Facts(
            sight=sight,
            camera_trouble="gives no frames" if "camera" in faults else "",
            panel_played=True,
            outbox_trouble="takes no check-ins" if "outbox" in faults else "",
            waiting=0,
            **self._around(now),
        )
        return examination.examine(facts)

    def thorough(self, now: Moment, **seen: Any) -> list[Finding]:  # noqa: ANN401  fields of Facts
        """All of it: the outbox read through, the disk flushed; takes seconds."""
        facts = Facts(**(self._around(now) | self._disk() | self._outbox() | seen))
        return examination.examine(facts)

    def kiosk_health(self, now: Moment) -> KioskHealth | None:
        """How the running kiosk is, or None where none runs."""
        file = self._loaded.kiosk_health_file
        return health.read(file, KioskHealth, boot=now.boot, tick=now.tick)

    def _around(self, now: Moment) -> dict[str, Any]:
        """What costs nothing to ask."""
        broker = self._loaded.broker
        sync = health.read(self._loaded.sync_health_file, SyncHealth, boot=now.boot, tick=now.tick)
        found: dict[str, Any] = {
            "clock_synced": now.synced,
            "clock_source": "systemd-timesyncd",
            "has_clock_chip": CLOCK_CHIP.exists(),
            "min_free_mb": self._loaded.outbox.min_free_mb,
            "uses_certificate": broker.tls and bool(broker.cert_file),
            "needs_receipts": broker.confirm == "central",
            "daemon_runs": sync is not None,
            "buttons_fitted": _buttons(self._loaded),
        }
        try:
            disk = shutil.disk_usage(self._loaded.kiosk.data_dir)
            found["free_mb"] = disk.free / 1e6
        except OSError as error:
            found["disk_trouble"] = f"{self._loaded.kiosk.data_dir}: {error.strerror}"
        if sync is not None:
            found |= {
                "broker": sync.broker,
                "why_no_broker": sync.why_lost,
                "certificate_days": sync.certificate_days,
                "certificate_trouble": sync.certificate_trouble,
                "first_receipt_s": sync.first_receipt_s,
            }
        return found

    def _disk(self) -> dict[str, Any]:
        """How long the disk takes to keep a page for good."""
        file = Path(self._loaded.kiosk.data_dir) / f".doctor-{os.getpid()}"
        took = []
        try:
            with file.open("wb") as opened:
                for _ in range(FLUSHES):
                    began = time.perf_counter()
                    opened.write(FLUSHED)
                    opened.flush()
                    os.fsync(opened.fileno())
                    took.append(time.perf_counter() - began)
        except OSError as error:
            return {"disk_trouble": f"{self._loaded.kiosk.data_dir}: {error.strerror}"}
        finally:
            file.unlink(missing_ok=True)
        return {"flush_ms": statistics.median(took) * 1000}

    def _outbox(self) -> dict[str, Any]:
        """Read it through, and look how full it is."""
        path = self._loaded.outbox_file
        if not path.exists():
            return {}
        trouble = outbox.look_through(path)
        if trouble:
            return {"outbox_trouble": trouble, "waiting": 0}
        try:
            limits = self._loaded.outbox
            opened = Outbox(
                path,
                create=False,
                limit_rows=limits.limit_rows,
                min_free_bytes=limits.min_free_mb * 1_000_000,
            )
            try:
                return {
                    "outbox_checked": True,
                    "waiting": opened.pending_count(),
                    "room": opened.room(),
                    "lies_aside": [file.name for file in outbox.damaged_files(path)],
                }
            finally:
                opened.close()
        except (OutboxError, OutboxLostError) as error:
            return {"outbox_trouble": str(error), "waiting": 0}


def _buttons(loaded: Settings) -> list[str]:
    fitted = {
        "direction": loaded.panel.direction_button_pin,
        "test": loaded.panel.test_button_pin,
    }
    return [name for name, pin in fitted.items() if pin]


def _changed(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def in_words(findings: Sequence[Finding]) -> list[str]:
    """One line for a part, and one below it where there is something to do."""
    marks = {True: "well", False: "NOT WELL", None: "?"}
    lines = []
    for one in findings:
        lines.append(f"{one.number}  {one.part:12}{marks[one.well]:10}{_printable(one.told)}")
        if one.cure:
            lines.append(f"{'':15}{'':10}→ {one.cure}")
    return lines


def as_json(findings: Sequence[Finding], **more: str) -> bytes:
    """One object; `well` is whether every part that could be judged is."""
    well = not examination.unwell(findings)
    return msgspec.json.encode({**more, "well": well, "parts": findings})


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
