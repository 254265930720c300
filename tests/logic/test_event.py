"""The event, its bytes, and what is refused."""

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin import event, seal
from checkin.event import EventError
from tests.made_up import NOON, check_in, data


class PaperSeal:
    """Closes with nothing: what is closed is tested in the contract suite, with libsodium."""

    key_id = "0badcafe"

    def close(self, plain):
        return b"closed:" + plain


def test_an_event_reads_back_as_it_was_written():
    assert event.decode(event.encode(check_in(7))) == check_in(7)


def test_an_event_is_one_line_of_cloudevents_json():
    encoded = event.encode(check_in(7))
    fields = json.loads(encoded)
    assert b"\n" not in encoded
    assert fields["specversion"] == "1.0"
    assert fields["type"] == event.TYPE
    assert fields["source"] == "/vaora/cp/k1"
    assert fields["sequence"] == "0000000000000000007"
    assert fields["time"] == "2026-11-22T05:00:07Z"


def test_sequences_sort_as_text():
    numbers = [1, 9, 10, 999, 2**62]
    assert sorted(map(event.sequence, numbers)) == list(map(event.sequence, numbers))


def test_sealed_fields_replace_the_readable_ones():
    closed = event.closed(data(person={"name": "Đỗ Hữu Mẫu"}), PaperSeal())
    assert closed.person is None
    assert closed.sealed.key == "0badcafe"
    opened = event.sealed_bytes(closed.sealed).removeprefix(b"closed:")
    assert event.open_person(opened) == {"name": "Đỗ Hữu Mẫu"}


def broken(**changes):
    fields = json.loads(event.encode(check_in(7)))
    for key, value in changes.items():
        place = fields
        *way, last = key.split("__")
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 5000,
        b'{"a":' * 5000,
        b" " * (event.LONGEST_EVENT_BYTES + 1),
        broken(specversion="0.3"),
        broken(type="vn.vaora.checkin.v2"),
        broken(id=""),
        broken(id="x" * 65),
        broken(outbox=""),
        broken(outbox=None),
        broken(sequence="7"),
        broken(sequence="0" * 19),
        broken(sequence="9" * 19),
        broken(sequence="٠" * 18 + "7"),
        broken(time="2026-11-22T05:00:07"),
        broken(time="2026-11-22T12:00:07+07:00"),
        broken(time="yesterday"),
        broken(source="/vaora/cp/k2"),
        broken(data__kiosk="k2"),
        broken(data__direction="sideways"),
        broken(data__person=None),
        broken(data__sealed={"key": "k", "box": "b"}),
        broken(data__person={"name": 3}),
        broken(more="fields"),
        broken(data__more="fields"),
    ],
)
def test_what_is_no_check_in_is_refused(body):
    with pytest.raises(EventError):
        event.decode(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_check_in_or_an_event_error(body):
    with pytest.raises(EventError):
        event.decode(body)


@given(st.binary(max_size=80))
def test_any_opened_bytes_are_fields_or_an_event_error(plain):
    with suppress(EventError):
        assert isinstance(event.open_person(plain), dict)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.binary(min_size=10, max_size=10),
)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(at, random):
    made = uuid.UUID(event.uuid7(at, random))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_the_example_of_rfc_9562():
    # Appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    at = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert event.uuid7(at, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_ids_of_one_moment_differ_by_chance_alone():
    assert event.uuid7(NOON, bytes(10)) != event.uuid7(NOON, bytes(9) + b"\x01")


def test_a_clock_before_1970_still_gives_an_id():
    assert uuid.UUID(event.uuid7(datetime(1969, 1, 1, tzinfo=UTC), bytes(10))).version == 7


def test_keys_are_checked_before_they_are_used():
    for bad in ("", "off", "AAAA", "ü" * 44, "A" * 43):
        with pytest.raises(seal.SealError, match="base64 of 32 bytes"):
            seal.CentralSeal(bad)


def test_what_is_sealed_opens_with_its_key_and_no_other():
    mine, other = (seal.CentralKey(seal.new_private_key()) for _ in range(2))
    closed = seal.CentralSeal(mine.public).close("Đỗ Hữu Mẫu".encode())
    assert "Mẫu".encode() not in closed
    assert mine.open(closed).decode() == "Đỗ Hữu Mẫu"
    with pytest.raises(seal.SealError, match=other.key_id):
        other.open(closed)
    with pytest.raises(seal.SealError):
        mine.open(closed[:-1])
    with pytest.raises(seal.SealError):
        mine.open(b"")


def test_a_refusal_has_a_reason_and_nobody():
    refusal = msgspec.structs.replace(
        check_in(3, person=None, refused="expired"), type=event.REFUSAL
    )
    assert event.decode(event.encode(refusal)) == refusal
    assert b"person" not in event.encode(refusal)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        (event.REFUSAL, {"person": None}),  # no reason
        (event.TYPE, {"person": None, "refused": "expired"}),  # no refusal
        (event.REFUSAL, {"refused": "expired"}),  # somebody
        (event.REFUSAL, {"person": None, "refused": "r" * 65}),
    ],
)
def test_what_is_neither_a_check_in_nor_a_refusal(type_, fields):
    wrong = msgspec.structs.replace(check_in(3, **fields), type=type_)
    with pytest.raises(EventError):
        event.decode(event.encode(wrong))


@pytest.mark.parametrize("read", [event.decode, event.open_person])
def test_text_that_is_no_utf_8_is_no_event(read):
    with pytest.raises(EventError):
        read(b'{"id": "\xff"}')


def test_a_time_without_a_zone_is_in_utc_and_what_says_none_is_none():
    assert event.moment("2026-11-22T12:00:00+07:00") == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert event.moment("2026-11-22T05:00:00") == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert event.moment("0001-01-01T00:00:00+14:00") is None  # before there is a year
    assert event.moment("yesterday") is event.moment("") is None
