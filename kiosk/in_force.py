"""The rules this door goes by: the settings file's, and in their place what was signed for it.

Signed settings are looked at together with this kiosk's own file before they are taken: a door
that couldn't start with them would start, and end, for ever.
"""

from datetime import timedelta

from checkin import settings, signed_list
from checkin.seal import CentralSeal, SealError
from checkin.settings import Settings, SettingsError
from checkin.signed_list import SignedListError, SignedSettings
from kiosk.logic import policy
from kiosk.logic.policy import Policy, Terms
from kiosk.told import Places, Told


def told_settings(loaded: Settings) -> Told[SignedSettings]:
    """What was told this kiosk of its settings. Raises `SignedListError` for an unusable authority.

    Nothing is taken yet: who only wants to know may ask beside a running kiosk.
    """

    def usable(found: SignedSettings) -> None:
        _check(loaded, found)

    places = Places(loaded.settings_arrived, loaded.settings_taken)
    return Told(SignedSettings, places, loaded.policy.authority, usable)


def policy_from(loaded: Settings) -> Policy:
    """The rules in `loaded`. Raises `SettingsError`, with what to write instead."""
    rules = loaded.policy
    where = "[policy]"
    try:
        normal = _terms(rules)
        event_days = policy.days_from(rules.begins, rules.ends)
        hours = policy.hours_from(rules.hours)
        where = "[epidemic]"
        epidemic_days = policy.days_from(loaded.epidemic.begins, loaded.epidemic.ends)
        epidemic = _terms(loaded.epidemic) if loaded.epidemic.begins else None
    except ValueError as error:
        raise SettingsError(f"{where} {error}") from error
    return Policy(
        checkpoint=loaded.kiosk.checkpoint,
        normal=normal,
        epidemic=epidemic,
        epidemic_days=epidemic_days,
        event_days=event_days,
        hours=hours,
        utc_offset=timedelta(hours=rules.utc_offset_h),
    )


def as_toml(loaded: Settings, told: Told[SignedSettings]) -> str:
    """The settings in force, as a file; what came signed says so in a comment."""
    found = told.found
    notes = {}
    if told.trouble:
        notes["top"] = f"signed settings are not in force: {told.trouble}"
    if found is not None:
        of = f"as signed: version {found.version} of {found.issued}"
        notes |= {
            name: of for name in ("seal", "door", "policy", "epidemic") if getattr(found, name)
        }
        if found.policy is not None:
            notes["policy"] += f", but for {', '.join(signed_list.LOCAL)}: those are the file's"
    return settings.as_toml(signed_list.in_force(loaded, found), notes=notes)


def _check(loaded: Settings, found: SignedSettings) -> None:
    try:
        if found.seal is not None:
            CentralSeal(found.seal)
        effective = signed_list.in_force(loaded, found)
        settings.check_together(effective, "with this kiosk's own settings")
        policy_from(effective)
    except SealError as error:
        raise SignedListError(f"seal: {error}") from error
    except SettingsError as error:
        raise SignedListError(f"{signed_list.UNUSABLE}: {error}") from error


def _terms(section: settings.Policy | settings.Epidemic) -> Terms:
    return Terms(
        accept=frozenset(section.accept),
        must_verify=frozenset(section.must_verify),
        keep=policy.keep_from(section.keep),
    )
