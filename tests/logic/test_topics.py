"""Topics, and the messages on them that are no check-ins."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_daemon import topics
from sync_daemon.topics import Address, MessageError, OutboxState, Receipt, Refusal, State


def test_topics_go_out_and_come_back():
    address = Address("0100123", "cong-1")
    assert address.checkins == "vaora/v1/0100123/cong-1/checkins"
    assert topics.address(address.state) == (address, "state")


@pytest.mark.parametrize("topic", ["", "vaora/v1/a/b", "vaora/v2/a/b/c", "vaora/v1/a/b/c/d", "x/y"])
def test_a_topic_of_somebody_else_is_refused(topic):
    with pytest.raises(MessageError, match="topic"):
        topics.address(topic)


def test_a_receipt_reads_back():
    receipt = Receipt("ob", 7, refused=[Refusal(3, "why")], again=[(8, 9)])
    assert topics.read_receipt(topics.encode(receipt)) == receipt
    assert topics.encode(Receipt("ob", 7)) == b'{"outbox":"ob","through":7}'


def test_a_state_reads_back():
    state = State(
        online=True, version="1", faults=["camera"], outbox=OutboxState("ob", 3, 2, 1, None, 0)
    )
    assert topics.read_state(topics.encode(state)) == state


def test_the_last_will_says_offline_and_no_more():
    assert topics.encode(State(online=False)) == b'{"online":false}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"outbox":"ob"}',
        b'{"outbox":"","through":1}',
        b'{"outbox":"ob","through":-1}',
        b'{"outbox":"ob","through":1.5}',
        b'{"outbox":"ob","through":99999999999999999999}',
        b'{"outbox":"ob","through":1,"again":[[1]]}',
        b'{"outbox":"ob","through":1,"again":[[0,1]]}',
        json.dumps({"outbox": "ob", "through": 1, "again": [[1, 2]] * 17}).encode(),
        json.dumps({"outbox": "ob", "through": 1, "refused": [{"seq": 1}]}).encode(),
        b"[" * 100_000,
        b" " * (topics.LONGEST_MESSAGE_BYTES + 1),
    ],
)
def test_what_is_no_receipt_is_refused(body):
    with pytest.raises(MessageError):
        topics.read_receipt(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_message_error(body):
    for read in (topics.read_receipt, topics.read_state):
        with pytest.raises(MessageError):
            read(body)


@pytest.mark.parametrize("read", [topics.read_receipt, topics.read_state])
def test_text_that_is_no_utf_8_is_no_message(read):
    with pytest.raises(MessageError):
        read(b'{"outbox": "\xff"}')
