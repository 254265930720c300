"""Making what is signed for kiosks far away, each under a number that none had before.

What was signed last lies in the fleet's folder and is retained at the broker. Another laptop may
have signed since: the higher of the two numbers counts, and the next one is above it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from checkin import cose, settings, signed_list, whole
from checkin.cose import SigningKey
from checkin.seal import CentralSeal, SealError
from checkin.settings import Settings, SettingsError
from checkin.signed_list import (
    ListT,
    Release,
    Revocations,
    SignedListError,
    SignedSettings,
    TrustList,
)
from checkin.words import _
from kiosk import in_force
from provisioning import authorities
from provisioning.authorities import AuthoritiesError
from provisioning.fleet_folder import FleetFolder
from provisioning.inventory import Place
from sync_daemon import topics
from sync_daemon.broker import Message
from sync_daemon.topics import Address

# What may be changed from afar (checkin.signed_list.SignedSettings), each whole.
TABLES = ("door", "policy", "epidemic")


class SendError(ValueError):
    """It can't be signed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A document that is ready to go: for `topic`, kept in `file`."""

    topic: str
    file: Path
    version: int
    raw: bytes

    @property
    def message(self) -> Message:
        return Message(self.topic, self.raw)


@dataclass(frozen=True, slots=True)
class Signer:
    """The fleet's own signature, and the time at which it is given."""

    key: SigningKey
    at: datetime

    @property
    def issued(self) -> str:
        return self.at.isoformat(timespec="seconds")

    def last(
        self, kind: type[ListT], file: Path, retained: bytes | None, kiosk: str = ""
    ) -> tuple[ListT | None, list[str]]:
        """The newest document there is, here or at the broker, and what is odd about it, in words.

        What the broker has that was signed for another than `kiosk` counts for nothing. Raises
        `SendError` where the folder's own is none of ours.
        """
        kept = _kept(kind, file, self.key.public)
        said: list[str] = []
        there: ListT | None = None
        if retained:
            try:
                there = self._read(retained, kind, kiosk)
            except SignedListError as error:
                said.append(
                    _("what the broker retains for {name} isn't signed by this fleet, and is "
                      "replaced ({why})").format(name=file.name, why=error)
                )  # fmt: skip
        if there is not None and (kept is None or there.version > kept.version):
            words = _(
                "the broker has version {version} of {name}, signed elsewhere; going on from it"
            )
            said.append(words.format(name=file.name, version=there.version))
            return there, said
        return kept, said

    def _read(self, raw: bytes, kind: type[ListT], kiosk: str) -> ListT:
        found = signed_list.read(raw, kind, self.key.public)
        if isinstance(found, SignedSettings) and found.kiosk not in {"", kiosk}:
            raise SignedListError(f"is for {found.kiosk}")
        return found

    def signed(
        self, topic: str, file: Path, document: TrustList | Revocations | SignedSettings
    ) -> Signed:
        raw = signed_list.sign(document, self.key)
        if len(raw) > signed_list.LONGEST_FILE_BYTES:
            raise SendError(
                _("{name} would have {bytes} bytes; kiosks take {most} at most").format(
                    name=file.name, bytes=len(raw), most=signed_list.LONGEST_FILE_BYTES
                )
            )
        return Signed(topic, file, document.version, raw)


def open_signer(folder: FleetFolder, at: datetime) -> Signer:
    """The signer of the fleet in `folder`. Raises `SendError`."""
    file = folder.settings_key
    try:
        return Signer(SigningKey(cose.from_base64(file.read_text(encoding="ascii").strip())), at)
    except OSError as error:
        raise SendError(
            _("{file}: can't be read ({why}); what is signed is signed where the fleet's keys are")
            .format(file=file, why=error.strerror)
        ) from error  # fmt: skip
    except ValueError as error:
        raise SendError(
            _("{file}: is no key; put the copy of the backup there").format(file=file)
        ) from error


def keep(signed: Signed) -> None:
    """Note `signed` before it goes, so that no number is given twice. Raises `OSError`."""
    signed.file.parent.mkdir(parents=True, exist_ok=True)
    whole.write(signed.file, signed.raw)


@dataclass(frozen=True, slots=True)
class Versions:
    """Of what was signed last; `settings` by kiosk, `package` empty where none was released."""

    package: str
    trust: int | None
    revocations: int | None
    settings: dict[str, int]


def last_versions(
    folder: FleetFolder, kiosks: Sequence[str], releases: Sequence[bytes]
) -> Versions:
    """By the public key alone. Raises `SendError` for a document here that isn't this fleet's."""
    try:
        key = signed_list.public_key(folder.settings_public.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise SendError(
            _("{file}: {why}; put the copy of the backup there").format(
                file=folder.settings_public, why=error
            )
        ) from error
    trust = _kept(TrustList, folder.trust_list, key)
    calls = _kept(Revocations, folder.revoked_list, key)
    told = {each: _kept(SignedSettings, settings_file(folder, each), key) for each in kiosks}
    return Versions(
        _package(releases, key),
        trust.version if trust is not None else None,
        calls.version if calls is not None else None,
        {kiosk: one.version for kiosk, one in told.items() if one is not None},
    )


def _package(releases: Sequence[bytes], public: bytes) -> str:
    """The package of the latest release; what isn't signed by this fleet is none."""
    found = []
    for raw in releases:
        with suppress(SignedListError):
            found.append(signed_list.read(raw, Release, public))
    return max(found, key=lambda one: one.version).package if found else ""


def _kept(kind: type[ListT], file: Path, public: bytes) -> ListT | None:
    if not file.exists():
        return None
    try:
        return signed_list.read_file(file, kind, public)
    except SignedListError as error:
        raise SendError(
            _("{why}. Put the copy of the backup there, or move it away").format(why=error)
        ) from error


def _next(last: TrustList | Revocations | SignedSettings | None) -> int:
    return 1 if last is None else last.version + 1


@dataclass(frozen=True, slots=True)
class Trusting:
    """What a trust list is made of. `folder` has the authorities' files; None has none."""

    folder: Path | None
    pass_keys: Sequence[str]


def trust(
    signer: Signer, fleet: FleetFolder, made_of: Trusting, retained: bytes | None
) -> tuple[Signed, TrustList, list[str]]:
    """A trust list with the fleet's own pass key and what `made_of` adds. Raises `SendError`."""
    last, said = signer.last(TrustList, fleet.trust_list, retained)
    folder = made_of.folder
    try:
        document = TrustList(
            _next(last),
            signer.issued,
            signers=authorities.signers(folder) if folder else [],
            card_keys=authorities.card_keys(folder) if folder else [],
            pass_keys=[_public(text) for text in made_of.pass_keys],
        )
    except AuthoritiesError as error:
        raise SendError(str(error)) from error
    if last is not None and len(document.signers) < len(last.signers):
        said.append(
            _(
                "it has {count} health authorities' certificates, the one before had {before}"
            ).format(count=len(document.signers), before=len(last.signers))
        )
    return signer.signed(topics.TRUST, fleet.trust_list, document), document, said


def _public(text: str) -> str:
    try:
        cose.ed25519_key(cose.from_base64(text.strip()))
    except ValueError as error:
        raise SendError(
            _("{text}: is no public key; write what `keygen` printed").format(text=repr(text))
        ) from error
    return text.strip()


def revocations(
    signer: Signer,
    fleet: FleetFolder,
    revoked: Sequence[str],
    known: Sequence[str],
    retained: bytes | None,
) -> tuple[Signed, Revocations, list[str]]:
    """The list of passes that were called back: `revoked`, of those `known` here.

    A pass that this folder knows nothing of stays called back: a list that was lost is no pardon.
    """
    last, said = signer.last(Revocations, fleet.revoked_list, retained)
    strange = set(last.passes) - set(known) if last is not None else set()
    if strange:
        said.append(
            _("{count} passes that passes.csv doesn't know were called back before, and stay so")
            .format(count=len(strange))
        )  # fmt: skip
    document = Revocations(_next(last), signer.issued, sorted({*revoked, *strange}))
    return signer.signed(topics.REVOCATIONS, fleet.revoked_list, document), document, said


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be other: `tables` as they are, whole; `dropped` go back to the kiosk's own."""

    tables: SignedSettings
    dropped: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str, seal: str | None, dropped: Sequence[str]) -> "Changes":
        """From a file's text with [door], [policy], [epidemic]. Raises `SendError`."""
        try:
            table = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SendError(_("is not TOML: {why}").format(why=error)) from error
        strange = sorted(set(table) - set(TABLES))
        if strange:
            raise SendError(
                _("{name}: can't be changed from afar; what can is [door], [policy], [epidemic]")
                .format(name=strange[0])
            )  # fmt: skip
        policy = table.get("policy")
        local = [key for key in signed_list.LOCAL if isinstance(policy, dict) and key in policy]
        if local:
            raise SendError(
                _("[policy] {key}: is each kiosk's own, and stays as it is there; leave it out")
                .format(key=local[0])
            )  # fmt: skip
        try:
            if seal is not None:
                CentralSeal(seal)
            loaded = _parsed(text)
        except SealError as error:
            raise SendError(f"--seal: {error}") from error
        except SettingsError as error:
            raise SendError(str(error)) from error
        given = {name: getattr(loaded, name) for name in TABLES if name in table}
        if not given and seal is None and not dropped:
            raise SendError(_("nothing to send: give a --file with tables, a --seal, or --drop"))
        return cls(SignedSettings(1, "", seal, **given), frozenset(dropped))

    def upon(
        self, last: SignedSettings | None, version: int, issued: str, kiosk: str
    ) -> SignedSettings:
        """The whole document: what was signed before for `kiosk`, with the changes in its place."""
        fields = {}
        for name in ("seal", *TABLES):
            before = getattr(last, name) if last is not None else None
            changed = getattr(self.tables, name)
            fields[name] = None if name in self.dropped else before if changed is None else changed
        return SignedSettings(version, issued, **fields, kiosk=kiosk)


def _parsed(text: str) -> Settings:
    """The tables in `text`. Whether they can work is asked later, with each kiosk's panel."""
    panel = "\n[panel]\ndirection_button_pin = 5\n"
    return settings.parse(f"{text}\n{panel}", "--file")


def settings_file(fleet: FleetFolder, kiosk: str) -> Path:
    return fleet.signed / "settings" / f"{kiosk}.signed"


def settings_for(
    signer: Signer,
    fleet: FleetFolder,
    changes: Changes,
    places: Sequence[Place],
    retained: Mapping[str, bytes],
) -> tuple[list[Signed], list[str]]:
    """Settings for each of `places`; `SendError` where one couldn't use them."""
    made, said = [], []
    for place in places:
        file = settings_file(fleet, place.kiosk)
        topic = Address(place.checkpoint, place.kiosk).settings
        last, odd = signer.last(SignedSettings, file, retained.get(topic), place.kiosk)
        document = changes.upon(last, _next(last), signer.issued, place.kiosk)
        _check(place, document)
        made.append(signer.signed(topic, file, document))
        said += odd
    return made, said


def _check(place: Place, document: SignedSettings) -> None:
    """Ask now what the kiosk will ask: else it is refused there, at each door."""
    kiosk = settings.Kiosk(place.kiosk, place.checkpoint)
    own = Settings(seal="off", kiosk=kiosk, panel=place.panel)
    try:
        effective = signed_list.in_force(own, document)
        settings.check_together(effective, place.kiosk)
        in_force.policy_from(effective)
    except SettingsError as error:
        raise SendError(
            _("{kiosk} couldn't use it, and nothing was sent: {why}").format(
                kiosk=place.kiosk, why=error
            )
        ) from error
