"""The kiosk's one loop: a frame, its codes, a verdict, the disk, the light. In this order."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from checkin import event, first_boot, health
from checkin.clock import Clock, Moment
from checkin.event import Believed, CheckIn, Data, Shown
from checkin.health import KioskHealth
from checkin.outbox import Entry, Outbox, OutboxError, OutboxLostError
from checkin.seal import Seal
from checkin.signed_list import SignedSettings
from kiosk.doctor import Doctor
from kiosk.logic import examination, feedback
from kiosk.logic.button import Button, Press
from kiosk.logic.examination import TEST_CODE, Sight
from kiosk.logic.lamp import Lamp
from kiosk.logic.station import Accepted, ForeignCode, Refused, Repeated, Station, Verdict
from kiosk.memory import Memory
from kiosk.ports import (
    Buttons,
    Camera,
    CameraEndedError,
    CameraError,
    Code,
    Decoder,
    Frame,
    Panel,
    Pattern,
)
from kiosk.told import SettingsChangedError, Told
from kiosk.trusted import Trusted
from kiosk.watch import Watch

log = logging.getLogger("vaora.kiosk")

# A camera that doesn't come back after so many restarts needs a new process, and perhaps a new
# cable: the process ends and systemd starts a clean one.
MOST_RESTARTS = 3

# A disk that refused a check-in is not asked thirty times a second.
DISK_AGAIN_S = 1.0

HEALTH_EVERY_S = 5.0
SIGHTINGS_EVERY_S = 1.0

# The printed test code is anybody's to show, and somebody may glue it before the camera: it is
# answered once, and again when it was out of sight for so long.
TEST_CODE_AGAIN_S = 20.0

# More codes than this in one frame are a wall of stickers, not people.
MOST_CODES = 8

# Refusals on disk per minute at most: a screen that shows a new forged code in each frame must not
# fill the outbox before the next visitor comes.
MOST_REFUSALS = 60
REFUSALS_S = 60.0

# How often and how closely a frame is looked at for its light: every 16th pixel twice a second.
LIGHT_EVERY_FRAMES = 15
LIGHT_STEP_PX = 16

# A check-in whose writing failed keeps its id while its visitor may still be trying.
RETRY_S = 30.0


class KioskLoop:
    """Serves one door. Call `turn` for each frame; `stop` once."""

    def __init__(
        self,
        *,
        checkpoint: str,
        kiosk: str,
        camera: Camera,
        decoder: Decoder,
        station: Station,
        outbox: Outbox,
        panel: Panel,
        clock: Clock,
        seal: Seal | None,
        random: Callable[[int], bytes],
        memory: Memory,
        health_file: Path,
        not_synced_after_s: float = 900.0,
        trusted: Trusted | None = None,
        told: Told[SignedSettings] | None = None,
        doctor: Doctor | None = None,
        wanted_frames_per_s: float = 30.0,
        stale_after_days: float = 30.0,
        lamp_below: float = 0.0,
        watch: Watch | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._kiosk = kiosk
        self._camera = camera
        self._decoder = decoder
        self._station = station
        self._outbox = outbox
        self._panel = panel
        self._clock = clock
        self._seal = seal
        self._random = random
        self._memory = memory
        self._health_file = health_file
        self._not_synced_after_s = not_synced_after_s
        self._trusted = trusted
        self._told = told
        self._settings_changed = False
        self._doctor = doctor
        self._wanted_frames_per_s = wanted_frames_per_s
        self._frames_per_s: float | None = None
        self._down = Buttons()
        self._test_code_tick: float | None = None
        self._panel_tick: float | None = None
        self._stale_after_days = stale_after_days
        self._lamp = Lamp(lamp_below)
        self._lamp_is_on = False
        self._mean: float | None = None
        self._direction_button, self._test_button = Button(), Button()
        self._watch = watch
        self._faults: set[str] = set()
        self._unrecorded: dict[bytes, tuple[str, float]] = {}
        self._green_until = 0.0
        self._waiting_pattern: Pattern | None = None
        self._restarts = 0
        self._frames = 0
        self._frames_since = clock.moment().tick
        self._disk_due = 0.0
        self._health_due = 0.0
        self._sightings_due = 0.0
        self._fault_shown_until = 0.0
        self._refusals: deque[float] = deque()
        self._confirmed = -1
        self._confirmed_tick = self._frames_since
        self._first_boot: str | None = None
        self._resting: Pattern | None = None
        self._rest(feedback.STARTING)

    def turn(self) -> bool:
        """Look at one frame and act on it; whether there was one.

        Raises `CameraEndedError` at a replay's end, `SettingsChangedError` when other settings
        were taken.
        """
        asked = self._clock.moment().tick
        try:
            with self._camera.frame() as frame:
                codes = self._decoder.read(frame.grey)
                self._look_at_light(frame)
                if self._watch is not None and self._watch.on:
                    self._watch.frame(frame, asked=asked, read=self._clock.moment().tick)
        except CameraEndedError:
            raise
        except CameraError as error:
            self._restart_camera(error)
            return False
        now = self._clock.moment()
        self._camera_works()
        if codes:
            self._serve(codes, now)
        self._mind_buttons(now)
        self._keep_house(now)
        if self._watch is not None and self._watch.on:
            self._watch.served(now, self._clock.moment().tick, sorted(self._faults))
            self._watch.devices(self._camera.optics(), self._down)
        self._panel.check()
        return True

    def stop(self) -> None:
        """Let go of the camera. What counts is on disk already."""
        self._camera.close()
        if self._watch is not None:
            self._watch.close()

    def _serve(self, codes: Sequence[Code], now: Moment) -> None:
        """Judge every code of a frame, put the accepted on disk, and only then show it.

        One after the other: two codes of one visitor in one frame are one visit.
        """
        payloads = dict.fromkeys(code.payload for code in codes[:MOST_CODES])
        if payloads.pop(TEST_CODE, self) is None:
            self._serve_test_code(now)
        done: list[Verdict] = []
        failed = False
        for payload in payloads:
            verdict = self._station.judge(payload, at=now.at, tick=now.tick, synced=now.synced)
            if isinstance(verdict, Refused):
                self._record_refusal(verdict, now)
            if not isinstance(verdict, Accepted) or self._record(verdict, now):
                done.append(verdict)
            else:
                failed = True
        self._log(done)
        if self._watch is not None:
            self._watch.judged(done, now.tick)
        accepted = [verdict for verdict in done if isinstance(verdict, Accepted)]
        if failed and not accepted:
            self._show_fault(now)
            return
        pattern = feedback.pattern_for(done)
        if pattern is not None and any(_is_inspection(verdict) for verdict in done):
            pattern = feedback.after(pattern, self._status(now))
        if pattern is not None and failed:
            # Two came, and one of them isn't on disk: the green is for the other alone.
            pattern = feedback.after(pattern, feedback.FAULT)
        if pattern is not None:
            self._show(pattern, now, is_green=bool(accepted))

    def _serve_test_code(self, now: Moment) -> None:
        """Somebody holds the printed test code: it reads, and asks once how the kiosk is."""
        last, self._test_code_tick = self._test_code_tick, now.tick
        if last is None or now.tick - last > TEST_CODE_AGAIN_S:
            self._test_self(now)

    def _show(self, pattern: Pattern, now: Moment, *, is_green: bool) -> None:
        """Play `pattern`; one that isn't green waits until a green that is on has been seen."""
        if is_green:
            self._play(pattern, now)
            self._green_until = now.tick + pattern.seconds
            self._waiting_pattern = None
        elif now.tick < self._green_until:
            self._waiting_pattern = pattern
        else:
            self._play(pattern, now)

    def _play(self, pattern: Pattern, now: Moment) -> None:
        self._panel.play(pattern)
        if pattern.name.startswith(feedback.SELF_TEST.name):
            self._panel_tick = now.tick
            self._health_due = 0.0

    def _record(self, accepted: Accepted, now: Moment) -> bool:
        """Whether `accepted` is on disk now. If not, the visitor may try again, and counts once."""
        if now.tick < self._disk_due:
            return False
        id, _ = self._unrecorded.get(accepted.tag) or (event.uuid7(now.at, self._random(10)), 0)
        entry = Entry(
            id=id,
            at=now.at,
            direction=accepted.direction,
            kind=accepted.credential.kind,
            boot=now.boot,
            tick=now.tick,
            tag=accepted.tag,
        )
        data = self._data(accepted, now)
        try:
            seq = self._outbox.append(
                entry, lambda outbox, seq: self._encode(id, data, now, outbox, seq)
            )
        except OutboxLostError:
            self._panel.play(feedback.FAULT)
            raise  # only a new start helps, with this file set aside
        except OutboxError as error:
            self._disk_failed(accepted.tag, id, error, now)
            return False
        # On disk first, then remembered; as of now, since a card may have taken seconds, in which
        # whoever stood there was in sight.
        self._station.recorded(accepted, tick=self._clock.moment().tick)
        self._unrecorded.pop(accepted.tag, None)
        self._fault_ends("outbox")
        log.info("check-in %d on disk: %s, %s", seq, accepted.direction, entry.kind)
        return True

    def _data(self, accepted: Accepted, now: Moment) -> Data:
        credential = accepted.credential
        data = Data(
            checkpoint=self._checkpoint,
            kiosk=self._kiosk,
            direction=accepted.direction,
            direction_by=accepted.direction_by,
            credential=Shown(kind=credential.kind, verified=credential.verified),
            clock=Believed(boot=now.boot, tick_s=round(now.tick, 3), synced=now.synced),
            person=accepted.kept,
        )
        return event.closed(data, self._seal) if self._seal is not None else data

    def _record_refusal(self, refused: Refused, now: Moment) -> None:
        """Write down why somebody was turned away, once per showing; not who it was.

        The red light doesn't wait for it: it promises nothing.
        """
        if refused.held or now.tick < self._disk_due or not self._may_record_refusal(now.tick):
            return
        id = event.uuid7(now.at, self._random(10))
        entry = Entry(
            id=id,
            at=now.at,
            direction=refused.direction,
            kind=refused.credential.kind,
            boot=now.boot,
            tick=now.tick,
            tag=b"",
        )
        data = Data(
            checkpoint=self._checkpoint,
            kiosk=self._kiosk,
            direction=refused.direction,
            direction_by=refused.direction_by,
            credential=Shown(entry.kind, refused.credential.verified),
            clock=Believed(boot=now.boot, tick_s=round(now.tick, 3), synced=now.synced),
            refused=refused.reason,
        )
        try:
            self._outbox.append(entry, lambda outbox, seq: self._encode(id, data, now, outbox, seq))
        except OutboxLostError:
            self._panel.play(feedback.FAULT)
            raise
        except OutboxError as error:
            self._disk_due = now.tick + DISK_AGAIN_S
            self._fault_begins("outbox", str(error))

    def _may_record_refusal(self, tick: float) -> bool:
        """Whether fewer than so many were recorded in the last minute."""
        while self._refusals and tick - self._refusals[0] >= REFUSALS_S:
            self._refusals.popleft()
        if len(self._refusals) >= MOST_REFUSALS:
            return False
        self._refusals.append(tick)
        return True

    def _encode(self, id: str, data: Data, now: Moment, outbox: str, seq: int) -> bytes:
        checkin = CheckIn(
            id=id,
            source=event.source(self._checkpoint, self._kiosk),
            time=now.at,
            sequence=event.sequence(seq),
            outbox=outbox,
            data=data,
            type="vn.vaora.refusal.v1" if data.refused else "vn.vaora.checkin.v1",
        )
        return event.encode(checkin)

    def _disk_failed(self, tag: bytes, id: str, error: OutboxError, now: Moment) -> None:
        self._disk_due = now.tick + DISK_AGAIN_S
        self._unrecorded[tag] = (id, now.tick)
        self._unrecorded = {
            tag: (id, tick)
            for tag, (id, tick) in self._unrecorded.items()
            if now.tick - tick < RETRY_S
        }
        self._fault_begins("outbox", str(error))

    def _show_fault(self, now: Moment) -> None:
        """The red pattern, once from beginning to end however often the code is seen."""
        if now.tick >= max(self._fault_shown_until, self._green_until):
            self._fault_shown_until = now.tick + feedback.FAULT.seconds
            self._panel.play(feedback.FAULT)

    def _restart_camera(self, error: CameraError) -> None:
        """Try to get frames again; give up where that doesn't help, so that systemd can."""
        self._fault_begins("camera", str(error))
        self._restarts += 1
        now = self._clock.moment()
        self._keep_house(now)
        if self._restarts > MOST_RESTARTS:
            raise error
        try:
            self._camera.restart()
        except CameraError as still:
            log.warning("%s", still)

    def _camera_works(self) -> None:
        self._frames += 1
        self._restarts = 0
        self._fault_ends("camera")

    def _fault_begins(self, fault: str, why: str) -> None:
        if fault not in self._faults:
            self._faults.add(fault)
            self._health_due = 0.0
            log.error("fault: %s", why)

    def _fault_ends(self, fault: str) -> None:
        if fault in self._faults:
            self._faults.discard(fault)
            self._health_due = 0.0
            log.info("no more fault: %s", fault)

    def _log(self, verdicts: Sequence[Verdict]) -> None:
        """Who was turned away and why, once per showing; never who they are."""
        for verdict in verdicts:
            match verdict:
                case Refused(reason=reason, held=False, credential=shown):
                    log.info("refused: %s, %s", shown.kind, reason)
                case ForeignCode(reason=reason, held=False):
                    log.info("foreign code: %s", reason)

    def _status(self, now: Moment) -> Pattern:
        """How it stands with what is recorded here, for an inspector's eyes and ears."""
        try:
            found = self._outbox.summary()
        except OutboxError:
            return feedback.FAULT
        known = found.confirmed > 0 or found.pending == 0
        return feedback.status_pattern(
            found.pending, now.tick - self._confirmed_tick if known else None
        )

    def _look_at_light(self, frame: Frame) -> None:
        """The mean grey of a few of the frame's pixels, now and then."""
        if self._frames % LIGHT_EVERY_FRAMES == 0:
            self._mean = float(frame.grey[::LIGHT_STEP_PX, ::LIGHT_STEP_PX].mean())

    def _mind_buttons(self, now: Moment) -> None:
        down = self._down = self._panel.buttons()
        if self._direction_button.look(down=down.direction, tick=now.tick) is Press.PRESSED:
            chosen = self._station.turn_round()
            if chosen is not None:
                log.info("direction button: %s from now on", chosen)
                shown = feedback.DIRECTION_IN if chosen == "in" else feedback.DIRECTION_OUT
                self._panel.play(shown)
        if self._test_button.look(down=down.test, tick=now.tick) is Press.HELD:
            self._test_self(now)

    def _test_self(self, now: Moment) -> None:
        """Every light and tone, then what was found: well, or a fault."""
        self._check_outbox(now)
        self._check_signed(now)
        try:
            self._outbox.try_writing()
        except OutboxLostError:
            raise
        except OutboxError as error:
            self._fault_begins("outbox", str(error))
        found = sorted(self._faults)
        unwell: list[int] = []
        if self._doctor is not None:
            findings = self._doctor.quick(now, self._sight(now), self._faults)
            unwell = examination.unwell(findings)
            found += [one.part for one in findings if one.number in unwell]
        log.info("self-test: %s", ", ".join(dict.fromkeys(found)) or "no faults")
        result = feedback.FAULT if found and not unwell else feedback.findings_pattern(unwell)
        self._show(feedback.after(feedback.SELF_TEST, result), now, is_green=False)

    def _sight(self, now: Moment) -> Sight:
        seen = self._test_code_tick
        return Sight(
            camera=self._camera.name,
            frames_per_s=self._frames_per_s,
            wanted_frames_per_s=self._wanted_frames_per_s,
            mean=self._mean,
            test_code_s=None if seen is None else now.tick - seen,
        )

    def _check_signed(self, now: Moment) -> None:
        """Take over what is newer; what is stale or can't be used is a fault."""
        if self._told is not None:
            self._settings_changed = self._told.refresh() or self._settings_changed
            self._fault_is("settings", self._told.trouble)
        if self._trusted is None:
            return
        fresh = self._trusted.refresh()
        if fresh is not None:
            self._station.trusts(fresh)
        at = now.at if now.synced else None
        for fault, trouble in self._trusted.troubles(at, self._stale_after_days):
            self._fault_is(fault, trouble)

    def _fault_is(self, fault: str, why: str) -> None:
        if why:
            self._fault_begins(fault, why)
        else:
            self._fault_ends(fault)

    def _go_by_other_settings(self, now: Moment) -> None:
        """End, to be started with the settings that were taken; not before a green was seen.

        Everything that follows from settings is made once, at the start: one that changed half of
        it would be a door that nobody ever tried.
        """
        if self._settings_changed and now.tick >= self._green_until:
            raise SettingsChangedError("other settings are in force: starting anew with them")

    def _keep_house(self, now: Moment) -> None:
        """What is done now and then, between visitors."""
        if self._waiting_pattern is not None and now.tick >= self._green_until:
            self._play(self._waiting_pattern, now)
            self._waiting_pattern = None
        if now.tick >= self._sightings_due:
            self._sightings_due = now.tick + SIGHTINGS_EVERY_S
            self._memory.save(self._station.sightings(now.tick), now)
            if self._watch is not None:
                self._watch.look_for_watcher(now.tick)
            if self._doctor is not None and self._doctor.is_asked():
                self._test_self(now)
        if now.tick >= self._health_due:
            self._health_due = now.tick + HEALTH_EVERY_S
            self._check_outbox(now)
            self._check_signed(now)
            self._write_health(now)
            self._first_boot = first_boot.failed(self._health_file.parent)
        if self._mean is not None:
            on = self._lamp.look(self._mean, now.tick)
            if on != self._lamp_is_on:
                self._lamp_is_on = on
                self._panel.lamp(on=on)
        synced = now.tick - self._confirmed_tick < self._not_synced_after_s
        # A stale list or settings are for whoever keeps them; visitors are still served.
        broken = bool(self._faults - examination.RULES.keys())
        self._rest(feedback.idle_pattern(faults=broken, synced=synced, step=self._first_boot))
        self._go_by_other_settings(now)

    def _check_outbox(self, now: Moment) -> None:
        """Note whether the disk takes check-ins, and whether the daemon gets rid of them."""
        try:
            found = self._outbox.summary()
            self._outbox.check_room()
            if "outbox" in self._faults:
                self._outbox.try_writing()  # a fault ends with a write that was made, not with time
        except OutboxLostError:
            raise
        except OutboxError as error:
            self._fault_begins("outbox", str(error))
            return
        self._fault_ends("outbox")
        if found.pending == 0 or found.confirmed != self._confirmed:
            self._confirmed, self._confirmed_tick = found.confirmed, now.tick

    def _write_health(self, now: Moment) -> None:
        seconds = now.tick - self._frames_since
        rate = self._frames / seconds if seconds > 0 else 0.0
        self._frames_per_s = rate or self._frames_per_s
        self._frames, self._frames_since = 0, now.tick
        ages = self._trusted.ages(now.at) if self._trusted is not None and now.synced else None
        versions = self._trusted.versions() if self._trusted is not None else None
        mine = KioskHealth(
            boot=now.boot,
            tick=now.tick,
            camera=self._camera.name,
            frames_per_s=round(rate, 1),
            faults=sorted(self._faults),
            trust_days=ages.trust_days if ages else None,
            revocations_days=ages.revocations_days if ages else None,
            settings_version=self._told.version if self._told is not None else None,
            trust_version=versions.trust if versions else None,
            revocations_version=versions.revocations if versions else None,
            not_taken=[why[: health.LONGEST_WHY] for why in self._not_taken()],
            test_code_tick=self._test_code_tick,
            panel_tick=self._panel_tick,
        )
        try:
            health.write(self._health_file, mine)
        except OSError as error:
            log.warning("the health file could not be written: %s", error)

    def _not_taken(self) -> list[str]:
        """Why each signed document that is there isn't in force, in words."""
        found = [self._told.trouble] if self._told is not None else []
        if self._trusted is not None:
            found += [why for _, why in self._trusted.troubles(None, self._stale_after_days)]
        return [why for why in found if why]

    def _rest(self, pattern: Pattern) -> None:
        if pattern != self._resting:
            self._resting = pattern
            self._panel.rest(pattern)


def _is_inspection(verdict: Verdict) -> bool:
    """Whether an inspector shows their pass, for the first time or again."""
    return isinstance(verdict, Accepted | Repeated) and verdict.inspector
