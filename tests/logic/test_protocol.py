"""Both ends of the sync protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_daemon.protocol import (
    END,
    MOST_OUTBOXES,
    MOST_UNTOLD,
    Connect,
    Delivery,
    Disconnect,
    Ledger,
    Link,
    Publish,
    Receiver,
    Refused,
    Rows,
    Run,
    Sender,
    Settle,
    Terms,
    Wanted,
)
from sync_daemon.topics import Address, OutboxState, Receipt, Refusal, State
from tests.made_up import body

HERE = Address("cp", "k1")


def sender(confirmed=0, **terms):
    return Sender("ob", confirmed, Terms(**terms), jitter=lambda: 0.5)


def online(confirmed=0, tick=0.0, receive_maximum=100, **terms):
    link = sender(confirmed, **terms)
    assert link.actions(tick) == [Connect()]
    link.connected(receive_maximum, tick)
    return link


def rows(*seqs):
    return Rows(seqs, [b"%d" % seq for seq in seqs])


def pairs(found):
    """Rows from (seq, body)."""
    return Rows([seq for seq, _ in found], [body for _, body in found])


def send(link, seqs, tick=0.0):
    """Offer what is wanted of rows `seqs`, until nothing more is."""
    sent = []
    while (wanted := link.wanted(tick)) is not None:
        found = [s for s in seqs if wanted.after < s <= wanted.through][: wanted.limit]
        actions = link.offer(wanted, rows(*found), tick)
        if not actions:
            break
        sent += actions
    return sent


# ── the Sender's link


def test_it_connects_at_once_and_then_only_after_a_wait():
    link = sender(wait_initial_s=4)
    assert link.actions(0) == [Connect()]
    link.lost(1)
    assert link.actions(2.9) == []
    assert link.actions(3) == [Connect()]


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (9, 4)])
def test_waits_double_up_to_the_longest(failures, wait_s):
    link = sender(wait_initial_s=1, wait_max_s=8)
    tick = 0.0
    for _ in range(failures):
        link.actions(tick)
        link.lost(tick)
        lost = tick
        tick += 100
    assert link.actions(lost + wait_s - 0.01) == []
    assert link.actions(lost + wait_s) == [Connect()]


def test_a_wait_never_overflows_after_a_long_outage():
    link = sender(wait_max_s=300)
    tick = 0.0
    for _ in range(2000):
        link.actions(tick)
        link.lost(tick)
        tick += 301
    assert link.actions(tick) == [Connect()]


def test_connecting_that_gets_no_answer_is_given_up():
    link = sender(answer_s=20)
    link.actions(0)
    assert link.actions(19.9) == []
    assert link.actions(20) == [Disconnect("no answer (20 s)")]
    assert link.link is Link.OFFLINE


def test_a_broker_that_drops_us_at_once_is_not_asked_ever_faster():
    link = sender(wait_initial_s=1, wait_max_s=64)
    tick, waits = 0.0, []
    for _ in range(5):
        assert link.actions(tick) == [Connect()]
        link.connected(20, tick)
        link.lost(tick)
        lost = tick
        while not link.actions(tick):
            tick += 0.5
        link.lost(tick)
        waits.append(tick - lost)
        tick += 1000
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


def test_an_acknowledgement_makes_the_next_wait_short_again():
    link = sender(wait_initial_s=1)
    for tick in (0, 100, 200):
        link.actions(tick)
        link.lost(tick)
    link.actions(300)
    link.connected(20, 300)
    link.acknowledged(0, 0)
    link.lost(301)
    assert link.actions(301.5) == [Connect()]


def test_nothing_is_wanted_without_a_link():
    assert sender().wanted(0) is None


# ── what is sent


def test_rows_are_joined_as_they_are():
    link = online()
    actions = link.offer(link.wanted(0), pairs([(1, b'{"a":1}'), (2, b'{"b":2}')]), 0)
    assert actions == [Publish(1, 1, 2, 2, b'[{"a":1},{"b":2}]')]


def test_the_window_bounds_what_is_in_flight():
    link = online(window=3, batch_rows=2)
    sent = send(link, range(1, 100))
    assert [(p.first, p.through) for p in sent] == [(1, 2), (3, 4), (5, 6)]
    assert link.wanted(0) is None


def test_the_brokers_receive_maximum_counts_too_less_one_for_the_state():
    assert len(send(online(window=20, receive_maximum=3, batch_rows=1), range(1, 100))) == 2
    assert len(send(online(window=20, receive_maximum=1, batch_rows=1), range(1, 100))) == 1


def test_a_message_is_bounded_in_bytes_but_takes_one_row_at_least():
    link = online(batch_bytes=1024)
    big = [(seq, b"x" * 400) for seq in range(1, 10)]
    first = link.offer(link.wanted(0), pairs(big), 0)[0]
    assert (first.first, first.through) == (1, 2)
    huge = link.offer(link.wanted(0), pairs([(3, b"x" * 5000)]), 0)[0]
    assert (huge.first, huge.through) == (3, 3)


def test_a_message_fits_the_brokers_largest_packet():
    link = sender()
    link.actions(0)
    link.connected(20, 0, message_bytes=900)
    (publish,) = link.offer(link.wanted(0), pairs([(seq, b"x" * 400) for seq in range(1, 10)]), 0)
    assert publish.count == 2


def test_it_begins_behind_the_watermark():
    assert online(confirmed=41, batch_rows=9).wanted(0) == Wanted(41, END, 9)


def test_a_lost_link_begins_again_behind_the_watermark():
    link = online(batch_rows=1)
    send(link, range(1, 5))
    link.receipt(Receipt("ob", 2), 1)
    link.lost(2)
    link.actions(100)
    link.connected(20, 100)
    assert link.wanted(100).after == 2


# ── confirmed by the central


def test_a_receipt_settles_up_to_what_was_sent():
    link = online(batch_rows=2)
    send(link, range(1, 7))
    assert link.receipt(Receipt("ob", 4), 1) == [Settle(4, {})]
    assert link.confirmed == 4
    assert link.in_flight == 1


def test_an_acknowledgement_alone_settles_nothing():
    link = online()
    (publish,) = send(link, [1, 2])
    assert link.acknowledged(publish.number, 0) == []
    assert link.confirmed == 0


def test_a_receipt_cannot_confirm_what_was_never_sent():
    link = online()
    send(link, [1, 2])
    assert link.receipt(Receipt("ob", 900), 1) == [Settle(2, {})]
    assert online().receipt(Receipt("ob", 900), 1) == []


def test_a_receipt_for_another_outbox_says_nothing():
    link = online()
    send(link, [1, 2])
    assert link.receipt(Receipt("other", 2, again=[(1, 2)]), 1) == []
    assert link.confirmed == 0
    assert link.in_flight == 1


def test_receipts_that_say_nothing_new_dont_put_off_sending_again():
    """A central answers each state: what the broker dropped must come all the same."""
    link = online(answer_s=20, batch_rows=1, window=2)
    for publish in send(link, range(1, 9)):
        link.acknowledged(publish.number, 1)  # and then the broker drops both
    for tick in range(5, 26, 5):
        link.receipt(Receipt("ob", 0), tick)
        link.actions(tick)
    assert [publish.first for publish in send(link, range(1, 9), tick=40)] == [1, 2]


def test_doubled_and_late_receipts_do_no_harm():
    link = online(batch_rows=1)
    send(link, [1, 2, 3])
    assert link.receipt(Receipt("ob", 3), 1) == [Settle(3, {})]
    assert link.receipt(Receipt("ob", 3), 2) == []
    assert link.receipt(Receipt("ob", 1), 3) == []
    assert link.confirmed == 3


def test_a_late_receipt_saves_sending_again():
    link = online(batch_rows=1)
    send(link, [1, 2, 3])
    link.lost(1)
    link.actions(100)
    link.connected(20, 100)
    assert link.receipt(Receipt("ob", 3), 100) == [Settle(3, {})]
    assert link.wanted(100).after == 3


def test_refused_rows_are_settled_with_their_reason_once():
    link = online()
    send(link, [1, 2, 3])
    refused = [Refusal(2, "no such kiosk")]
    assert link.receipt(Receipt("ob", 3, refused=refused), 1) == [Settle(3, {2: "no such kiosk"})]
    send(link, [4], 1)
    assert link.receipt(Receipt("ob", 4, refused=refused), 2) == [Settle(4, {})]


def test_a_refusal_beyond_what_is_confirmed_waits():
    link = online()
    send(link, [1, 2, 3])
    assert link.receipt(Receipt("ob", 1, refused=[Refusal(3, "x")]), 1) == [Settle(1, {})]


# ── silence


def test_a_broker_that_acknowledges_nothing_is_dropped():
    link = online(answer_s=20)
    send(link, [1])
    assert link.actions(19.9) == []
    assert link.actions(20) == [Disconnect("the broker acknowledges nothing (20 s)")]
    assert link.link is Link.OFFLINE
    assert link.in_flight == 0


def test_a_slow_link_is_no_dead_one():
    link = online(answer_s=20, batch_rows=1)
    for number, publish in enumerate(send(link, range(1, 21)), start=1):
        tick = number * 15
        assert link.actions(tick) == []
        link.acknowledged(publish.number, tick)
    assert link.link is Link.ONLINE


def test_a_message_too_long_for_the_link_is_halved_until_it_passes():
    link, tick, sizes = online(answer_s=20, batch_bytes=8192), 0.0, []
    for _ in range(4):
        long = pairs([(s, b"x" * 1000) for s in range(1, 50)])
        (publish,) = link.offer(link.wanted(tick), long, tick)
        sizes.append(publish.count)
        assert isinstance(link.actions(tick + 20)[0], Disconnect)
        tick += 400
        link.actions(tick)
        link.connected(20, tick)
    assert sizes == [8, 4, 2, 1]


def test_a_central_that_comes_back_is_sent_to_at_once():
    link = online(answer_s=20, batch_rows=1, wait_initial_s=1, wait_max_s=300)
    tick = 0.0
    for _ in range(12):
        tick += 400
        for publish in send(link, [1], tick):
            link.acknowledged(publish.number, tick)
        tick += 20
        link.actions(tick)
    assert link.silent
    assert link.wanted(tick + 1) is None
    link.receipt(Receipt("ob", 1), tick + 1)
    assert link.wanted(tick + 1) == Wanted(1, END, 1)


def test_a_refused_message_makes_the_waits_grow_though_the_state_is_taken():
    link, tick, waits = sender(wait_initial_s=1, wait_max_s=64), 0.0, []
    for _ in range(5):
        assert link.actions(tick) == [Connect()]
        link.connected(20, tick)
        send(link, [1], tick)
        link.acknowledged(0, tick)  # the state
        link.turned_down("Not authorized", tick)
        lost = tick
        while not link.actions(tick):
            tick += 0.25
        link.lost(tick)
        waits.append(tick - lost)
        tick += 1000
    assert waits[-1] > waits[0]


def test_a_gap_is_filled_though_the_window_waits_for_it():
    link = online(window=3, batch_rows=1)
    for publish in send(link, range(1, 10)):
        link.acknowledged(publish.number, 0)
    assert link.wanted(0) is None
    link.receipt(Receipt("ob", 0, again=[(1, 1)]), 1)
    assert link.wanted(1) == Wanted(0, 1, 1)


def test_a_silent_central_is_asked_again_on_the_same_link_one_message_at_a_time():
    link = online(answer_s=20, batch_rows=1, wait_initial_s=4)
    for publish in send(link, [1, 2, 3]):
        link.acknowledged(publish.number, 0)
    assert link.actions(20) == []
    assert link.link is Link.ONLINE
    assert link.silent
    assert link.wanted(21.9) is None
    assert link.wanted(22).after == 0
    assert len(send(link, [1, 2, 3], 22)) == 1
    link.receipt(Receipt("ob", 1), 23)
    assert not link.silent
    assert len(send(link, [1, 2, 3], 23)) == 2


def test_nothing_in_flight_is_no_silence():
    link = online(answer_s=20)
    assert link.actions(1000) == []
    assert not link.silent


def test_a_message_that_is_turned_down_stays_and_the_link_is_dropped():
    link = online()
    send(link, [1])
    assert link.turned_down("Not authorized", 1) == [Disconnect("Not authorized")]
    link.actions(100)
    link.connected(20, 100)
    assert link.wanted(100).after == 0


def test_a_message_too_large_for_the_broker_is_sent_smaller():
    link = online(batch_bytes=8192)
    big = [(seq, b"x" * 1000) for seq in range(1, 50)]
    before = link.offer(link.wanted(0), pairs(big), 0)[0]
    link.too_large()
    link.turned_down("packet too large", 1)
    link.actions(100)
    link.connected(20, 100)
    after = link.offer(link.wanted(100), pairs(big), 100)[0]
    assert after.count == before.count // 2


# ── confirmed by the broker


def test_the_broker_confirms_in_order():
    link = online(confirm="broker", batch_rows=1)
    one, two, three = send(link, [1, 2, 3])
    assert link.acknowledged(two.number, 0) == []
    assert link.acknowledged(one.number, 0) == [Settle(2, {})]
    assert link.acknowledged(three.number, 0) == [Settle(3, {})]


def test_a_receipt_confirms_nothing_where_the_broker_does():
    link = online(confirm="broker")
    send(link, [1, 2])
    assert link.receipt(Receipt("ob", 2), 1) == []


# ── ranges again


def test_a_range_that_is_asked_for_goes_before_what_is_new():
    link = online(confirmed=10, batch_rows=5)
    link.receipt(Receipt("ob", 2, again=[(3, 5)]), 0)
    assert link.wanted(0) == Wanted(2, 5, 5)
    (again, *_) = link.offer(link.wanted(0), rows(3, 4, 5), 0)
    assert (again.first, again.through) == (3, 5)
    assert link.wanted(0) == Wanted(10, END, 5)


def test_the_same_gap_named_by_every_receipt_is_sent_once():
    link = online(confirmed=10, batch_rows=9)
    for _ in range(5):
        link.receipt(Receipt("ob", 2, again=[(3, 5)]), 0)
    (publish,) = link.offer(link.wanted(0), rows(3, 4, 5), 0)
    link.receipt(Receipt("ob", 2, again=[(3, 5)]), 1)
    assert link.wanted(1) == Wanted(10, END, 9)
    link.acknowledged(publish.number, 0)
    link.receipt(Receipt("ob", 2, again=[(3, 5)]), 2)
    assert link.wanted(2).after == 2


def test_ranges_that_overlap_are_sent_once():
    link = online(confirmed=10)
    link.receipt(Receipt("ob", 0, again=[(1, 2**62)] * 16), 0)
    (publish,) = link.offer(link.wanted(0), rows(*range(1, 11)), 0)
    assert (publish.first, publish.through) == (1, 10)
    assert link.wanted(0).after == 10


def test_a_long_range_goes_in_batches():
    link = online(confirmed=10, batch_rows=2)
    link.receipt(Receipt("ob", 0, again=[(1, 5)]), 0)
    sent = []
    for _ in range(3):
        wanted = link.wanted(0)
        found = [s for s in range(1, 11) if wanted.after < s <= wanted.through][:2]
        sent += link.offer(wanted, rows(*found), 0)
    assert [(p.first, p.through) for p in sent] == [(1, 2), (3, 4), (5, 5)]
    assert link.gone == []
    assert link.wanted(0).after == 10


def test_what_is_asked_for_and_not_there_any_more_is_said():
    link = online(confirmed=10)
    link.receipt(Receipt("ob", 0, again=[(1, 8)]), 0)
    link.offer(link.wanted(0), rows(3, 4, 7), 0)
    assert link.gone == [(1, 2), (5, 6), (8, 8)]
    assert link.wanted(0).after == 10


def test_a_range_of_which_nothing_is_left():
    link = online(confirmed=10)
    link.receipt(Receipt("ob", 0, again=[(1, 8)]), 0)
    assert link.offer(link.wanted(0), pairs([]), 0) == []
    assert link.gone == [(1, 8)]
    assert link.wanted(0).after == 10


def test_a_range_that_was_never_sent_is_not_sent_out_of_turn():
    link = online(confirmed=10, batch_rows=9)
    link.receipt(Receipt("ob", 10, again=[(11, 20), (5, 2000)]), 0)
    assert link.wanted(0) == Wanted(4, 10, 9)


@given(st.data())
def test_whatever_is_heard_nothing_is_settled_that_was_not_sent(data):
    """Random receipts, acknowledgements, losses: the watermark never passes what was published."""
    link = online(batch_rows=3, window=4)
    published, tick = 0, 0.0
    for _ in range(40):
        tick += data.draw(st.floats(0, 15))
        settled = []
        match data.draw(st.integers(0, 5)):
            case 0:
                for publish in send(link, range(1, published + 6), tick):
                    published = max(published, publish.through)
            case 1:
                ranges = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=3)
                receipt = Receipt("ob", data.draw(st.integers(0, 60)), again=data.draw(ranges))
                settled = link.receipt(receipt, tick)
            case 2:
                settled = link.acknowledged(data.draw(st.integers(0, 30)), tick)
            case 3:
                link.lost(tick)
            case 4:
                settled = link.actions(tick)
                link.connected(20, tick)
            case 5:
                settled = link.turned_down("x", tick)
        for action in settled:
            if isinstance(action, Settle):
                assert action.through <= published
        assert link.confirmed <= published


# ── the ledger


def test_a_ledger_counts_up_without_a_gap():
    ledger = Ledger()
    for seq in (1, 2, 3):
        ledger.add(seq, seq)
    assert (ledger.through, ledger.beyond, ledger.gaps()) == (3, [], [])


def test_a_gap_is_named_until_it_is_filled():
    ledger = Ledger()
    ledger.add(1, 2)
    ledger.add(5, 6)
    ledger.add(9, 9)
    assert ledger.gaps() == [(3, 4), (7, 8)]
    ledger.add(3, 4)
    assert (ledger.through, ledger.gaps()) == (6, [(7, 8)])


def test_what_the_kiosk_says_was_confirmed_once_is_missed():
    ledger = Ledger(through=3, known=10)
    assert ledger.gaps() == [(4, 10)]
    ledger.add(6, 7)
    assert ledger.gaps() == [(4, 5), (8, 10)]


def test_a_refusal_that_was_not_told_is_not_confirmed():
    """Five hundred refused at once: none may be taken for one that is kept."""
    receiver = Receiver()
    bodies = [body(seq).replace(b'"in"', b'"up"') for seq in range(1, 501)]
    receiver.kept(receiver.receive(HERE, batch(*bodies)))
    told, rounds = {}, 0
    while len(told) < 500:
        ((_, receipt),) = receiver.receipts()
        fresh = {refusal.seq for refusal in receipt.refused}
        assert fresh == set(range(len(told) + 1, receipt.through + 1))
        told |= {refusal.seq: refusal.reason for refusal in receipt.refused}
        receiver.state(HERE, state(confirmed=receipt.through))
        rounds += 1
        assert rounds < 20
    ((_, receipt),) = receiver.receipts()
    assert (receipt.through, receipt.refused) == (500, [])


def test_refusals_without_end_are_bounded_and_what_is_left_out_stays_a_gap():
    ledger = Ledger()
    for seq in range(1, MOST_UNTOLD + 100):
        ledger.refuse(seq, "x")
    ledger.add(MOST_UNTOLD + 100, MOST_UNTOLD + 100)
    assert ledger.through == MOST_UNTOLD
    assert ledger.gaps() == [(MOST_UNTOLD + 1, MOST_UNTOLD + 99)]


def test_a_refused_row_holds_up_none():
    ledger = Ledger()
    ledger.refuse(1, "x")
    ledger.add(2, 2)
    assert ledger.through == 2


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=40))
def test_a_ledger_knows_what_a_set_knows(ranges):
    ledger, there = Ledger(), set()
    for first, more in ranges:
        ledger.add(first, first + more)
        there |= set(range(first, first + more + 1))
        missing = [seq for seq in range(1, max(there) + 1) if seq not in there]
        assert ledger.through == (missing[0] - 1 if missing else max(there))
        named = [seq for a, b in ledger.gaps() for seq in range(a, b + 1)]
        assert named == missing[: len(named)]
        assert bool(named) == bool(missing)
        for (_, end), (start, _) in zip(ledger.beyond, ledger.beyond[1:], strict=False):
            assert end + 1 < start


# ── the Receiver


def batch(*bodies):
    return b"[" + b",".join(bodies) + b"]"


def test_what_is_kept_is_confirmed_and_not_before():
    receiver = Receiver()
    delivery = receiver.receive(HERE, batch(body(1), body(2)))
    assert delivery.runs == (Run("ob", 1, 2, batch(body(1), body(2))),)
    assert delivery.runs[0].split() == [body(1), body(2)]
    assert receiver.receipts() == []
    receiver.kept(delivery)
    assert receiver.receipts() == [(HERE, Receipt("ob", 2))]
    assert receiver.receipts() == []


def test_a_gap_is_asked_for():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1), body(4))))
    assert receiver.receipts() == [(HERE, Receipt("ob", 1, again=[(2, 3)]))]


def test_a_message_again_gets_a_receipt_again():
    receiver = Receiver()
    for _ in range(2):
        receiver.kept(receiver.receive(HERE, batch(body(1))))
        assert receiver.receipts() == [(HERE, Receipt("ob", 1))]


def test_two_outboxes_of_one_kiosk_are_counted_apart():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(7, "old"), body(1, "new"))))
    assert {r.outbox: r.through for _, r in receiver.receipts()} == {"old": 0, "new": 1}


def test_one_bad_row_is_refused_and_the_rest_is_kept():
    receiver = Receiver()
    bad = body(2).replace(b'"direction":"in"', b'"direction":"up"')
    delivery = receiver.receive(HERE, batch(body(1), bad, body(3)))
    receiver.kept(delivery)
    ((_, receipt),) = receiver.receipts()
    assert receipt.through == 3
    assert [refusal.seq for refusal in receipt.refused] == [2]


def test_a_kiosk_cannot_speak_for_another():
    receiver = Receiver()
    delivery = receiver.receive(Address("cp", "rogue"), batch(body(1)))
    assert delivery.runs == ()
    assert "names /vaora/cp/k1" in delivery.trouble
    receiver.kept(delivery)
    assert (HERE, "ob") not in receiver.ledgers


@pytest.mark.parametrize("message", [b"", b"{}", b"\xff", b"[1,", b"[" * 9999, b'{"a":[]}'])
def test_a_message_that_is_no_batch_is_said_and_confirms_nothing(message):
    receiver = Receiver()
    delivery = receiver.receive(HERE, message)
    assert delivery.trouble
    receiver.kept(delivery)
    assert receiver.receipts() == []


def test_a_kiosk_put_back_to_an_earlier_state_hears_of_each_refusal():
    """Its card was restored: the numbers are given again, and the central has others under them."""
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(*(body(seq) for seq in range(1, 101)))))
    receiver.state(HERE, state(confirmed=100))
    receiver.receipts()
    taken = Refused("ob", 51, "another check-in is there", b"")
    receiver.kept(Delivery(HERE, refused=(taken,)))
    ((_, receipt),) = receiver.receipts()
    assert [refusal.seq for refusal in receipt.refused] == [51]
    link = online(confirmed=50, batch_rows=1)
    send(link, range(51, 53))
    (settle,) = link.receipt(receipt, 1)
    assert settle.refused == {51: "another check-in is there"}


def test_a_refusal_that_comes_behind_the_receipt_that_passed_it_is_told_once():
    link = online(confirmed=50, batch_rows=1)
    send(link, range(51, 53))
    late = Refusal(52, "taken")
    (first,) = link.receipt(Receipt("ob", 100, [Refusal(51, "taken")]), 1)
    assert (first.through, first.refused) == (52, {51: "taken"})
    (second,) = link.receipt(Receipt("ob", 100, [Refusal(51, "taken"), late]), 2)
    assert (second.through, second.refused) == (52, {52: "taken"})
    assert link.receipt(Receipt("ob", 100, [late]), 3) == []


def test_what_is_gone_is_known_before_it_counts():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1), body(4))))
    said = state(gone=[(2, 3)], confirmed=0)
    for _ in range(2):
        assert receiver.gone(HERE, said) == [(2, 3)]
    receiver.state(HERE, said)
    assert receiver.gone(HERE, said) == []


def test_a_kiosk_that_invents_outboxes_does_not_get_all_the_memory():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1, "true"))))
    for n in range(2 * MOST_OUTBOXES):
        receiver.kept(receiver.receive(HERE, batch(body(1, f"invented-{n}"))))
        receiver.state(HERE, state(id=f"said-{n}"))
    assert len(receiver.ledgers) == MOST_OUTBOXES
    assert "more than 500 outboxes" in receiver.receive(HERE, batch(body(1, "another"))).trouble
    delivery = receiver.receive(HERE, batch(body(2, "true")))
    assert delivery.runs
    other = Address("cp", "k2")
    assert receiver.receive(other, batch(body(1, "theirs", kiosk="k2"))).runs


@given(st.binary(max_size=200))
def test_any_bytes_are_a_delivery(message):
    assert Receiver().receive(HERE, message).runs == ()


def state(**outbox):
    fields = {"id": "ob", "appended": 9, "confirmed": 0, "pending": 0, "oldest_pending_at": None}
    return State(online=True, outbox=OutboxState(**(fields | {"set_aside": 0} | outbox)))


def test_a_kiosk_that_says_where_it_is_gets_a_receipt():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1), body(2))))
    receiver.receipts()
    assert receiver.state(HERE, state(confirmed=0)) == []
    assert receiver.receipts() == [(HERE, Receipt("ob", 2))]


def test_a_central_that_lost_its_data_asks_for_what_was_confirmed_once():
    receiver = Receiver()
    receiver.state(HERE, state(confirmed=8))
    assert receiver.receipts() == [(HERE, Receipt("ob", 0, again=[(1, 8)]))]


def test_what_is_gone_holds_up_nothing_any_more():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1), body(4), body(9))))
    assert receiver.state(HERE, state(gone=[(2, 5)])) == [(2, 3), (5, 5)]
    assert receiver.ledgers[HERE, "ob"].through == 5
    assert receiver.state(HERE, state(gone=[(2, 5)])) == []


def test_a_kiosks_word_does_not_undo_what_is_here():
    receiver = Receiver()
    receiver.kept(receiver.receive(HERE, batch(body(1), body(2))))
    assert receiver.state(HERE, state(gone=[(1, 2), (5, 9)])) == []
    assert receiver.ledgers[HERE, "ob"].through == 2


def test_an_offline_state_says_nothing_of_the_outbox():
    assert Receiver().state(HERE, State(online=False)) == []


def test_a_message_that_is_no_utf_8_is_trouble_and_no_end():
    delivery = Receiver().receive(Address("cp", "k1"), b'[{"id": "\xff"}]')
    assert delivery.runs == ()
