"""How this kiosk's backlog is, for a technician at the door: in words, or as JSON."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from checkin import health, updates
from checkin.clock import Moment
from checkin.command_line import printable
from checkin.health import KioskHealth, SyncHealth
from checkin.outbox import Outbox, damaged_files
from checkin.settings import Settings
from checkin.words import N_, _, known
from sync_daemon import enrolment_words
from sync_daemon.loop import SOON_DAYS, certificate_faults

# What each fault means for somebody who stands before the door.
CURES = {
    "camera": N_("the camera gives no frames: look at its cable, then switch the kiosk off and on"),
    "certificate-ends-soon": N_("the certificate ends within 30 days: renew it"),
    "certificate-expired": N_(
        "the certificate has ended: put a new one in its place, or what claims one (`vaora-sync "
        "enrolment`)"
    ),
    "certificate-unusable": N_(
        "the certificate can't be used: look at the three files under [broker]"
    ),
    "enrolment-refused": N_(
        "the fleet refuses this kiosk a certificate: `vaora-sync enrolment` says why"
    ),
    "kiosk-silent": N_("vaora-kiosk isn't running: `systemctl status vaora-kiosk`"),
    "not-enrolled": N_(
        "this kiosk has no certificate yet, check-ins wait here: `vaora-sync enrolment` says why"
    ),
    "outbox": N_("check-ins can't be written: look at the disk"),
    "outbox-full": N_(
        "no room for another check-in: bring back the network, or `vaora-sync export`"
    ),
    "outbox-near": N_(
        "room for few more check-ins: bring back the network, or `vaora-sync export`"
    ),
    "outbox-went-back": N_(
        "the outbox is older than what the central has: stop vaora-kiosk, rename the file, start "
        "it, and `vaora-sync recover` the renamed one"
    ),
    "renewal-refused": N_(
        "the fleet refuses to renew the certificate: `vaora-sync enrolment` says why"
    ),
    "settings": N_("settings that came over the network are not taken: see the log of vaora-kiosk"),
    "revocations": N_("the list of revoked passes is stale or can't be used: send a newer one"),
    "trust": N_("the trust list is stale or can't be used: send a newer one"),
    "update-refused": N_(
        "a package update wasn't taken, the version before goes on; send another: "
        "`vaora-provision release`"
    ),
    "outbox-set-aside": N_("a damaged outbox lies aside: `vaora-sync recover` reads what is left"),
}


SEE_HARDWARE = N_("see hardware.md")

BROKERS = {"online": N_("online"), "offline": N_("offline"), "unknown": N_("unknown")}
NO_DAEMON = N_("vaora-sync is not running")


UPDATE = re.compile(r"(?:on trial|refused) (?P<version>[^\s:]+)(?:: (?P<why>.*))?", re.DOTALL)


class Status(msgspec.Struct, frozen=True):
    """Everything that `vaora-sync status` says. Times are ISO 8601, None where nothing is known."""

    checkpoint: str
    kiosk: str
    outbox_file: str
    outbox: str
    waiting: int
    appended: int
    confirmed: int
    oldest_waiting_at: str | None
    last_confirmed_at: str | None
    room: str
    set_aside: dict[int, str]
    damaged_files: list[str]
    broker: str
    why_no_broker: str
    seconds_since_receipt: float | None
    clock_synced: bool
    clocks_known: int
    certificate_days: float | None
    certificate_trouble: str
    enrolment: str
    enrolment_trouble: str
    renewal_refused: str
    trust_days: float | None
    revocations_days: float | None
    settings_version: int | None
    trust_version: int | None
    revocations_version: int | None
    not_taken: list[str]
    faults: list[str]
    update: str = ""


def look(loaded: Settings, outbox: Outbox, now: Moment) -> Status:
    """Raises `OutboxError` where the outbox can't be read."""
    found = outbox.summary()
    sync = health.read(loaded.sync_health_file, SyncHealth, boot=now.boot, tick=now.tick)
    kiosk = health.read(loaded.kiosk_health_file, KioskHealth, boot=now.boot, tick=now.tick)
    room = outbox.room()
    damaged = damaged_files(outbox.path)
    settled = sync.last_settled_tick if sync else None
    days = sync.certificate_days if sync else None
    faults = set(kiosk.faults if kiosk else ["kiosk-silent"])
    faults |= {f"outbox-{room}"} if room != "plenty" else set()
    faults |= {"outbox-set-aside"} if damaged else set()
    faults |= {"certificate-ends-soon"} if days is not None and days <= SOON_DAYS else set()
    if sync and sync.certificate_trouble:
        faults |= set(certificate_faults(sync.certificate_trouble, synced=now.synced))
    faults |= set(enrolment_words.faults(sync)) if sync else set()
    told = updates.read_told()
    faults |= {"update-refused"} if told.refused else set()
    return Status(
        checkpoint=loaded.kiosk.checkpoint,
        kiosk=loaded.kiosk.id,
        outbox_file=str(outbox.path),
        outbox=found.outbox,
        waiting=found.pending,
        appended=found.appended,
        confirmed=found.confirmed,
        oldest_waiting_at=found.oldest_pending_at,
        last_confirmed_at=outbox.confirmed_at(),
        room=room,
        set_aside=outbox.set_aside(),
        damaged_files=[str(file) for file in damaged],
        broker=sync.broker if sync else "unknown",
        why_no_broker=sync.why_lost if sync else NO_DAEMON,
        seconds_since_receipt=None if settled is None else round(now.tick - settled, 1),
        clock_synced=now.synced,
        clocks_known=len(outbox.anchors(MOST_CLOCKS)),
        certificate_days=days,
        certificate_trouble=sync.certificate_trouble if sync else "",
        enrolment=sync.enrolment if sync else "",
        enrolment_trouble=sync.enrolment_trouble if sync else "",
        renewal_refused=sync.renewal_refused if sync else "",
        trust_days=kiosk.trust_days if kiosk else None,
        revocations_days=kiosk.revocations_days if kiosk else None,
        settings_version=kiosk.settings_version if kiosk else None,
        trust_version=kiosk.trust_version if kiosk else None,
        revocations_version=kiosk.revocations_version if kiosk else None,
        not_taken=kiosk.not_taken if kiosk else [],
        faults=sorted(faults),
        update=told.in_words(),
    )


MOST_CLOCKS = 10_000


def in_words(status: Status) -> Iterator[str]:
    """One line each, what matters most first. A fault keeps its name: it is that of the JSON."""
    for fault in status.faults:
        yield _line(_("fault"), f"{fault}: {_(CURES.get(fault, SEE_HARDWARE))}")
    here = _("{kiosk} at checkpoint {checkpoint}")
    yield _line(_("kiosk"), here.format(kiosk=status.kiosk, checkpoint=status.checkpoint))
    yield _line(_("outbox"), f"{status.outbox_file} ({status.outbox})")
    yield from _what_waits(status)
    yield from _what_lies_aside(status)
    yield _line(_("broker"), _broker(status))
    if status.seconds_since_receipt is not None:
        ago = _("{seconds:.0f} s ago").format(seconds=status.seconds_since_receipt)
        yield _line(_("last receipt"), ago)
    synced = _("set by the network") if status.clock_synced else _("not set by the network")
    yield _line(_("clock"), synced)
    if words := enrolment_words.in_short(status.enrolment, status.enrolment_trouble):
        yield _line(_("enrolment"), printable(words))
    yield from _what_has_an_end(status)
    if status.update:
        yield _line(_("update"), printable(_update(status.update)))


def _what_waits(status: Status) -> Iterator[str]:
    yield _line(_("waiting"), str(status.waiting))
    if status.oldest_waiting_at:
        yield _line(_("oldest"), status.oldest_waiting_at)
    confirmed = _("{confirmed} of {appended}")
    yield _line(
        _("confirmed"), confirmed.format(confirmed=status.confirmed, appended=status.appended)
    )
    if status.last_confirmed_at:
        yield _line(_("last confirmed"), status.last_confirmed_at)


def _what_lies_aside(status: Status) -> Iterator[str]:
    for seq, reason in status.set_aside.items():
        refused = _("check-in {seq}: {reason}")
        yield _line(_("set aside"), refused.format(seq=seq, reason=printable(known(reason))))
    for file in status.damaged_files:
        recover = _("{file}: `vaora-sync recover {file} OUT` reads what is left")
        yield _line(_("damaged"), recover.format(file=file))


def _broker(status: Status) -> str:
    there = _(BROKERS.get(status.broker, status.broker))
    why = printable(known(status.why_no_broker))
    return f"{there}: {why}" if why else there


def _what_has_an_end(status: Status) -> Iterator[str]:
    if status.certificate_trouble:
        yield _line(_("certificate"), printable(known(status.certificate_trouble)))
    elif status.certificate_days is not None:
        good_for = _("good for {days:.0f} days").format(days=status.certificate_days)
        yield _line(_("certificate"), good_for)
    yield from _what_is_signed(status)


def _what_is_signed(status: Status) -> Iterator[str]:
    """What is in force of it, and why something else that came is not."""
    if status.settings_version is not None:
        yield _line(_("settings"), _("version {version}").format(version=status.settings_version))
    for name, version, days in (
        (_("trust list"), status.trust_version, status.trust_days),
        (_("revocations"), status.revocations_version, status.revocations_days),
    ):
        if version is not None:
            told = _("version {version}").format(version=version)
            age = _("{days} days old").format(days=f"{days:.1f}") if days is not None else ""
            yield _line(name, ", ".join(filter(None, (told, age))))
    for why in status.not_taken:
        yield _line(_("not taken"), printable(known(why)))


def _update(told: str) -> str:
    """What the state message says of an update (`checkin.updates.Told`), in the language in use."""
    found = UPDATE.fullmatch(told)
    if found is None:
        return known(told)
    version, why = found["version"], found["why"]
    if why is None:
        return _("on trial {version}").format(version=version)
    return _("refused {version}: {why}").format(version=version, why=known(why))


def as_json(status: Status) -> bytes:
    return msgspec.json.encode(status)


def _line(name: str, text: Any) -> str:  # noqa: ANN401
    return f"{name:15}{text}"
