"""Signed documents that come over the network: taken whole and newer, or not at all."""

import os
import stat
from base64 import b64encode

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from checkin import settings, signed_list, whole
from checkin.cose import SigningKey
from checkin.seal import CentralKey, new_private_key
from checkin.settings import Door, Epidemic, Kiosk, Panel, Policy, Settings
from checkin.signed_list import Revocations, SignedSettings, TrustList
from kiosk import in_force
from kiosk.told import Places, Told
from kiosk.trusted import Trusted
from sync_daemon.arrivals import Arrivals, Place
from sync_daemon.broker import Message, Received
from sync_daemon.topics import REVOCATIONS, TRUST
from tests.contract.test_sync_loop import HERE, daemon  # noqa: F401  a fixture

AUTHORITY, ROGUE = SigningKey(bytes(32)), SigningKey(bytes(range(32)))
PUBLIC = b64encode(AUTHORITY.public).decode()
ISSUED = "2026-11-22T00:00:00+00:00"
OLD, NEW = CentralKey(new_private_key()), CentralKey(new_private_key())


def signed(version, seal=NEW.public, key=AUTHORITY, **more):
    return signed_list.sign(SignedSettings(version, ISSUED, seal, **more), key)


def revoked(version, *passes, key=AUTHORITY):
    return signed_list.sign(Revocations(version, ISSUED, list(passes)), key)


def spoilt(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.fixture
def own(tmp_path):
    return Settings(
        seal=OLD.public,
        kiosk=Kiosk(data_dir=str(tmp_path), runtime_dir=str(tmp_path)),
        policy=Policy(authority=PUBLIC),
    )


@pytest.fixture
def told(own):
    def begin(loaded=own):
        return in_force.told_settings(loaded)

    begin.arrive = own.settings_arrived.write_bytes
    begin.file = own.settings_taken
    return begin


def seal_of(one):
    return one.found.seal if one.found else None


def test_a_new_key_of_the_centrals_is_in_force_at_once_and_after_a_restart(told):
    one = told()
    assert one.refresh() is False
    assert (one.found, one.version) == (None, None)
    told.arrive(signed(1))
    assert one.refresh() is True
    assert one.refresh() is False
    assert (seal_of(one), one.version) == (NEW.public, 1)
    assert seal_of(told()) == NEW.public
    assert stat.S_IMODE(told.file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"rubbish", "is no signed list"),
        (b"", "is no signed list"),
        (signed(9, key=ROGUE), "is not signed by"),
        (spoilt(signed(9)), "is not signed by"),
        (signed(9)[: len(signed(9)) // 2], "is no signed list"),
        (signed(2, seal=NEW.public), "has the number of what is in force, and is another (2, 2)"),
        (
            signed(1, seal=NEW.public),
            "is older than what is in force (1, 2); sign it with",
        ),
        (signed(9, seal="no key"), "seal: a key is base64"),
        (signed(9, seal=""), "seal: a key is base64"),
        (signed(9, seal="off"), "seal: a key is base64"),
        (revoked(9), "belongs there (SignedSettings)"),
        (signed(9, door=Door(hold_off_s=-1)), "belongs there (SignedSettings)"),
        (signed(9, door=Door("button")), "needs [panel] direction_button_pin"),
        (signed(9, door=Door(visitor_prefix="A\n")), "control character"),
        (signed(9, policy=Policy(keep=("cccd.shoe",))), "[policy] cccd.shoe: nothing of that name"),
        (signed(9, policy=Policy(begins="2026-02-30")), "[policy] day"),
        (signed(9, policy=Policy(hours="25:00-26:00")), "[policy] hour"),
        (
            signed(9, epidemic=Epidemic(begins="2026-02-02", ends="2026-02-01")),
            "[epidemic] ends",
        ),
    ],
)
def test_what_is_wrong_changes_nothing_and_is_said(told, raw, why):
    one = told()
    told.arrive(signed(2, seal=OLD.public))
    assert one.refresh()
    told.arrive(raw)
    assert one.refresh() is False
    assert why in one.trouble
    assert "settings.arrived" in one.trouble
    assert (seal_of(one), one.version) == (OLD.public, 2)
    again = told()
    assert seal_of(again) == OLD.public  # nor after a restart
    assert again.refresh() is False
    assert why in again.trouble


def test_a_later_version_replaces_it_and_ends_the_trouble(told):
    one = told()
    told.arrive(signed(1, seal=OLD.public))
    assert one.refresh()
    told.arrive(signed(1))
    assert one.refresh() is False
    assert one.trouble
    told.arrive(signed(2))
    assert one.refresh()
    assert (seal_of(one), one.version, one.trouble) == (NEW.public, 2, "")


def test_the_same_again_is_no_trouble(told):
    one = told()
    for raw in (signed(1), signed(1), b"rubbish", signed(1)):
        told.arrive(raw)
        one.refresh()
    assert (one.version, one.trouble) == (1, "")


def test_a_kiosk_without_an_authority_believes_nobody(tmp_path, own):
    loaded = msgspec.structs.replace(own, policy=Policy())
    own.settings_arrived.write_bytes(signed(1))
    own.settings_taken.write_bytes(signed(1))
    one = in_force.told_settings(loaded)
    assert one.refresh() is False
    assert one.version is None


def test_what_cant_be_kept_is_not_taken_and_tried_again(told, monkeypatch, caplog):
    one = told()
    told.arrive(signed(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as while_full:
        while_full.setattr(whole, "write", full)
        assert [one.refresh() for _ in range(3)] == [False] * 3
    assert one.found is None
    assert "can't be kept (No space left on device)" in one.trouble
    assert caplog.text.count("can't be kept") == 1
    assert one.refresh() is True
    assert one.trouble == ""


def test_what_was_taken_and_no_longer_fits_the_kiosks_own_file_is_refused_whole(told, own):
    with_button = msgspec.structs.replace(own, panel=Panel(direction_button_pin=5))
    told.arrive(signed(3, door=Door("button")))
    one = told(with_button)
    assert one.refresh()
    without = told(own)
    assert without.found is None
    assert "direction_button_pin" in without.trouble
    assert without.refresh() is False
    assert signed_list.in_force(own, without.found) == own


def test_a_kept_file_that_was_spoilt_is_said_until_it_comes_again(told):
    one = told()
    told.arrive(signed(4))
    one.refresh()
    told.file.write_bytes(spoilt(signed(4)))
    again = told()
    assert (again.found, "is not signed by" in again.trouble) == (None, True)
    assert again.refresh() is True
    assert (told().version, again.trouble) == (4, "")


def test_tables_are_in_force_but_whom_the_kiosk_believes_stays_its_own(told, own):
    one = told()
    mine = Policy(authority="anybody", trust_file="/x", revocations_file="/y", accept=("pass",))
    told.arrive(signed(1, seal=None, door=Door("out"), policy=mine))
    assert one.refresh()
    effective = signed_list.in_force(own, one.found)
    assert (effective.seal, effective.door.direction) == (OLD.public, "out")
    assert effective.policy == msgspec.structs.replace(own.policy, accept=("pass",))
    said = in_force.as_toml(own, one)
    assert settings.parse(said) == effective
    assert f"# as signed: version 1 of {ISSUED}\n[door]" in said
    assert "but for authority, trust_file, revocations_file" in said
    assert "# as signed" not in said.split("[door]")[0].replace("# as signed: version 1 of", "", 1)


def test_who_only_asks_what_is_in_force_takes_nothing(told, own):
    told.arrive(signed(1))
    said = in_force.as_toml(own, told())
    assert f'seal = "{OLD.public}"' in said
    assert not told.file.exists()


# Lists: what comes over the network beside a file that the settings name.


@pytest.fixture
def lists(tmp_path):
    def begin(file="r"):
        return Trusted(
            PUBLIC,
            "",
            str(tmp_path / file) if file else "",
            trust_places=Places(tmp_path / "trust.arrived", tmp_path / "trust.signed"),
            revocations_places=Places(tmp_path / "r.arrived", tmp_path / "r.signed"),
        )

    def put(name, raw):
        beside = tmp_path / f"{name}.new"
        beside.write_bytes(raw)
        beside.replace(tmp_path / name)

    begin.put = put
    return begin


def calls(trusted):
    trusted.refresh()
    return trusted.versions().revocations, sorted(trusted.trust().revoked)


A, B, C = ("0a" * 8, "0b" * 8, "0c" * 8)


def test_without_a_file_a_list_from_the_network_is_enough(lists):
    trusted = lists(file="")
    assert calls(trusted) == (None, [])
    assert trusted.trouble == ""
    lists.put("r.arrived", revoked(3, A))
    keys = [b64encode(ROGUE.public).decode()]
    lists.put("trust.arrived", signed_list.sign(TrustList(2, ISSUED, pass_keys=keys), AUTHORITY))
    assert calls(trusted) == (3, [A])
    assert trusted.trust().pass_keys == {ROGUE.kid: ROGUE.public}
    again = lists(file="")
    assert again.versions() == (2, 3)  # at once, from what was kept
    assert again.trust().revoked == {A}


def test_the_newer_of_file_and_network_counts(lists):
    trusted = lists()
    lists.put("r", revoked(5, A))
    lists.put("r.arrived", revoked(4, B))
    assert calls(trusted) == (5, [A])
    lists.put("r.arrived", revoked(6, C))
    assert calls(trusted) == (6, [C])
    assert trusted.trouble == ""  # the file is older than the network's, as files are
    lists.put("r", revoked(7, A, B))
    assert calls(trusted) == (7, [A, B])
    lists.put("r.arrived", revoked(7, C))
    assert calls(trusted) == (7, [A, B])
    assert "and is another (7, 7)" in trusted.trouble
    assert calls(lists()) == (7, [A, B])


def test_a_file_of_the_number_that_the_network_brought_must_be_the_same(lists):
    trusted = lists()
    lists.put("r.arrived", revoked(2, A))
    lists.put("r", revoked(1, B))
    assert calls(trusted) == (2, [A])
    lists.put("r", revoked(2, B))
    assert calls(trusted) == (2, [A])
    assert "and is another (2, 2)" in trusted.trouble
    assert dict(trusted.troubles(None, 30.0))["trust"] == ""
    lists.put("r", revoked(2, A))
    assert calls(trusted) == (2, [A])
    assert trusted.trouble == ""


def test_a_list_without_a_date_is_not_taken(lists):
    trusted = lists(file="")
    lists.put("r.arrived", signed_list.sign(Revocations(1, "soon", [A]), AUTHORITY))
    assert calls(trusted) == (None, [])
    assert "no date" in trusted.trouble


# Any sequence of arrivals, restarts and cuts.

STEPS = st.one_of(
    st.tuples(st.just("network"), st.integers(1, 6), st.sampled_from([A, B])),
    st.tuples(st.just("forged"), st.integers(1, 9), st.just(C)),
    st.tuples(st.just("half"), st.integers(1, 9), st.just(C)),
    st.tuples(st.just("restart"), st.just(0), st.just("")),
    st.tuples(st.just("cut"), st.integers(1, 6), st.sampled_from([A, B])),
)


class Cut(BaseException):
    """The power went."""


@how(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_comes_the_version_never_falls_and_what_is_in_force_is_whole(
    tmp_path_factory, monkeypatch, steps
):
    folder = tmp_path_factory.mktemp("told")
    places = Places(folder / "arrived", folder / "taken")
    told = Told(Revocations, places, PUBLIC)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    highest, content = 0, {}
    for what, version, each in steps:
        raw = revoked(version, each, key=ROGUE if what == "forged" else AUTHORITY) if each else b""
        if each:
            whole.write(places.arrived, raw[: len(raw) // 2] if what == "half" else raw)
        if what == "cut":
            told = cut_while_it_takes(told, places)
        elif what == "restart":
            told = Told(Revocations, places, PUBLIC)
        told.refresh()
        now = told.version or 0
        assert now >= highest
        highest = now
        if told.found is not None:
            assert told.found.passes[0] in {A, B}
            assert content.setdefault(now, told.found) == told.found


def cut_while_it_takes(told, places):
    """The power goes while the file that is to be kept is half written beside the other."""

    def half(beside, _):
        beside.write_bytes(beside.read_bytes()[:7])
        raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(places.taken), "replace", half)
        try:
            told.refresh()
        except Cut:
            return Told(Revocations, places, PUBLIC)
    return told


# The daemon's part.


@pytest.fixture
def arriving(daemon):  # noqa: F811
    place = Place(daemon.folder / "settings.arrived", 65_536)
    lists = {
        topic: Place(daemon.folder / name, 200_000)
        for topic, name in ((TRUST, "trust.arrived"), (REVOCATIONS, "revocations.arrived"))
    }
    daemon.loop._arrivals = Arrivals({HERE.settings: place, **lists})
    return daemon


def test_the_daemon_puts_down_what_came_whole_and_once(arriving, caplog):
    caplog.set_level("INFO")
    for body in (signed(1), signed(1), b"", b"x" * 70_000):
        arriving.turn(Received(Message(HERE.settings, body), 0))
    assert (arriving.folder / "settings.arrived").read_bytes() == signed(1)
    assert caplog.text.count("settings.arrived came; the kiosk takes it") == 1
    assert "70000 bytes came, and nothing there is longer than 65536" in caplog.text


def test_each_topic_has_its_file(arriving):
    arriving.turn(
        Received(Message(TRUST, b"t" * 100_000), 0), Received(Message(REVOCATIONS, b"r"), 0)
    )
    assert len((arriving.folder / "trust.arrived").read_bytes()) == 100_000
    assert (arriving.folder / "revocations.arrived").read_bytes() == b"r"
    assert not (arriving.folder / "settings.arrived").exists()


def test_nobody_to_believe_is_nothing_put_down(daemon):  # noqa: F811
    daemon.turn(Received(Message(HERE.settings, signed(1)), 0))
    assert not (daemon.folder / "settings.arrived").exists()


def test_what_a_full_disk_didnt_take_is_put_down_later(arriving, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as while_full:
        while_full.setattr(whole, "write", full)
        arriving.turn(Received(Message(HERE.settings, signed(1)), 0))
        for _ in range(100):
            arriving.turn()
    assert caplog.text.count("can't be put down") == 1
    assert not (arriving.folder / "settings.arrived").exists()
    arriving.turn(seconds=6)
    arriving.turn()
    assert (arriving.folder / "settings.arrived").read_bytes() == signed(1)
