"""How this kiosk's enrolment stands, for a technician: in words, or as JSON."""

from collections.abc import Iterator

import msgspec

from checkin import claim, health
from checkin.clock import Moment
from checkin.command_line import printable
from checkin.health import SyncHealth
from checkin.settings import Settings
from checkin.words import N_, _, known
from sync_daemon import identity
from sync_daemon.enrolment import ENROLLED, MISSING, NO_BROKER, REFUSED, WAITING
from sync_daemon.identity import Identity, IdentityFolderError
from sync_daemon.renewal import NOT_TAKEN

STANDINGS = {
    "": N_("not in use: cert_file and key_file under [broker] are not one file"),
    ENROLLED: N_("enrolled"),
    MISSING: N_("no certificate of use, and nothing to claim one with"),
    NO_BROKER: N_("no certificate yet: the broker isn't reached"),
    WAITING: N_("no certificate yet: the broker is reached, nobody has answered the claim"),
    REFUSED: N_("refused"),
}

NEW_CARD = N_(
    "write this kiosk a new card, or put a new claim.pem and claim.token into {folder} and remove "
    "kiosk.pem there"
)
CURES = {
    MISSING: NEW_CARD,
    NO_BROKER: N_("is the network there, is [broker] host right? It is tried until it is"),
    WAITING: N_("run `vaora-provision enrol` in the fleet's folder: it answers claims"),
    REFUSED: NEW_CARD,
}
BROKER_REFUSES = N_("the broker doesn't take the new certificate: is its kiosks.pem the fleet's?")
# A desk that was set up anew from nothing knows no token; its register may come back.
UNKNOWN = N_("is it the right fleet's folder that `vaora-provision enrol` runs in? Else {new_card}")
RETIRED = N_("a retired kiosk stays so; give it a new name in the inventory, and write a new card")
ASK_FLEET = N_("ask who runs the fleet; until the certificate ends all goes on")


class Enrolment(msgspec.Struct, frozen=True):
    """Everything that `vaora-sync enrolment` says. Days are None where the clock isn't set."""

    kiosk: str
    checkpoint: str
    standing: str
    trouble: str = ""
    file: str = ""
    token: str = ""  # its fingerprint
    certificate_trouble: str = ""
    name: str = ""
    ends_at: str | None = None
    renew_at: str | None = None
    days: float | None = None
    renewal_refused: str = ""
    daemon_runs: bool = False


def look(loaded: Settings, now: Moment) -> Enrolment:
    """What the files say, and the daemon, where it runs."""
    sync = health.read(loaded.sync_health_file, SyncHealth, boot=now.boot, tick=now.tick)
    own = identity.of(loaded)
    told = Enrolment(
        kiosk=loaded.kiosk.id,
        checkpoint=loaded.kiosk.checkpoint,
        standing=_standing(own, sync, loaded.kiosk.id, now),
        trouble=sync.enrolment_trouble if sync else "",
        renewal_refused=sync.renewal_refused if sync else "",
        daemon_runs=sync is not None,
    )
    return told if own is None else _with_files(told, own, now)


def _standing(own: Identity | None, sync: SyncHealth | None, name: str, now: Moment) -> str:
    if own is None or (sync is not None and sync.enrolment):
        return sync.enrolment if own is not None and sync is not None else ""
    if own.is_there and not own.trouble(name, now.at if now.synced else None):
        return ENROLLED
    return NO_BROKER if own.can_claim else MISSING


def _with_files(told: Enrolment, own: Identity, now: Moment) -> Enrolment:
    told = msgspec.structs.replace(
        told, file=str(own.file), token=identity.fingerprint(own) if own.can_claim else ""
    )
    if not own.is_there:
        return told
    try:
        found = own.certificate()
    except IdentityFolderError as error:
        standing = MISSING if told.standing == ENROLLED else told.standing
        return msgspec.structs.replace(told, standing=standing, certificate_trouble=str(error))
    at = now.at if now.synced else None
    trouble = own.trouble(told.kiosk, at)
    if trouble and told.standing == ENROLLED:
        told = msgspec.structs.replace(told, standing=MISSING)  # it was, and is of no use any more
    return msgspec.structs.replace(
        told,
        certificate_trouble=trouble,
        name=found.name,
        ends_at=found.ends_at.isoformat(),
        renew_at=found.renew_from().isoformat(),
        days=None if at is None else (found.ends_at - at).total_seconds() / 86_400,
    )


def faults(sync: SyncHealth) -> Iterator[str]:
    if sync.enrolment.startswith(REFUSED):
        yield "enrolment-refused"
    elif sync.enrolment not in {"", ENROLLED}:
        yield "not-enrolled"
    if sync.renewal_refused:
        yield "renewal-refused"


def in_short(standing: str, trouble: str) -> str:
    """In one line, what `vaora-sync status` says; empty where there is nothing to say."""
    if standing in {"", ENROLLED}:
        return ""
    kind, _colon, reason = standing.partition(": ")
    words = _(STANDINGS.get(kind, kind))
    more = _(claim.REFUSALS.get(reason, reason)) if reason else known(trouble)  # type: ignore[call-overload]
    return f"{words}: {more}" if more and more not in words else words


def cure(standing: str, folder: str) -> str:
    """What to do; empty where nothing is to be done."""
    kind, _colon, reason = standing.partition(": ")
    new_card = _(NEW_CARD).format(folder=folder)
    if reason == "retired":
        return _(RETIRED)
    if reason == "unknown":
        return _(UNKNOWN).format(new_card=new_card)
    return _(CURES.get(kind, "")).format(folder=folder) if kind in CURES else ""


def in_words(told: Enrolment) -> Iterator[str]:
    """One line each, what matters most first."""
    short = in_short(told.standing, told.trouble) or _(STANDINGS.get(told.standing, told.standing))
    yield _line(_("enrolment"), short)
    folder = told.file.rpartition("/")[0]
    if what := cure(told.standing, folder):
        yield _line(_("to do"), what)
    if told.file and not told.daemon_runs:
        yield _line(_("daemon"), _("doesn't run: `systemctl status vaora-sync` says why"))
    yield _line(_("kiosk"), f"{told.kiosk} / {told.checkpoint}")
    if told.token:
        yield _line(_("token"), told.token)
    if told.certificate_trouble:
        yield _line(_("certificate"), known(told.certificate_trouble))
    elif told.days is not None:
        yield _line(_("certificate"), _("good for {days:.0f} days").format(days=told.days))
    if told.renew_at is not None:
        when = _("from {at} on").format(at=told.renew_at[:16].replace("T", " "))
        yield _line(_("renewal"), when)
    if told.renewal_refused:
        why = _why_not_renewed(told.renewal_refused)
        yield _line(_("renewal"), _("refused: {why}").format(why=why))
        yield _line(_("to do"), _(ASK_FLEET))


def _why_not_renewed(word: str) -> str:
    if word == NOT_TAKEN:
        return _(BROKER_REFUSES)
    return _(claim.REFUSALS.get(word, word))  # type: ignore[call-overload]


def as_json(told: Enrolment) -> bytes:
    return msgspec.json.encode(told)


def _line(name: str, text: str) -> str:
    return f"{name:15}{printable(text)}"
