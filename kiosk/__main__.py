"""`vaora-kiosk`: read visitors' codes at this door, record check-ins, answer by light and sound."""

import json
import logging
import os
import secrets
import sys
import time
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from checkin import VERSION, health, lock, names, settings, signed_list
from checkin.clock import SystemClock
from checkin.command_line import leave_no_traces, load, settings_option, stop_signals
from checkin.lock import AlreadyRunningError
from checkin.marks import text
from checkin.outbox import (
    Outbox,
    OutboxError,
    OutboxLostError,
    is_of_an_earlier_form,
    set_aside_if_damaged,
)
from checkin.seal import CentralSeal, SealError
from checkin.settings import Settings, SettingsError
from checkin.signed_list import SignedListError, SignedSettings
from checkin.supervisor import Supervisor, this_process
from checkin.words import _
from kiosk import doctor as examining
from kiosk import in_force
from kiosk.doctor import Doctor, Looking, Patience
from kiosk.logic import examination, feedback
from kiosk.logic.examination import Finding
from kiosk.logic.policy import Policy
from kiosk.logic.station import MOST_VISITORS, Rules, Station
from kiosk.loop import KioskLoop
from kiosk.memory import Memory
from kiosk.ports import (
    Camera,
    CameraEndedError,
    CameraError,
    Code,
    DecoderError,
    Frame,
    Panel,
    PanelError,
)
from kiosk.told import Places, SettingsChangedError, Told
from kiosk.trusted import Trusted
from kiosk.watch import WATCHER_FILE, Quality, Watch, drawn, read_seen

if TYPE_CHECKING:
    from kiosk.devices.decoder import PatientDecoder

log = logging.getLogger("vaora.kiosk")

SEAL_OFF = "off"

# A running kiosk writes four times a second once it has noticed the watcher, which takes a second.
SEEN_STALE_S = 5.0
FRESH_S = 1.5
WATCH_EVERY_S = 0.5

# How long a kiosk that can't start shows so before it ends, to be started again.
OUT_OF_ORDER_S = 5.0

# For an outbox of a million check-ins to be changed to this version's form, or looked through.
LONG_WORK_S = 1800.0


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-kiosk")
@settings_option
def main() -> None:
    pass


@main.command()
@settings_option
@click.pass_obj
def run(settings_file: Path) -> None:
    """Run until stopped: look, record, answer.

    Every check-in is on disk before its green light; stop it, or cut its power, at any moment.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    loaded = load(settings_file)
    leave_no_traces()
    stopped = stop_signals()
    try:
        _serve(loaded, stopped, this_process())
    except (AlreadyRunningError, CameraError, PanelError, OutboxError, DecoderError) as error:
        raise click.ClickException(str(error)) from error


@main.command(name="settings")
@click.option(
    "--defaults", is_flag=True, help="The defaults, each explained: a file to begin with."
)
@settings_option
@click.pass_obj
def settings_(settings_file: Path, *, defaults: bool) -> None:
    """Print the settings in force: the file's, what was signed in their place, and the defaults."""
    if defaults:
        click.echo(settings.as_toml(Settings(), explained=True))
        return
    loaded = load(settings_file)
    click.echo(in_force.as_toml(loaded, _told(loaded)))


@main.command()
@click.option("--once", is_flag=True, help="Print one look and end.")
@settings_option
@click.pass_obj
def watch(settings_file: Path, *, once: bool) -> None:
    """Show what the running kiosk sees and decides, until Ctrl-C; works over ssh.

    Frame rate, milliseconds per stage, light and focus with hints, and the last verdicts without
    anything of a visitor.
    """
    folder = Path(load(settings_file).kiosk.runtime_dir)
    stopped = stop_signals()
    clock = SystemClock()
    began = clock.moment().tick
    shown = None
    while not stopped.is_set():
        try:
            health.touch(folder / WATCHER_FILE)
        except OSError as error:
            raise click.ClickException(
                f"{folder}: {error.strerror}; watch as root or as a member of the group vaora"
            ) from error
        seen = read_seen(folder)
        tick = clock.moment().tick
        if seen is not None and 0 <= tick - seen.tick < FRESH_S:
            shown = tick
            click.echo(drawn(seen, tick) if once else f"\x1b[H\x1b[2J{drawn(seen, tick)}")
            if once:
                return
        elif tick - (shown or began) > SEEN_STALE_S:
            raise click.ClickException(
                "no kiosk writes here: is vaora-kiosk running, with the same settings file?"
            )
        stopped.wait(WATCH_EVERY_S)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option(
    "--code-wait",
    type=click.FloatRange(0, 600),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for the printed test code to be held before the camera.",
)
@settings_option
@click.pass_obj
def doctor(settings_file: Path, *, as_json: bool, code_wait: float) -> None:
    """Look at every part of this kiosk, say how it is and what to do.

    Plays every light and tone. Ends with 1 where a part isn't well. Without a screen the same is
    asked by holding the test button, or the printed test code (docs/test-code.svg) before the
    camera: the lights then count the numbers of the parts that aren't well.
    """
    loaded = load(settings_file)
    stopped = stop_signals()
    leave_no_traces()  # it sees what visitors show
    findings = _examine(loaded, code_wait, stopped)
    if as_json:
        names_ = {"kiosk": loaded.kiosk.id, "version": VERSION}
        click.echo(examining.as_json(findings, **names_))
    else:
        for line in examining.in_words(findings):
            click.echo(line)
    sys.exit(1 if examination.unwell(findings) else 0)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
def decode(images: tuple[Path, ...]) -> None:
    """Read the codes in image files; a JSON line each.

    {"file", "codes": [{"bytes_base64", "text", "corners"}], "ms"}. The bytes are what the code
    holds; "text" is for your eyes. A file that is no image is a line with "error". Needs no
    settings.
    """
    from kiosk.devices.opencv import read_image  # noqa: PLC0415  only this command needs it

    decoder = _decoder(0)
    for image in images:
        line: dict[str, object] = {"file": str(image)}
        try:
            grey = read_image(image)
            began = time.perf_counter()
            codes = decoder.read_still(grey)
            line |= {
                "codes": [_as_json(code) for code in codes],
                "ms": round((time.perf_counter() - began) * 1000, 3),
            }
        except DecoderError as error:
            line["error"] = str(error)
        click.echo(json.dumps(line, ensure_ascii=False))


@main.command()
@click.argument("lines", type=click.File("rb"), default="-")
def read(lines: BinaryIO) -> None:
    """Read payloads, JSON lines on standard input or in a file; a JSON line each.

    {"payload": text or a list of texts, "clock"?: ISO 8601, "trust"?: [{"kid", "cert_der_b64"}],
    "jwks"?: {"keys": […]}, "pass_keys"?: […], "id"?}. Prints the id and what the kiosk's readers
    make of it; a line that is none of these is a line with "error". Needs no settings.
    """
    from kiosk import reading  # noqa: PLC0415  only this command needs it

    for answer in reading.answers(lines, datetime.now(UTC)):
        click.echo(answer)


def _examine(loaded: Settings, code_wait_s: float, stopped: Event) -> list[Finding]:
    """Ask the running kiosk for what only it can see; without one, look for ourselves."""
    folder = Path(loaded.kiosk.runtime_dir)
    if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise click.ClickException(
            _("{folder}: not this user's to look into; run it with sudo").format(folder=folder)
        )
    os.environ.setdefault("LG_WD", str(folder))  # lgpio makes a pipe there, or here
    clock, asking = SystemClock(loaded.clock_file), Doctor(loaded)
    patience = Patience(clock, stopped, code_wait_s)
    if asking.kiosk_health(clock.moment()) is not None:
        seen = asking.look_with_the_kiosk(patience)
    else:
        try:
            held = lock.hold(Path(loaded.kiosk.data_dir) / "kiosk.lock", "vaora-kiosk")
        except AlreadyRunningError as error:
            starting = text(
                "vaora-kiosk is just starting, or tries to again and again ({why})", why=str(error)
            )
            seen = {"camera_trouble": starting, "panel_trouble": starting}
        else:
            looking = Looking(
                panel=lambda: _panel(loaded, sys.stderr),  # what it says is no part of the answer
                camera=lambda: _camera(loaded),
                decoder=lambda: _decoder(0),
                quality=_quality,
                wanted_frames_per_s=loaded.camera.fps,
            )
            seen = looking.look(patience)
            os.close(held)
    return asking.thorough(clock.moment(), **seen)


def _as_json(code: Code) -> dict[str, object]:
    return {
        "bytes_base64": b64encode(code.payload).decode(),
        # Lone surrogates can't be printed; an engine's guess may hold some.
        "text": code.text.encode("utf-8", "replace").decode(),
        "corners": code.corners,
    }


def _seal(loaded: Settings) -> CentralSeal | None:
    if loaded.seal == SEAL_OFF:
        log.warning('seal = "off": personal fields are readable on this disk and on the way')
        return None
    if not loaded.seal:
        raise click.ClickException(
            "seal is missing: without the central's public key, whoever takes this kiosk's card "
            'can read who came. Write `seal = "…"` at the top of the settings, with the key that '
            '`vaora-central keygen` printed; on a bench, `seal = "off"`'
        )
    try:
        return CentralSeal(loaded.seal)
    except SealError as error:
        raise click.ClickException(f"seal: {error}") from error


def _serve(own: Settings, stopped: Event, supervisor: Supervisor) -> None:
    loaded, told, seal = _begin_or_show(own, stopped)
    panel = _panel(loaded)
    try:
        _serve_with(panel, loaded, told, seal, stopped, supervisor)
    finally:
        supervisor.stopping()
        panel.close()


Begun = tuple[Settings, Told[SignedSettings], CentralSeal | None]


def _begin_or_show(own: Settings, stopped: Event) -> Begun:
    """What is in force; where nothing can be, the lights say so before the program ends."""
    try:
        return _begin(own)
    except (click.ClickException, AlreadyRunningError) as error:
        log.error("%s", error)  # noqa: TRY400  said before the wait, not after
        with suppress(PanelError):
            panel = _panel(own)
            _show_out_of_order(panel, stopped)
            panel.close()
        raise


def _begin(own: Settings) -> Begun:
    lock.hold(Path(own.kiosk.data_dir) / "kiosk.lock", "vaora-kiosk")
    told = _told(own)
    told.refresh()  # what came while nobody was here, at once: whoever takes it later has to end
    loaded = signed_list.in_force(own, told.found)
    return loaded, told, _seal(loaded)


def _show_out_of_order(panel: Panel, stopped: Event) -> None:
    """Seen by who passes, while systemd would only blink."""
    panel.rest(feedback.OUT_OF_ORDER)
    stopped.wait(OUT_OF_ORDER_S)


def _serve_with(
    panel: Panel,
    loaded: Settings,
    told: Told[SignedSettings],
    seal: CentralSeal | None,
    stopped: Event,
    supervisor: Supervisor,
) -> None:
    panel.rest(feedback.STARTING)
    try:
        outbox = _outbox(loaded, supervisor)
        camera = _camera(loaded)
        loop = _loop(loaded, told, outbox, camera, panel, seal)
    except (click.ClickException, CameraError, OutboxError) as error:
        log.error("%s", error)  # noqa: TRY400  said before the wait, not after
        _show_out_of_order(panel, stopped)
        raise
    log.info("%s at %s: %s", loaded.kiosk.id, loaded.kiosk.checkpoint, camera.name)
    try:
        serve(loop, stopped, supervisor)
    except (CameraEndedError, SettingsChangedError) as error:
        log.info("%s", error)
    except OutboxLostError:
        outbox.close()
        supervisor.needs(LONG_WORK_S)
        _set_aside(loaded.outbox_file, thorough=True)
        raise
    finally:
        loop.stop()
        outbox.close()


def serve(loop: KioskLoop, stopped: Event, supervisor: Supervisor) -> None:
    """Turn until stopped, and say so after each whole turn."""
    clock = SystemClock()
    while not stopped.is_set():
        # One without a frame doesn't count: a camera that hangs ends the process.
        if loop.turn():
            supervisor.alive(clock.moment().tick)


def _outbox(loaded: Settings, supervisor: Supervisor) -> Outbox:
    """The outbox, read as far as this boot's check-ins go; a damaged one is set aside."""
    _set_aside(loaded.outbox_file, thorough=False)
    if is_of_an_earlier_form(loaded.outbox_file):
        supervisor.needs(LONG_WORK_S)
    try:
        outbox = _open_outbox(loaded)
        try:
            outbox.visits(SystemClock().moment().boot, MOST_VISITORS)
        except OutboxLostError:
            outbox.close()
            raise
    except OutboxLostError:
        supervisor.needs(LONG_WORK_S)
        _set_aside(loaded.outbox_file, thorough=True)
        outbox = _open_outbox(loaded)
    made_as = names.waiting_under_other_names(
        outbox, checkpoint=loaded.kiosk.checkpoint, kiosk=loaded.kiosk.id
    )
    if made_as:
        raise OutboxError(made_as)
    return outbox


def _open_outbox(loaded: Settings) -> Outbox:
    return Outbox(
        loaded.outbox_file,
        limit_rows=loaded.outbox.limit_rows,
        min_free_bytes=loaded.outbox.min_free_mb * 1_000_000,
    )


def _set_aside(file: Path, *, thorough: bool) -> None:
    aside = set_aside_if_damaged(file, thorough=thorough)
    if aside is not None:
        log.error("the outbox was damaged and is set aside as %s; a new one begins", aside)


def _loop(
    loaded: Settings,
    told: Told[SignedSettings],
    outbox: Outbox,
    camera: Camera,
    panel: Panel,
    seal: CentralSeal | None,
) -> KioskLoop:
    clock = SystemClock(loaded.clock_file)
    now = clock.moment()
    memory = Memory(loaded.sightings_file, now)
    trusted = _trusted(loaded)
    station = _station(loaded, memory, trusted)
    visits = [(v.tag, v.tick, v.direction) for v in outbox.visits(now.boot, MOST_VISITORS)]
    begin = memory.begin
    station.restore(visits, begin.sightings, noted=begin.tick, tick=now.tick)
    decoder = _decoder(loaded.decoder.effort / loaded.camera.fps)
    return KioskLoop(
        checkpoint=loaded.kiosk.checkpoint,
        kiosk=loaded.kiosk.id,
        camera=camera,
        decoder=decoder,
        station=station,
        outbox=outbox,
        panel=panel,
        clock=clock,
        seal=seal,
        random=secrets.token_bytes,
        memory=memory,
        trusted=trusted,
        told=told,
        doctor=Doctor(loaded),
        wanted_frames_per_s=loaded.camera.fps,
        stale_after_days=loaded.policy.stale_after_days,
        lamp_below=loaded.panel.lamp_below if loaded.panel.lamp_pin else 0,
        watch=Watch(Path(loaded.kiosk.runtime_dir), camera.name, lambda: decoder.effort, _quality),
        health_file=loaded.kiosk_health_file,
        not_synced_after_s=loaded.panel.not_synced_after_s,
    )


def _station(loaded: Settings, memory: Memory, trusted: Trusted) -> Station:
    trusted.refresh()
    rules = Rules(
        direction=loaded.door.direction,
        hold_off_s=loaded.door.hold_off_s,
        visitor_prefix=loaded.door.visitor_prefix,
        policy=_policy(loaded),
    )
    return Station(rules, memory.begin.key, trusted.trust())


def _policy(loaded: Settings) -> Policy:
    try:
        return in_force.policy_from(loaded)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _trusted(loaded: Settings) -> Trusted:
    policy = loaded.policy
    try:
        return Trusted(
            policy.authority,
            policy.trust_file,
            policy.revocations_file,
            trust_places=Places(loaded.trust_arrived, loaded.trust_taken),
            revocations_places=Places(loaded.revocations_arrived, loaded.revocations_taken),
        )
    except SignedListError as error:
        raise click.ClickException(f"[policy] {error}") from error


def _told(loaded: Settings) -> Told[SignedSettings]:
    try:
        return in_force.told_settings(loaded)
    except SignedListError as error:
        raise click.ClickException(f"[policy] {error}") from error


def _camera(loaded: Settings) -> Camera:
    camera = loaded.camera
    match camera.source:
        case "picamera2":
            from kiosk.devices.pi_camera import PiCamera  # noqa: PLC0415  only a Pi has one

            return PiCamera(
                camera.width,
                camera.height,
                camera.fps,
                lens_position=camera.lens_position,
                exposure_us=camera.exposure_us,
                gain=camera.gain,
                zoom=camera.zoom,
                stall_s=camera.stall_s,
            )
        case "webcam":
            from kiosk.devices.opencv import WebcamCamera  # noqa: PLC0415

            return WebcamCamera(Path(camera.path), camera.width, camera.height, camera.fps)
        case "replay":
            from kiosk.devices.opencv import ReplayCamera  # noqa: PLC0415

            return ReplayCamera(Path(camera.path), camera.fps, repeat=camera.repeat)


def _decoder(frame_s: float) -> "PatientDecoder":
    from kiosk.devices import zxing  # noqa: PLC0415  decoders are loaded by who decodes
    from kiosk.devices.decoder import Engines, PatientDecoder  # noqa: PLC0415
    from kiosk.devices.zbar import Zbar  # noqa: PLC0415

    try:
        engines = Engines(zxing.local(), zxing.overall(), Zbar())
    except DecoderError as error:
        log.warning("%s; going on with zxing-cpp alone", error)
        engines = Engines(zxing.local(), zxing.overall())
    return PatientDecoder(engines, frame_s)


def _quality(frame: Frame) -> Quality:
    from kiosk.devices import views  # noqa: PLC0415  loaded already by the decoder

    return Quality(*views.light_of(frame.grey))


def _panel(loaded: Settings, out: TextIO | None = None) -> Panel:
    panel = loaded.panel
    if panel.kind == "terminal":
        from kiosk.devices.simulated_panel import TerminalPanel  # noqa: PLC0415

        return TerminalPanel(out or sys.stdout)
    from kiosk.devices.gpio_panel import GpioPanel  # noqa: PLC0415  asks for pins

    return GpioPanel(
        panel.green_pin,
        panel.red_pin,
        amber_pin=panel.amber_pin,
        buzzer_pin=panel.buzzer_pin,
        buzzer=panel.buzzer,
        lamp_pin=panel.lamp_pin,
        direction_button_pin=panel.direction_button_pin,
        test_button_pin=panel.test_button_pin,
    )


if __name__ == "__main__":
    main()
