"""`send` and `fleet` at a real broker with the fleet's own configuration."""

import csv
import json
import shutil
import threading
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from checkin import cose, signed_list
from checkin.cose import SigningKey
from checkin.seal import CentralKey, new_private_key
from checkin.signed_list import Release, Revocations, SignedSettings, TrustList
from provisioning import fleet_watch, passes_list
from provisioning.__main__ import main
from provisioning.columns import COLUMNS
from provisioning.commands.fleet import Seen
from provisioning.passes_list import Row
from sync_daemon import topics
from sync_daemon.broker import (
    Acknowledged,
    Broker,
    BrokerError,
    Connected,
    Message,
    Options,
    Received,
)
from sync_daemon.topics import REVOCATIONS, TRUST, Address, OutboxState, State
from tests import fleet as made_up_fleets
from tests.signed import certificate, ec_key
from tests.system.conftest import wait_until

DOORS = ("cong-1", "cong-2")
ROGUE = SigningKey(bytes(range(32)))
ISSUED = "2026-11-22T00:00:00+00:00"


def list_doors(folder, kiosks=DOORS, **changes):
    with folder.inventory.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, [column.name for column in COLUMNS])
        rows.writeheader()
        for kiosk in kiosks:
            row = {column.name: column.example for column in COLUMNS} | changes
            rows.writerow(row | {"kiosk": kiosk, "checkpoint": "0100123"})


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """One broker for all of them; each test has kiosks of its own."""
    fleet = made_up_fleets.made_up(tmp_path_factory.mktemp("sending") / "fleet")
    with fleet.served():
        yield fleet


@pytest.fixture(autouse=True)
def impatient(request, monkeypatch):
    """On loopback the next message comes sooner."""
    if "seconds" not in request.node.name:
        monkeypatch.setattr(fleet_watch, "QUIET_S", 0.2)


@pytest.fixture
def fleet(broker):
    """The fleet's folder; what the broker retains and was signed before is gone."""
    list_doors(broker.folder)
    yield broker
    everything = [TRUST, REVOCATIONS]
    everything += [Address("0100123", kiosk).settings for kiosk in DOORS]
    everything += [Address("0100123", f"k{n}").state for n in range(200)]
    everything += [topics.update("arm64")]
    at_broker(broker, "vaora-fleet", [Message(topic, b"") for topic in everything])
    for file in broker.folder.signed.rglob("*"):
        if file.is_file():
            file.unlink()
    broker.folder.passes.unlink(missing_ok=True)
    shutil.rmtree(broker.folder.root / "trust", ignore_errors=True)


def run(fleet, *arguments):
    ran = CliRunner().invoke(
        main, [*map(str, arguments), "--fleet", str(fleet.folder.root)], env={"LANG": "C"}
    )
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
    return ran


def at_broker(fleet, name, leave=(), read=(), count=1):
    """As `name`, leave messages to be retained, and read what is retained."""
    options = Options(
        "127.0.0.1", fleet.settings.broker_port, f"{name}-test", tuple(read), tls=fleet.tls(name)
    )
    broker, heard = Broker(options), []
    broker.connect()

    def heard_all(kind, wanted):
        heard.extend(broker.wait(0.05))
        return sum(isinstance(one, kind) for one in heard) >= wanted

    wait_until(lambda: heard_all(Connected, 1), 10, "connected")
    for message in leave:
        broker.publish(message, retain=True)
    wait_until(lambda: heard_all(Acknowledged, len(leave)), 10, "acknowledged")
    if read:
        wait_until(lambda: heard_all(Received, count), 10, "retained")
    broker.close()
    return {one.message.topic: one.message.body for one in heard if isinstance(one, Received)}


def public(fleet):
    return cose.from_base64(fleet.folder.settings_public.read_text().strip())


def retained(fleet, topic, kind):
    return signed_list.read(
        at_broker(fleet, "vaora-fleet", read=[topic])[topic], kind, public(fleet)
    )


def ours(fleet):
    return SigningKey(cose.from_base64(fleet.folder.settings_key.read_text().strip()))


def test_a_trust_list_with_the_fleets_own_key_and_the_authorities_in_a_folder(fleet):
    (fleet.folder.root / "trust").mkdir()
    (fleet.folder.root / "trust" / "vn.der").write_bytes(certificate(ec_key()))
    cards = [{"kid": "k", "x": "AA", "y": "AA", "iss": "https://i.example"}]
    (fleet.folder.root / "trust" / "card-keys.json").write_text(json.dumps(cards))
    ran = run(fleet, "send", "trust")
    assert ran.output == (
        "Trust list, version 2: 1 key for passes, 1 health authorities, 1 card issuers.\n"
    )
    found = retained(fleet, TRUST, TrustList)
    assert found.pass_keys == [fleet.folder.pass_public.read_text().strip()]
    assert (len(found.signers), len(found.card_keys)) == (1, 1)
    assert signed_list.read_file(fleet.folder.trust_list, TrustList, public(fleet)) == found
    (fleet.folder.root / "trust" / "vn.der").unlink()
    more = run(fleet, "send", "trust", "--pass-key", b64encode(ROGUE.public).decode())
    assert "had 1" in more.stderr
    assert retained(fleet, TRUST, TrustList).version == 3
    (fleet.folder.root / "trust" / "vn.der").write_text("no certificate")
    wrong = run(fleet, "send", "trust")
    assert (wrong.exit_code, "vn.der: is no certificate in DER" in wrong.stderr) == (1, True)
    assert run(fleet, "send", "trust", "--pass-key", "x").exit_code == 1
    assert retained(fleet, TRUST, TrustList).version == 3


def test_the_longest_list_that_a_kiosk_takes_passes_the_broker(fleet):
    # As long as eight of the world's lists of health authorities.
    body = bytes(signed_list.LONGEST_FILE_BYTES)
    at_broker(fleet, "vaora-fleet", [Message(TRUST, body)])
    assert at_broker(fleet, "cong-1", read=[TRUST])[TRUST] == body


def passes(fleet, *revoked):
    begins = datetime.now(UTC)
    rows = [
        Row(each, "visitor", "Phan Thị Mẫu", begins, begins + timedelta(days=1), "", "", begins,
            begins.isoformat())
        for each in revoked
    ]  # fmt: skip
    passes_list.add(fleet.folder.passes, rows)


def test_revocations_are_those_of_the_list_of_passes(fleet):
    passes(fleet, "0a" * 8)
    assert run(fleet, "send", "revocations").output == "Revocations, version 1: 1 pass.\n"
    passes(fleet, "0b" * 8)
    assert run(fleet, "send", "revocations").output == "Revocations, version 2: 2 passes.\n"
    found = retained(fleet, REVOCATIONS, Revocations)
    assert (found.version, found.passes) == (2, ["0a" * 8, "0b" * 8])


def test_a_list_of_passes_that_was_lost_pardons_nobody(fleet):
    passes(fleet, "0a" * 8)
    run(fleet, "send", "revocations")
    fleet.folder.passes.unlink()
    ran = run(fleet, "send", "revocations")
    assert "1 passes that passes.csv doesn't know" in ran.stderr
    assert retained(fleet, REVOCATIONS, Revocations).passes == ["0a" * 8]


def test_a_newer_one_that_somebody_else_signed_is_said_and_gone_on_from(fleet):
    theirs = Revocations(41, ISSUED, ["0c" * 8])
    at_broker(fleet, "vaora-fleet", [Message(REVOCATIONS, signed_list.sign(theirs, ours(fleet)))])
    ran = run(fleet, "send", "revocations")
    assert "the broker has version 41 of revoked.list, signed elsewhere" in ran.stderr
    assert retained(fleet, REVOCATIONS, Revocations).version == 42
    fleet.folder.revoked_list.unlink()  # a backup put back
    run(fleet, "send", "revocations")
    assert retained(fleet, REVOCATIONS, Revocations).version == 43


def test_what_a_stranger_left_there_counts_for_nothing(fleet):
    theirs = signed_list.sign(Revocations(2**53, ISSUED), ROGUE)
    at_broker(fleet, "vaora-fleet", [Message(REVOCATIONS, theirs)])
    ran = run(fleet, "send", "revocations")
    assert "isn't signed by this fleet, and is replaced" in ran.stderr
    assert retained(fleet, REVOCATIONS, Revocations).version == 1


def test_settings_go_to_all_or_to_those_named_and_what_isnt_named_stays(fleet, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[policy]\naccept = ["pass", "cccd"]\n[door]\ndirection = "out"\n')
    ran = run(fleet, "send", "settings", "--file", rules)
    assert ran.output == "cong-1: settings, version 1.\ncong-2: settings, version 1.\n"
    seal = CentralKey(new_private_key()).public
    run(fleet, "send", "settings", "--seal", seal, "--to", "cong-2")
    first, second = (
        retained(fleet, Address("0100123", kiosk).settings, SignedSettings) for kiosk in DOORS
    )
    assert (first.version, first.seal, first.policy.accept) == (1, None, ("pass", "cccd"))
    assert (second.version, second.seal, second.policy) == (2, seal, first.policy)
    run(fleet, "send", "settings", "--drop", "door", "--to", "cong-2")
    last = retained(fleet, Address("0100123", "cong-2").settings, SignedSettings)
    assert (last.version, last.door, last.seal) == (3, None, seal)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[camera]\nsource = "webcam"\n', "camera: can't be changed from afar"),
        ('[policy]\nauthority = "x"\n', "[policy] authority: is each kiosk's own"),
        ('[policy]\naccept = ["cccd", "shoe"]\n', "[policy] accept"),
        ('[policy]\nkeep = ["cccd.shoe"]\n', "cong-1 couldn't use it, and nothing was sent"),
        ('[door]\ndirection = "button"\n', "needs [panel] direction_button_pin"),
        ('[policy]\nbegins = "2026-02-30"\n', "[policy] day"),
        ("policy = 5\n", "policy"),
        ("[policy\n", "is not TOML"),
        ("", "nothing to send"),
    ],
)
def test_what_no_kiosk_could_use_is_said_and_not_sent(fleet, tmp_path, text, said):
    (tmp_path / "rules.toml").write_text(text)
    ran = run(fleet, "send", "settings", "--file", tmp_path / "rules.toml")
    assert ran.exit_code == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not any(fleet.folder.signed.rglob("*.signed"))


def test_mistakes_end_in_a_line_that_says_what_to_do(fleet, tmp_path):
    assert (
        "no kiosk of that name is in"
        in run(
            fleet, "send", "settings", "--seal", CentralKey(new_private_key()).public, "--to", "x"
        ).stderr
    )
    assert "--seal: a key is base64" in run(fleet, "send", "settings", "--seal", "x").stderr
    (tmp_path / "rules.toml").write_bytes(b"\xff")
    wrong = run(fleet, "send", "settings", "--file", tmp_path / "rules.toml")
    assert "is not UTF-8 text" in wrong.stderr
    fleet.folder.revoked_list.parent.mkdir(exist_ok=True)
    fleet.folder.revoked_list.write_bytes(b"spoilt")
    assert "copy of the backup" in run(fleet, "send", "revocations").stderr


def test_without_a_broker_it_is_said_what_to_do(tmp_path):
    alone = made_up_fleets.made_up(tmp_path / "fleet")
    list_doors(alone.folder)
    text = alone.folder.settings_file.read_text(encoding="utf-8")
    alone.folder.settings_file.write_text(text.replace("8883", "1"), encoding="utf-8")
    for command in (["fleet"], ["fleet", "--json"], ["send", "revocations"]):
        ran = run(alone, *command)
        assert ran.exit_code == 1
        assert "nobody listens there" in ran.stderr
        assert "fleet.toml (broker_host, broker_port)" in ran.stderr
        assert ran.stdout == ""
    assert not alone.folder.revoked_list.exists()


# The table.


def told(n, **changes):
    state = {
        "online": True, "version": "0.2.0", "at": datetime.now(UTC).isoformat(),
        "clock_synced": True, "outbox": OutboxState("ob", n, n, 0, None, 0),
    }  # fmt: skip
    body = topics.encode(State(**(state | changes)))
    return Message(Address("0100123", f"k{n}").state, body)


def test_two_hundred_kiosks_in_a_table_in_two_seconds(fleet):
    list_doors(fleet.folder, [f"k{n}" for n in range(200)])
    said = [told(n) for n in range(200)]
    said[7], said[8] = told(7, faults=["camera"]), told(8, online=False)
    said[9] = told(9, version="0.1.9\x1b[2J")
    at_broker(fleet, "vaora-fleet", said)
    began = datetime.now(UTC)
    ran = run(fleet, "fleet")
    took_s = (datetime.now(UTC) - began).total_seconds()
    print(f"a table of 200 kiosks: {took_s:.2f} s")
    assert took_s < 2
    lines = ran.output.splitlines()
    assert len(lines) == 1 + 200 + 2
    assert [line.split()[0] for line in lines[1:5]] == ["k8", "k7", "k9", "k0"]
    assert lines[-1] == "200 kiosks: 1 silent, 1 faulty, 1 outdated, 197 well"
    assert "\x1b" not in ran.output
    as_json = json.loads(run(fleet, "fleet", "--json").output)
    assert len(as_json["kiosks"]) == 200


def test_what_was_sent_and_isnt_there_yet_is_outdated(fleet):
    list_doors(fleet.folder, ["k1", "k2"])
    assert [run(fleet, "send", "trust").exit_code for _ in range(2)] == [0, 0]
    release = Release(1, ISSUED, "0.2.1", "arm64", 1, "0" * 64)
    message = Message(topics.update("arm64"), signed_list.sign(release, ours(fleet)))
    newest = signed_list.read_file(fleet.folder.trust_list, TrustList, public(fleet)).version
    said = [
        told(1, trust_version=newest - 1, version="0.2.1"),
        told(2, trust_version=newest, version="0.2.0"),
    ]
    at_broker(fleet, "vaora-fleet", [message, *said])
    rows = json.loads(run(fleet, "fleet", "--json").output)["kiosks"]
    assert [(row["kiosk"], row["condition"], row["outdated"]) for row in rows] == [
        ("k1", "outdated", ["trust"]), ("k2", "outdated", ["version"]),
    ]  # fmt: skip


def test_a_state_that_was_cleared_is_nobodys(fleet):
    seen = Seen(fleet.folder, set(), as_json=True)
    message = told(1)
    seen.hear({message.topic: message.body, "vaora/v1/claim/k1/request": b"", "x": b""})
    assert list(seen.states) == [Address("0100123", "k1")]
    seen.hear({message.topic: b"", "x": b"{}"})
    assert seen.states == {}


def test_who_watches_waits_for_a_broker_that_was_there(fleet, monkeypatch):
    from provisioning.commands import fleet as command

    list_doors(fleet.folder, ["k1"])
    at_broker(fleet, "vaora-fleet", [told(1)])
    stopped, drawn = threading.Event(), []
    monkeypatch.setattr(command, "stop_signals", lambda: stopped)
    monkeypatch.setattr(command, "AGAIN_S", 0.1)

    def follow(*_):
        drawn.append(1)
        if len(drawn) == 1:
            raise BrokerError("the connection is gone")
        stopped.set()

    monkeypatch.setattr(command, "_follow", follow)
    ran = run(fleet, "fleet", "--watch")
    assert (ran.exit_code, len(drawn)) == (0, 2)
    assert "the connection is gone" in ran.stderr


def test_a_table_that_is_watched_changes_with_the_fleet(fleet, monkeypatch):
    from provisioning.commands import fleet as command

    list_doors(fleet.folder, ["k1"])
    at_broker(fleet, "vaora-fleet", [told(1, trust_version=1)])
    stopped, drawn = threading.Event(), []
    monkeypatch.setattr(command, "stop_signals", lambda: stopped)
    monkeypatch.setattr(command, "REDRAW_S", 0.1)

    def show(found, **_):
        (row,) = found
        drawn.append((row.online, row.trust_version))
        if len(drawn) == 1:
            will = topics.encode(State(online=False))
            at_broker(fleet, "vaora-fleet", [Message(Address("0100123", "k1").state, will)])
        if not row.online:
            stopped.set()

    monkeypatch.setattr(command, "_show", show)
    ran = run(fleet, "fleet", "--watch")
    assert ran.exit_code == 0
    assert (drawn[0], drawn[-1]) == ((True, 1), (False, 1))
