"""The fleet's table: who needs somebody stands first, and nothing in it steers a terminal."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin.words import in_language
from provisioning import fleet_table
from provisioning.fleet_table import Newest, remembered, rows
from sync_daemon.topics import Address, OutboxState, State

AT = datetime(2026, 11, 22, 5, tzinfo=UTC)


def ago(**much):
    return (AT - timedelta(**much)).isoformat()


def state(**changes):
    told = {
        "online": True, "version": "0.2.0", "at": ago(seconds=20), "clock_synced": True,
        "outbox": OutboxState("ob", 9, 7, 2, ago(minutes=5), 0), "last_checkin_at": ago(hours=3),
        "certificate_days": 199.6, "settings_version": 2, "trust_version": 4,
        "revocations_version": 7,
    }  # fmt: skip
    return State(**(told | changes))


NOBODY_KNOWS = Newest()


def table(states, listed=None, newest=NOBODY_KNOWS):
    there = {Address("cp", name): one for name, one in states.items()}
    names = states if listed is None else listed
    return rows({Address("cp", name) for name in names}, there, newest, AT)


def words(found):
    return list(fleet_table.in_words(found, AT))


def test_who_needs_somebody_stands_first():
    found = table(
        {
            "well": state(),
            "fault": state(faults=["camera"]),
            "refuses": state(not_taken=["settings.arrived: is version 2"]),
            "old": state(version="0.1.9"),
            "gone": State(online=False),
            "mute": state(at=ago(hours=1)),
        },
        listed=["well", "fault", "old", "gone", "mute", "never"],
    )
    assert [(row.kiosk, row.condition) for row in found] == [
        ("gone", "silent"), ("mute", "silent"), ("never", "silent"),
        ("fault", "faulty"), ("refuses", "faulty"), ("old", "outdated"), ("well", "well"),
    ]  # fmt: skip
    assert [row.kiosk for row in found if not row.listed] == ["refuses"]
    assert [row.online for row in found] == [False, True, None, True, True, True, True]


@pytest.mark.parametrize(
    ("changes", "newest", "behind"),
    [
        ({}, Newest(), []),
        ({"version": "0.10.0"}, Newest(version="0.9.9"), []),
        ({"version": "0.9.9"}, Newest(version="0.10.0"), ["version"]),
        ({}, Newest(trust=5), ["trust"]),
        ({}, Newest(revocations=8), ["revocations"]),
        ({"trust_version": None}, Newest(trust=1), ["trust"]),
        ({}, Newest(settings={"k": 3}), ["settings"]),
        ({}, Newest(settings={"other": 3}), []),
        ({}, Newest(trust=4, revocations=7, settings={"k": 2}), []),
    ],
)
def test_who_is_behind_what_was_sent_is_outdated(changes, newest, behind):
    (row,) = table({"k": state(**changes)}, newest=newest)
    assert row.outdated == behind
    assert row.condition == ("outdated" if behind else "well")


def test_without_the_folders_own_numbers_what_most_have_counts():
    found = table(
        {
            "a": state(), "b": state(), "c": state(trust_version=3, version="0.1.0"),
            "boasts": state(trust_version=2**53, version="99.0"),
        }
    )  # fmt: skip
    behind = {row.kiosk: row.outdated for row in found}
    assert behind == {"a": [], "b": [], "c": ["version", "trust"], "boasts": []}


def test_a_clock_that_was_never_set_makes_nobody_silent():
    (row,) = table({"k": state(at=ago(days=4000), clock_synced=False)})
    assert row.condition == "well"


def test_what_a_kiosk_said_last_stands_while_it_is_gone():
    before = state()
    assert remembered(before, State(online=False)).outbox == before.outbox
    assert remembered(before, State(online=False)).online is False
    assert remembered(before, state(version="0.3.0")).version == "0.3.0"
    assert remembered(None, State(online=False)) == State(online=False)


def test_the_table_in_words():
    with in_language("en"):
        lines = words(
            table(
                {
                    "bv-mau-cong-1": state(),
                    "bv-mau-cong-2": state(
                        faults=["camera", "settings"],
                        not_taken=["settings.arrived: is version 1, and 2 is in force"],
                    ),
                },
                listed=["bv-mau-cong-1", "k9"],
                newest=Newest(trust=5),
            )
        )
    assert [" ".join(line.split()) for line in lines] == [
        "kiosk checkpoint online waiting oldest last in clock version cert. signed faults",
        "k9 cp never",
        "bv-mau-cong-2 * cp yes 2 5 min 3 h set 0.2.0 200 d 2/4!/7 camera settings",
        "settings.arrived: is version 1, and 2 is in force",
        "bv-mau-cong-1 cp yes 2 5 min 3 h set 0.2.0 200 d 2/4!/7",
        "",
        "3 kiosks: 1 silent, 1 faulty, 1 outdated, 0 well; * isn't on the list of doors (1)",
    ]
    columns = lines[0].index("waiting")
    assert [line[columns : columns + 7] for line in lines[2:5:2]] == ["      2"] * 2


def test_what_goes_on_with_an_update_is_said_beside_the_faults():
    refused = state(faults=["update-refused"], update="refused 0.3.0: vaora-kiosk ended by itself")
    found = table({"back": refused, "busy": state(update="downloading 40 %")})
    with in_language("en"):
        text = "\n".join(words(found))
    assert "update-refused refused 0.3.0: vaora-kiosk ended by itself" in text
    assert "downloading 40 %" in text


def test_json_says_everything_in_the_same_order():
    found = table({"a": state(), "b": State(online=False)})
    said = json.loads(fleet_table.as_json(found, AT))
    assert said["at"] == AT.isoformat()
    assert [one["kiosk"] for one in said["kiosks"]] == ["b", "a"]
    assert said["kiosks"][1]["waiting"] == 2
    assert set(said["kiosks"][0]) == set(fleet_table.Row.__struct_fields__)


TEXTS = st.text(max_size=20)


@given(
    st.builds(
        State,
        online=st.booleans(),
        version=TEXTS,
        at=TEXTS | st.just("0001-01-01T00:00:00+14:00"),
        clock_synced=st.booleans(),
        last_checkin_at=st.none() | TEXTS,
        faults=st.lists(TEXTS, max_size=3),
        certificate_days=st.none() | st.floats(-1e6, 1e6),
    )
)
def test_whatever_a_kiosk_says_there_is_a_table(told):
    found = table({"k": told, "other": state()})
    assert len(words(found)) >= 5
    assert json.loads(fleet_table.as_json(found, AT))
