"""`make demo`: codes before a camera become confirmed check-ins at a central, network or not."""

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2

from checkin.outbox import Outbox, OutboxError
from checkin.settings import Camera, Door
from demo import desk, scenes
from demo.link import Link
from demo.people import Person, person
from demo.programs import Bench, BrokerProgram, Line, Program, ProgramError
from demo.scenes import Scene, scene
from kiosk.devices.opencv import IMAGE_ENDINGS

SEED = 2026
FPS = 30.0
SHOWN_FRAMES = 27
GAP_FRAMES = 12
LEAD_FRAMES = 15
JPEG_QUALITY = 90

# Visitors before the network goes, while it is away, and after; and the one with a staff pass.
BEFORE, AWAY, AFTER = 5, 8, 3
WITH_A_PASS = 1
HARDNESS = 0.55

# How long a webcam or somebody's own folder is shown at most.
OWN_CAMERA_S = 30.0
PHOTOGRAPHS_PER_S = 3.0

DRAIN_S = 20.0

COLOURS = {"kiosk": "36", "sync": "33", "central": "35", "demo": "1", "broker": "90"}


@dataclass(slots=True)
class Story:
    """What has been seen so far, as it is printed."""

    began: float
    greens: int = 0
    check_ins: int = 0
    foreign: int = 0
    repeats: int = 0
    published: int = 0
    confirmed: int = 0
    broken: list[str] = field(default_factory=list)

    def tell(self, who: str, text: str) -> None:
        colour = COLOURS.get(who, "0")
        stamp = f"{time.monotonic() - self.began:5.1f} s"
        print(f"{stamp}  \x1b[{colour}m{who:8}\x1b[0m {text}", flush=True)

    def hear(self, line: Line) -> None:
        """Count what a program said, and pass it on in colour."""
        text = line.text
        match = re.match(r"panel (\S+)", text)
        if match:
            name = match[1]
            self.greens += name.count("accepted-")
            self.foreign += name == "foreign"
            self.repeats += name == "repeated"
            text = _in_colour(text)
        self.check_ins += "on disk: " in text
        if found := re.search(r"published (\d+) check-ins", text):
            self.published += int(found[1])
        if line.who == "sync" and (found := re.search(r"confirmed through (\d+)", text)):
            self.confirmed = int(found[1])
        if line.who != "broker":
            text = re.sub(r"\S*/vaora-demo-\w+/", "…/", text)
            self.tell(line.who, re.sub(r"^(INFO|DEBUG) ", "", text))

    def must(self, fact: bool, promise: str) -> None:  # noqa: FBT001  the fact is the point
        mark = "\x1b[32mkept\x1b[0m" if fact else "\x1b[31mBROKEN\x1b[0m"
        print(f"  {mark}: {promise}")
        if not fact:
            self.broken.append(promise)


def _in_colour(text: str) -> str:
    """The drawn light in its own colours."""
    text = re.sub(r"G+", lambda m: f"\x1b[42m{' ' * len(m[0])}\x1b[0m", text)
    text = re.sub(r"(?<=[·m])R+|(?<=light )R+", lambda m: f"\x1b[41m{' ' * len(m[0])}\x1b[0m", text)
    return re.sub(r"(?<=light )A+", lambda m: f"\x1b[43m{' ' * len(m[0])}\x1b[0m", text)


def visitors() -> list[Person]:
    return [person(number, SEED) for number in range(BEFORE + AWAY + AFTER)]


def script() -> list[Scene]:
    """Who comes by, in order: visitors, one who comes back too soon, one with a menu.

    And two with a pass from the desk: a member of the staff, and one whose pass was called back.
    """
    shown = [scene(who.payload, SEED + number, HARDNESS) for number, who in enumerate(visitors())]
    menu = scene(b"https://thucdon.example/bun-cha", SEED + 900, HARDNESS)
    again = scene(visitors()[1].payload, SEED + 901, HARDNESS)
    staff = scene(desk.staff_pass(), SEED + 902, HARDNESS)
    called_back = scene(desk.called_back(), SEED + 903, HARDNESS)
    return [*shown[:3], again, staff, shown[3], menu, called_back, *shown[4:]]


def render(folder: Path) -> int:
    """Write the script's frames as JPEGs; return how many."""
    folder.mkdir(parents=True)
    jobs = list(enumerate(script(), start=1))
    with ProcessPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        lead = pool.submit(_write, folder, 0, list(scenes.empty_frames(LEAD_FRAMES, SEED)))
        counts = list(pool.map(_render_visit, [folder] * len(jobs), jobs))
        return sum(counts) + lead.result()


def _render_visit(folder: Path, job: tuple[int, Scene]) -> int:
    number, one = job
    return _write(folder, number, list(scenes.visit(one, SHOWN_FRAMES, GAP_FRAMES)))


def _write(folder: Path, number: int, frames: "Sequence[scenes.Grey]") -> int:
    for count, frame in enumerate(frames):
        file = folder / f"{number:03}-{count:03}.jpg"
        cv2.imwrite(str(file), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return len(frames)


def own_camera(path: Path) -> tuple[Camera, float]:
    """The settings for a webcam, a folder or a video, and how long to watch it."""
    if not path.exists():
        raise click.ClickException(f"CAMERA={path}: no such device, folder or file")
    if path.is_char_device():
        return Camera(source="webcam", path=str(path)), OWN_CAMERA_S
    fps, seconds = FPS, OWN_CAMERA_S
    if path.is_dir():
        images = sum(file.suffix.lower() in IMAGE_ENDINGS for file in path.rglob("*"))
        if not images:
            raise click.ClickException(f"CAMERA={path}: no images in this folder")
        fps, seconds = PHOTOGRAPHS_PER_S, min(OWN_CAMERA_S, images / PHOTOGRAPHS_PER_S)
    return Camera(source="replay", path=str(path), fps=fps), seconds


@click.command()
@click.option("--camera", default="", help="A webcam, a folder of photographs, or a video.")
def main(camera: str) -> None:
    """Show the main job end to end; the exit status says whether every promise was kept."""
    with tempfile.TemporaryDirectory(prefix="vaora-demo-") as name:
        story = Story(time.monotonic())
        try:
            Demo(Path(name), story, Path(camera) if camera else None).run()
        except (ProgramError, OutboxError) as error:
            raise click.ClickException(str(error)) from error
    if story.broken:
        sys.exit(1)


class Demo:
    """One run, in one folder."""

    def __init__(self, folder: Path, story: Story, own: Path | None) -> None:
        self._folder = folder
        self._story = story
        self._own = own
        self._said: queue.Queue[Line] = queue.Queue()
        self._broker = BrokerProgram(folder / "broker", said=self._said)
        self._programs: list[Program] = []
        self._ended_badly: list[str] = []

    def run(self) -> None:
        tell = self._story.tell
        camera, seconds = self._camera()
        self._broker.start()
        tell("demo", f"a real {self._broker.kind} listens on port {self._broker.port}")
        link = Link(self._broker.port)
        bench = Bench(
            self._folder / "bench",
            self._broker.port,
            self._said,
            daemon_port=link.port,
            camera=camera,
            door=Door(hold_off_s=20.0),
            policy=desk.lists(self._folder),
        )
        bench.prepare()
        try:
            self._serve(bench, link, seconds)
            self._summary(bench, bytes(link.carried))
        finally:
            for program in reversed(self._programs):
                program.stop()
            link.close()
            self._broker.stop()

    def _camera(self) -> tuple[Camera, float]:
        if self._own is not None:
            return own_camera(self._own)
        frames = self._folder / "frames"
        count = render(frames)
        self._story.tell(
            "demo", f"{count} frames drawn: {len(script())} codes on phones, paper and cards"
        )
        return Camera(source="replay", path=str(frames), fps=FPS), 2 * count / FPS

    def _serve(self, bench: Bench, link: Link, seconds: float) -> None:
        """Let visitors come; take the network away in the middle, and give it back."""
        central, sync = bench.start_central(), bench.start_sync()
        kiosk = bench.start_kiosk()
        self._programs = [central, sync, kiosk]
        end = time.monotonic() + seconds
        story = self._story
        third = seconds / 3

        def enough(greens: int, later: float) -> Callable[[], bool]:
            if self._own is None:
                return lambda: story.greens >= greens
            return lambda: time.monotonic() > end - later

        self._watch(kiosk, end, enough(BEFORE + WITH_A_PASS, 2 * third))
        if self._own is None:  # let the last of them be confirmed while there is a network
            self._watch(kiosk, time.monotonic() + 1, lambda: story.confirmed >= story.greens)
        link.cut()
        story.tell("demo", "\x1b[1mthe network is pulled out; visitors keep coming\x1b[0m")
        self._watch(kiosk, end, enough(BEFORE + WITH_A_PASS + AWAY, third))
        waiting = Outbox(bench.settings.outbox_file, create=False).pending_count()
        link.restore()
        story.tell("demo", f"\x1b[1mthe network is back; {waiting} check-ins waited\x1b[0m")
        self._watch(kiosk, end, lambda: False)
        self._status(kiosk)
        drained = time.monotonic() + DRAIN_S
        outbox = Outbox(bench.settings.outbox_file, create=False)
        self._watch(sync, drained, lambda: outbox.pending_count() == 0)
        outbox.close()
        for program in (sync, central):
            self._status(program)
        self._pass_on()

    def _status(self, program: Program) -> None:
        """End a program; whether it ended well is a promise too."""
        status = program.stop()
        if status:
            self._ended_badly.append(f"{program.who} (status {status})")

    def _watch(self, program: Program, end: float, done: Callable[[], bool]) -> None:
        """Pass on what is said until `done`, or `program` ends, or the time is over."""
        while not done() and program.is_running and time.monotonic() < end:
            try:
                self._story.hear(self._said.get(timeout=0.05))
            except queue.Empty:
                continue

    def _pass_on(self) -> None:
        while not self._said.empty():
            self._story.hear(self._said.get())

    def _summary(self, bench: Bench, carried: bytes) -> None:
        story = self._story
        kept = list(_central(bench))
        print("\nAt the central, opened with its key:\n")
        for row in kept:
            who = row.get("name") or row.get("code")
            if row["turned_away"]:
                who = f"refused: {row['turned_away']}"
            proof = "verified" if row["verified"] else "read"
            print(f"  {row['at'][11:19]}  {row['direction']:3}  {row['kind']:8} {proof:8}  {who}")
        outbox = Outbox(bench.settings.outbox_file, create=False)
        summary = outbox.summary()
        outbox.close()
        print(
            f"\n{story.greens} green lights, {summary.appended} records on the kiosk's disk, "
            f"{story.published} published, {len(kept)} kept by the central,\n"
            f"{story.repeats} repeated, {story.foreign} foreign; "
            f"{time.monotonic() - story.began:.0f} s\n"
        )
        ids = Counter(row["id"] for row in kept)
        badly = f": not {', '.join(self._ended_badly)}" if self._ended_badly else ""
        story.must(not self._ended_badly, f"every program ended well{badly}")
        story.must(summary.appended >= story.greens, "green means on disk")
        story.must(summary.pending == 0, "nothing lost: everything on disk is confirmed")
        story.must(len(kept) == summary.appended, "the central has exactly what the door recorded")
        story.must(max(ids.values(), default=1) == 1, "nothing twice")
        if self._own is None:
            self._check_visitors(kept, bench, carried)
        print(
            f"\n{'BROKEN: ' + '; '.join(story.broken) if story.broken else 'Every promise kept.'}"
        )

    def _check_visitors(self, kept: list[dict[str, str]], bench: Bench, carried: bytes) -> None:
        expected = Counter((who.name, who.id_number) for who in visitors())
        expected[desk.STAFF, ""] += 1
        in_ = [row for row in kept if not row["turned_away"]]
        came = Counter((row["name"], row.get("id_number", "")) for row in in_)
        story = self._story
        proven = [row["name"] for row in in_ if row["verified"]]
        turned_away = [row["turned_away"] for row in kept if row["turned_away"]]
        story.must(proven == [desk.STAFF], "the signed pass is verified, and nothing else is")
        story.must(turned_away == ["revoked"], "the pass that was called back is refused")
        story.must(came == expected, "each visitor once, each Vietnamese name byte for byte")
        story.must(
            story.repeats == 1 and story.foreign == 1, "one repeat and one foreign code told so"
        )
        written = (
            b"".join(
                file.read_bytes() for file in (bench.folder / "data").iterdir() if file.is_file()
            )
            + bench.database.read_bytes()
            + carried
        )
        readable = [who.name for who in visitors() if who.name.encode() in written]
        story.must(not readable, "no name readable on the kiosk's disk, on the way or at rest")


def _central(bench: Bench) -> Iterator[dict[str, str]]:
    """What `vaora-central list` shows, oldest first."""
    command = [sys.executable, "-m", "central", "list", "--database", str(bench.database)]
    command += ["--key-file", str(bench.key_file), "--limit", "100000", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    for line in reversed(shown.stdout.splitlines()):
        yield json.loads(line)


if __name__ == "__main__":
    main()
