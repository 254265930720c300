"""What a doctor says of each part, and with what cure."""

import pytest

from checkin.blinks import PARTS
from kiosk.logic.examination import Facts, Finding, Sight, examine, unwell

SIGHT = Sight("imx708", 29.9, 30.0, mean=110, sharpness=640, test_code_s=3.0)
WELL = Facts(
    sight=SIGHT,
    panel_played=True,
    buttons_fitted=["direction", "test"],
    clock_synced=True,
    clock_source="systemd-timesyncd",
    free_mb=9000,
    min_free_mb=64,
    flush_ms=8,
    outbox_checked=True,
    waiting=0,
    daemon_runs=True,
    broker="online",
    certificate_days=300,
    connected_s=600,
    first_receipt_s=0.2,
    kiosk_runs=True,
)


def with_(**changes):
    return Facts(**({name: getattr(WELL, name) for name in WELL.__struct_fields__} | changes))


def sight(**changes):
    return Sight(**({name: getattr(SIGHT, name) for name in SIGHT.__struct_fields__} | changes))


def finding(part, **changes):
    return next(one for one in examine(with_(**changes)) if one.part == part)


def test_a_kiosk_in_which_all_is_well_has_a_line_for_each_part_and_nothing_to_cure():
    findings = examine(WELL)
    assert [one.part for one in findings] == list(PARTS)
    assert [one.number for one in findings] == list(range(1, len(PARTS) + 1))
    assert unwell(findings) == []
    assert {one.well for one in findings} == {True}
    assert [one.part for one in findings if one.cure] == ["lights"]  # who looks has to judge


def test_of_a_kiosk_nobody_could_ask_nothing_is_claimed():
    findings = examine(Facts())
    assert not any(one.well for one in findings if one.part not in {"buttons", "rules"})
    assert [one.part for one in findings if one.well is False] == ["clock", "kiosk"]


@pytest.mark.parametrize(
    ("part", "changes", "told", "cure"),
    [
        ("camera", {"camera_trouble": "no frame in 3 s"}, "no frame in 3 s", "flat cable"),
        ("camera", {"sight": sight(frames_per_s=9)}, "9.0 frames a second", "effort"),
        ("camera", {"sight": sight(frames_per_s=0)}, "0.0 frames a second", "effort"),
        ("kiosk", {"kiosk_runs": False}, "nobody is served", "systemctl start"),
        ("rules", {"rules_trouble": ["trust"]}, "trust list", "journalctl"),
        ("camera", {"sight": sight(mean=3)}, "light 3 of 255", "cap off"),
        ("camera", {"sight": sight(mean=252)}, "light 252 of 255", "only bright"),
        ("lights", {"panel_trouble": "no such pin"}, "no such pin", "gpio"),
        ("buttons", {"buttons_down": ["test"]}, "direction up, test down", "stuck"),
        ("clock", {"clock_synced": False}, "not set", "timedatectl"),
        ("disk", {"disk_trouble": "Read-only file system"}, "Read-only", "new card"),
        ("disk", {"free_mb": 12}, "12 MB free", "below 64 MB"),
        ("disk", {"flush_ms": 900}, "900.0 ms", "endurance"),
        ("outbox", {"outbox_trouble": "damaged: row 3"}, "damaged: row 3", "recover"),
        ("outbox", {"room": "full", "waiting": 99}, "99 check-ins wait, full", "export"),
        ("outbox", {"lies_aside": ["outbox.db.damaged-1"]}, "damaged-1", "recover"),
        ("broker", {"daemon_runs": False}, "doesn't run", "systemctl status vaora-sync"),
        ("broker", {"broker": "offline", "why_no_broker": "refused"}, "refused", "wait here"),
        ("certificate", {"certificate_trouble": "has expired"}, "has expired", "cert_file"),
        (
            "certificate",
            {"certificate_trouble": "has expired", "enrolment": "enrolled"},
            "has expired",
            "a new card",
        ),
        ("certificate", {"certificate_days": 12}, "good for 12 days", "renew"),
        (
            "certificate",
            {"renewal_refused": "retired"},
            "good for 300 days; its renewal is refused (retired)",
            "ask who runs the fleet",
        ),
        ("central", {"first_receipt_s": None}, "no receipt", "central running"),
        ("central", {"first_receipt_s": 45}, "45.0 s after", "slow"),
    ],
)
def test_what_is_wrong_is_said_with_its_cure(part, changes, told, cure):
    found = finding(part, **changes)
    assert found.well is False
    assert told in found.told
    assert cure in found.cure
    assert unwell(examine(with_(**changes))) == [PARTS.index(part) + 1]


@pytest.mark.parametrize(
    ("part", "changes", "well"),
    [
        ("camera", {"sight": None}, None),
        ("lights", {"panel_played": False}, None),
        ("outbox", {"waiting": None}, None),
        ("broker", {"waiting": None, "daemon_runs": False}, None),
        ("certificate", {"certificate_days": None}, None),
        ("certificate", {"uses_certificate": False, "certificate_days": None}, True),
        ("central", {"needs_receipts": False, "first_receipt_s": None}, True),
        ("central", {"broker": "offline", "first_receipt_s": None}, None),
        ("central", {"broker": "offline", "first_receipt_s": 0.2}, None),
        ("central", {"connected_s": 1.0, "first_receipt_s": None}, None),
        ("camera", {"sight": sight(frames_per_s=None)}, True),
        ("buttons", {"buttons_fitted": []}, True),
        ("disk", {"free_mb": None, "flush_ms": None}, None),
    ],
)
def test_what_cannot_be_told_is_no_fault(part, changes, well):
    assert finding(part, **changes).well is well


def no_certificate(enrolment, trouble=""):
    """What is wrong with broker and certificate of a kiosk that claims, or can't."""
    changes = {
        "broker": "offline", "certificate_days": None, "enrolment": enrolment,
        "enrolment_trouble": trouble,
    }  # fmt: skip
    return [finding(part, **changes) for part in ("broker", "certificate")]


@pytest.mark.parametrize(
    ("enrolment", "trouble", "broker", "certificate", "cure"),
    [
        ("missing", "", None, False, "a new card"),
        ("no-broker", "nobody listens there", False, None, ""),
        ("no-broker", "", False, None, ""),
        ("waiting", "", True, False, "vaora-provision enrol"),
        ("refused: used", "the token was used already", True, False, "a new card"),
    ],
)
def test_a_kiosk_without_a_certificate_says_which_step_it_waits_at(
    enrolment, trouble, broker, certificate, cure
):
    found = no_certificate(enrolment, trouble)
    assert [one.well for one in found] == [broker, certificate]
    assert trouble in found[0].told + found[1].told
    assert cure in found[1].cure


def test_a_kiosk_that_is_enrolled_is_as_any():
    assert examine(with_(enrolment="enrolled")) == examine(WELL)


def test_the_camera_says_all_it_knows_of_its_frames():
    found = finding(
        "camera", sight=sight(exposure_us=9990, gain=2.5, lens_position=8.2, test_code_s=None)
    )
    assert isinstance(found, Finding)
    assert found.told == (
        "imx708: 29.9 frames a second, light 110 of 255, focus 640, lens at 8.2 dioptres, "
        "exposure 10.0 ms, gain 2.5, test code not read yet"
    )
    assert "test code" in found.cure
