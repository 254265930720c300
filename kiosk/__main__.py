"""`vaora-kiosk`: read visitors' codes at this door, record check-ins, answer by light and sound."""

import json
import logging
import secrets
import sys
import time
from base64 import b64encode
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from checkin import VERSION, lock, names, settings
from checkin.clock import SystemClock
from checkin.command_line import load, settings_option, stop_signals
from checkin.lock import AlreadyRunningError
from checkin.outbox import Outbox, OutboxError, OutboxLostError, set_aside_if_damaged
from checkin.seal import CentralSeal, SealError
from checkin.settings import Settings
from kiosk.logic.station import MOST_VISITORS, Rules, Station
from kiosk.loop import KioskLoop
from kiosk.memory import Memory
from kiosk.ports import (
    Camera,
    CameraEndedError,
    CameraError,
    Code,
    DecoderError,
    Panel,
    PanelError,
)

if TYPE_CHECKING:
    from kiosk.devices.decoder import PatientDecoder

log = logging.getLogger("vaora.kiosk")

SEAL_OFF = "off"

# How long a kiosk that can't start shows so before it ends, to be started again.
OUT_OF_ORDER_S = 5.0


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
    seal = _seal(loaded)
    stopped = stop_signals()
    try:
        _serve(loaded, seal, stopped)
    except (AlreadyRunningError, CameraError, PanelError, OutboxError, DecoderError) as error:
        raise click.ClickException(str(error)) from error


@main.command(name="settings")
@click.option(
    "--defaults", is_flag=True, help="The defaults, each explained: a file to begin with."
)
@settings_option
@click.pass_obj
def settings_(settings_file: Path, *, defaults: bool) -> None:
    """Print the effective settings: those of the file, and the defaults for the rest."""
    loaded = Settings() if defaults else load(settings_file)
    click.echo(settings.as_toml(loaded, explained=defaults))


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


def _serve(loaded: Settings, seal: CentralSeal | None, stopped: Event) -> None:
    panel = _panel(loaded)
    try:
        _serve_with(panel, loaded, seal, stopped)
    finally:
        panel.close()


def _serve_with(panel: Panel, loaded: Settings, seal: CentralSeal | None, stopped: Event) -> None:
    from kiosk.logic.feedback import OUT_OF_ORDER, STARTING  # noqa: PLC0415  beside its use

    panel.rest(STARTING)
    try:
        outbox = _outbox(loaded)
        camera = _camera(loaded)
    except (AlreadyRunningError, CameraError, OutboxError) as error:
        log.error("%s", error)  # noqa: TRY400  said before the wait, not after
        panel.rest(OUT_OF_ORDER)
        stopped.wait(OUT_OF_ORDER_S)  # seen by who passes, while systemd would only blink
        raise
    log.info("%s at %s: %s", loaded.kiosk.id, loaded.kiosk.checkpoint, camera.name)
    loop = _loop(loaded, outbox, camera, panel, seal)
    try:
        while not stopped.is_set():
            loop.turn()
    except CameraEndedError as error:
        log.info("%s", error)
    except OutboxLostError:
        outbox.close()
        _set_aside(loaded.outbox_file, thorough=True)
        raise
    finally:
        loop.stop()
        outbox.close()


def _outbox(loaded: Settings) -> Outbox:
    """The outbox, read as far as this boot's check-ins go; a damaged one is set aside."""
    lock.hold(Path(loaded.kiosk.data_dir) / "kiosk.lock", "vaora-kiosk")
    _set_aside(loaded.outbox_file, thorough=False)
    try:
        outbox = _open_outbox(loaded)
        try:
            outbox.visits(SystemClock().moment().boot, MOST_VISITORS)
        except OutboxLostError:
            outbox.close()
            raise
    except OutboxLostError:
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
    loaded: Settings, outbox: Outbox, camera: Camera, panel: Panel, seal: CentralSeal | None
) -> KioskLoop:
    clock = SystemClock()
    now = clock.moment()
    memory = Memory(loaded.sightings_file, now)
    station = _station(loaded, memory)
    visits = [(v.tag, v.tick, v.direction) for v in outbox.visits(now.boot, MOST_VISITORS)]
    begin = memory.begin
    station.restore(visits, begin.sightings, noted=begin.tick, tick=now.tick)
    return KioskLoop(
        checkpoint=loaded.kiosk.checkpoint,
        kiosk=loaded.kiosk.id,
        camera=camera,
        decoder=_decoder(loaded.decoder.effort / loaded.camera.fps),
        station=station,
        outbox=outbox,
        panel=panel,
        clock=clock,
        seal=seal,
        random=secrets.token_bytes,
        memory=memory,
        health_file=loaded.kiosk_health_file,
        not_synced_after_s=loaded.panel.not_synced_after_s,
    )


def _station(loaded: Settings, memory: Memory) -> Station:
    rules = Rules(
        direction=loaded.door.direction,
        hold_off_s=loaded.door.hold_off_s,
        visitor_prefix=loaded.door.visitor_prefix,
        accept=frozenset(loaded.door.accept),
    )
    return Station(rules, memory.begin.key)


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


def _panel(loaded: Settings) -> Panel:
    panel = loaded.panel
    if panel.kind == "terminal":
        from kiosk.devices.simulated_panel import TerminalPanel  # noqa: PLC0415

        return TerminalPanel(sys.stdout)
    from kiosk.devices.gpio_panel import GpioPanel  # noqa: PLC0415  asks for pins

    return GpioPanel(
        panel.green_pin,
        panel.red_pin,
        amber_pin=panel.amber_pin,
        buzzer_pin=panel.buzzer_pin,
        buzzer=panel.buzzer,
    )


if __name__ == "__main__":
    main()
