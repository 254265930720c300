"""The judgement at the door: what a payload, seen at this moment, means."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Literal

from checkin.event import Direction, DirectionBy
from checkin.passes import INSPECTOR
from kiosk.logic import credentials
from kiosk.logic.credentials import Credential, shc
from kiosk.logic.credentials.foreign import Foreign
from kiosk.logic.credentials.here import NO_TRUST, Here, Trust
from kiosk.logic.credentials.vaora_pass import VaoraPass
from kiosk.logic.hold_off import HoldOff, Sight
from kiosk.logic.payload import as_text
from kiosk.logic.policy import OF_THE_TIME, Policy

TAG_BYTES = 16

# A large hospital has 20,000 people a day through all its doors; one entry costs 200 bytes.
MOST_VISITORS = 20_000

# Foreign codes in one place: a poster, a menu, a row of cups. Told once, and again only after so
# long out of sight: a poster that is read now and then in bad light must not beep for ever.
MOST_FOREIGN = 256
FOREIGN_HOLD_OFF_S = 5.0

# While a kiosk restarts it is blind, and blind seconds are not seconds out of sight. A longer
# blindness says nothing of who stayed: whoever shows a code then, comes anew.
LONGEST_BLINDNESS_S = 30.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new arrival or departure. Not yet a check-in: that takes a record on disk."""

    credential: Credential
    tag: bytes
    direction: Direction
    direction_by: DirectionBy
    kept: dict[str, str] = field(repr=False)

    @property
    def inspector(self) -> bool:
        return _is_inspector(self.credential)


@dataclass(frozen=True, slots=True)
class Repeated:
    """A visitor whose visit is recorded, still or again before the glass."""

    tag: bytes
    held: bool
    inspector: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A credential that isn't taken here; `reason` goes into the record, who it was doesn't."""

    reason: str
    tag: bytes
    held: bool
    credential: Credential
    direction: Direction
    direction_by: DirectionBy


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A code that is no credential."""

    reason: str
    tag: bytes
    held: bool
    hint: str = ""


Verdict = Accepted | Repeated | Refused | ForeignCode


@dataclass(frozen=True, slots=True)
class Rules:
    """What this door does, and whom it lets in."""

    direction: Literal["in", "out", "alternate", "button"] = "in"
    hold_off_s: float = 10.0
    visitor_prefix: str = "VISITOR:"
    policy: Policy = field(default_factory=Policy)


class Station:
    """Judges payloads. `key` turns a visitor into a tag that means nothing without it."""

    def __init__(self, rules: Rules, key: bytes, trust: Trust = NO_TRUST) -> None:
        self._rules = rules
        self._key = key
        self._trust = trust
        self._visitors = HoldOff(rules.hold_off_s, MOST_VISITORS)
        self._turned_away = HoldOff(FOREIGN_HOLD_OFF_S, MOST_FOREIGN)
        self._directions: OrderedDict[bytes, Direction] = OrderedDict()
        self._parts = shc.Parts()
        self._chosen: Direction | None = None

    def trusts(self, trust: Trust) -> None:
        """Go on with another trust list: a newer file was put there."""
        self._trust = trust

    def turn_round(self) -> Direction | None:
        """The direction button was pressed. None where the mounting says the direction."""
        if self._rules.direction != "button":
            return None
        self._chosen = "out" if self._chosen in {None, "in"} else "in"
        return self._chosen

    def judge(self, payload: bytes, *, at: datetime, tick: float, synced: bool = True) -> Verdict:
        """Decide what `payload` means, seen at wall time `at` and at `tick`."""
        here = Here(at, synced, self._trust, self._rules.visitor_prefix)
        found = self._read(payload, here, tick)
        if isinstance(found, Foreign):
            tag = self._tag(payload)
            held = self._was_told(tag, tick)
            return ForeignCode(found.reason, tag, held=held, hint=found.hint)
        # A stranger can write anybody's id into a pass that nobody signed: it is another visitor.
        proof = "unproven:" if found.signed and not found.verified else ""
        tag = self._tag(f"{found.kind}:{proof}{found.identity}".encode())
        policy = self._rules.policy
        refusal = policy.refusal(found, at, synced=synced)
        if refusal in OF_THE_TIME:
            # The door closed, or the pass ended, while they stood there: they are in.
            was_let_in = self._tag(f"{found.kind}:{found.identity}".encode())
            if self._visitors.look(was_let_in, tick) is not Sight.NEW:
                return Repeated(was_let_in, held=True)
        if refusal is not None:
            held = self._was_told(tag, tick)
            return Refused(refusal, tag, held, found, *self._direction(tag))
        sight = self._visitors.look(tag, tick)
        if sight is Sight.NEW:
            return Accepted(found, tag, *self._direction(tag), policy.kept(found, at))
        return Repeated(tag, held=sight is Sight.HELD, inspector=_is_inspector(found))

    def _read(self, payload: bytes, here: Here, tick: float) -> Credential | Foreign:
        """The credential; a health card of several codes as soon as all of them were shown."""
        text = as_text(payload)
        if isinstance(text, str) and shc.is_part(text):
            whole = self._parts.add(text, tick)
            if whole is not None:
                return credentials.read_text(whole, here)
        return credentials.read(payload, here)

    def recorded(self, verdict: Accepted, *, tick: float) -> None:
        """Say that `verdict` is safely on disk.

        Only now is the visitor remembered. Were that done in `judge`, a full disk would turn the
        second try into a "repeat", and the visit would be lost in silence.
        """
        self._visitors.remember(verdict.tag, tick)
        self._remember_direction(verdict.tag, verdict.direction)

    def sightings(self, tick: float) -> list[tuple[bytes, float]]:
        """Who is remembered at `tick`, for a process that comes after this one."""
        return self._visitors.in_sight(tick)

    def restore(
        self,
        visits: Iterable[tuple[bytes, float, str]],
        sightings: Iterable[tuple[bytes, float]],
        *,
        noted: float,
        tick: float,
    ) -> None:
        """Take over from an earlier process of the same boot.

        `visits` are its check-ins (tag, tick, direction), oldest first. `sightings` are those who
        were within the hold-off when it noted them last, at `noted`; whoever checked in after
        that is too.
        """
        last_seen = dict(sightings)
        blind_since = noted
        for tag, at, direction in visits:
            self._remember_direction(tag, "out" if direction == "out" else "in")
            if at >= noted:
                last_seen[tag] = at
                blind_since = max(blind_since, at)
        blind_s = max(0.0, tick - blind_since)
        shift = blind_s if blind_s <= LONGEST_BLINDNESS_S else 0.0
        self._visitors.restore((tag, at + shift) for tag, at in last_seen.items())

    def _direction(self, tag: bytes) -> tuple[Direction, DirectionBy]:
        fixed = self._rules.direction
        if fixed == "button":
            return (self._chosen, "button") if self._chosen else ("in", "first-seen")
        if fixed != "alternate":
            return fixed, "mounting"
        last = self._directions.get(tag)
        if last is None:
            return "in", "first-seen"
        return ("out" if last == "in" else "in"), "alternating"

    def _remember_direction(self, tag: bytes, direction: Direction) -> None:
        self._directions[tag] = direction
        self._directions.move_to_end(tag)
        if len(self._directions) > MOST_VISITORS:
            self._directions.popitem(last=False)

    def _was_told(self, tag: bytes, tick: float) -> bool:
        """Whether who shows what gives no check-in has been told so lately."""
        sight = self._turned_away.look(tag, tick)
        self._turned_away.remember(tag, tick)
        return sight is not Sight.NEW

    def _tag(self, identity: bytes) -> bytes:
        return blake2b(identity, key=self._key, digest_size=TAG_BYTES).digest()


def _is_inspector(credential: Credential) -> bool:
    if not isinstance(credential, VaoraPass) or not credential.verified:
        return False
    return credential.pass_kind == INSPECTOR
