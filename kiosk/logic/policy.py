"""What is taken at this checkpoint, when, and what of it is kept: the rules behind a refusal.

A policy is two sets of terms: the normal ones, and the epidemic ones with the days they hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from kiosk.logic.credentials import KINDS, SIGNED_KINDS, Credential
from kiosk.logic.credentials.vaora_pass import VaoraPass

# What is kept of each kind where the settings say nothing: who came, as far as tracing needs it,
# and no more of what the card tells (Law 91/2025/QH15: purpose and minimisation).
KEEP: Mapping[str, frozenset[str]] = {
    "cccd": frozenset({"name", "id_number", "dob"}),
    "qrqg": frozenset({"qid", "name"}),
    "bhyt": frozenset({"name", "bhyt_code", "dob"}),
    "hc1": frozenset({"name", "dob"}),
    "shc": frozenset({"name", "dob"}),
    "pass": frozenset({"pass_id", "pass_kind", "name"}),
    "health-declaration": frozenset({"declaration"}),
    "vcard": frozenset({"name", "phone"}),
    "visitor": frozenset({"code"}),
}

# Everything that may be kept, by kind: for a settings file's spelling mistakes.
KEEPABLE: Mapping[str, frozenset[str]] = {
    **KEEP,
    "cccd": frozenset({"name", "id_number", "dob", "sex", "address"}),
    "qrqg": frozenset({"qid", "name", "dob", "id_number", "sex", "bhyt", "phone"}),
    "bhyt": frozenset({"name", "bhyt_code", "dob", "sex", "address"}),
    "vcard": frozenset({"name", "org", "phone", "email"}),
}

# A signature that is wrong is a forgery and a revoked pass is no pass, whatever the settings say.
NEVER_TAKEN = frozenset({"bad-signature", "revoked"})

# A pass has a beginning and an end whether or not its signature has to be known.
PASS_IS_OVER = frozenset({"expired", "not-yet-valid"})

# These come with the time of day: whoever was let in before them and still stands there isn't
# turned away by them.
OF_THE_TIME = frozenset({"closed", "over", "not-begun", "expired"})


@dataclass(frozen=True, slots=True)
class Terms:
    """Which kinds are taken, which of them only with a signature that proves them, what is kept."""

    accept: frozenset[str] = frozenset(KINDS) - {"vcard"}
    must_verify: frozenset[str] = frozenset({"pass"})
    keep: Mapping[str, frozenset[str]] = field(default_factory=lambda: KEEP)

    def __post_init__(self) -> None:
        unsigned = self.must_verify - set(SIGNED_KINDS)
        if unsigned:
            kinds = ", ".join(sorted(unsigned))
            raise ValueError(
                f"{kinds}: can't be verified, nothing in it is signed; only "
                f"{', '.join(SIGNED_KINDS)} can"
            )


@dataclass(frozen=True, slots=True)
class Days:
    """From a day to a day, both included; None is open."""

    begins: date | None = None
    ends: date | None = None

    def holds(self, today: date) -> bool:
        begun = self.begins is None or self.begins <= today
        return begun and (self.ends is None or today <= self.ends)


@dataclass(frozen=True, slots=True)
class Hours:
    """From a time of day to another; over midnight where the second is the earlier."""

    opens: time
    closes: time

    def hold(self, local: datetime) -> bool:
        opens, closes = _minute(self.opens), _minute(self.closes)
        if opens == closes:
            return True  # a whole day
        if opens <= closes:
            return opens <= _minute(local) < closes
        return _minute(local) >= opens or _minute(local) < closes


def _minute(of: time | datetime) -> int:
    return of.hour * 60 + of.minute


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one checkpoint. `utc_offset` is the local time's, for hours and days."""

    checkpoint: str = ""
    normal: Terms = field(default_factory=Terms)
    epidemic: Terms | None = None
    epidemic_days: Days = field(default_factory=Days)
    event_days: Days = field(default_factory=Days)
    hours: Hours | None = None
    utc_offset: timedelta = timedelta(hours=7)

    def terms_at(self, at: datetime) -> Terms:
        """The terms of the day."""
        if self.epidemic is not None and self.epidemic_days.holds(self._local(at).date()):
            return self.epidemic
        return self.normal

    def refusal(self, credential: Credential, at: datetime, *, synced: bool) -> str | None:
        """Why `credential` isn't taken here and now, in a word; None where it is.

        A clock that was never set closes no door: it knows neither the hour nor the day.
        """
        terms = self.terms_at(at)
        if credential.kind not in terms.accept:
            return "kind-not-taken-here"
        if credential.reason in NEVER_TAKEN:
            return credential.reason
        if credential.kind in terms.must_verify and credential.reason is not None:
            return credential.reason
        if isinstance(credential, VaoraPass):
            if credential.reason in PASS_IS_OVER:
                return credential.reason
            if not self._is_for_here(credential):
                return "other-checkpoint"
        return self._closed(self._local(at)) if synced else None

    def kept(self, credential: Credential, at: datetime) -> dict[str, str]:
        """What of the bearer goes into the record."""
        wanted = self.terms_at(at).keep.get(credential.kind, frozenset())
        return {key: value for key, value in credential.person().items() if key in wanted}

    def _is_for_here(self, shown: VaoraPass) -> bool:
        # An inspector's pass opens the lights of every checkpoint that its places don't exclude.
        return not shown.checkpoints or self.checkpoint in shown.checkpoints

    def _closed(self, local: datetime) -> str | None:
        days = self.event_days
        if days.begins is not None and local.date() < days.begins:
            return "not-begun"
        if days.ends is not None and local.date() > days.ends:
            return "over"
        if self.hours is not None and not self.hours.hold(local):
            return "closed"
        return None

    def _local(self, at: datetime) -> datetime:
        return (at + self.utc_offset).replace(tzinfo=None)


def keep_from(names: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Terms' `keep` from `kind.field` names; empty names keep the defaults.

    Raises `ValueError` for a field that isn't there to be kept.
    """
    if not names:
        return KEEP
    kept: dict[str, frozenset[str]] = dict.fromkeys(KEEP, frozenset())
    for name in names:
        kind, _, what = name.partition(".")
        if what not in KEEPABLE.get(kind, ()):
            known = ", ".join(f"{kind}.{each}" for each in sorted(KEEPABLE.get(kind, ())))
            raise ValueError(f"{name}: nothing of that name can be kept; known: {known or 'none'}")
        kept[kind] |= {what}
    return kept


def days_from(begins: str, ends: str) -> Days:
    """Days from ISO dates, empty for open. Raises `ValueError`."""
    days = Days(
        date.fromisoformat(begins) if begins else None, date.fromisoformat(ends) if ends else None
    )
    if days.begins and days.ends and days.ends < days.begins:
        raise ValueError(f"ends {ends}, before it begins {begins}")
    return days


def hours_from(text: str) -> Hours | None:
    """`06:00-22:00`, or None where the text is empty; `24:00` is midnight. Raises `ValueError`."""
    if not text:
        return None
    opens, _, closes = text.replace("24:00", "00:00").partition("-")
    return Hours(time.fromisoformat(opens.strip()), time.fromisoformat(closes.strip()))
