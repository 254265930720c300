"""The signed lists, as files."""

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from checkin import signed_list
from checkin.cose import SigningKey
from checkin.signed_list import CardKey, Revocations, SignedListError, Signer, TrustList
from kiosk.trusted import Trusted, trust_from
from tests.signed import KID, certificate, ec_key, point

AUTHORITY = SigningKey(bytes(32))
DESK = SigningKey(bytes(range(32)))
ISSUED = "2026-11-20T00:00:00+00:00"
AT = datetime(2026, 11, 22, tzinfo=UTC)


def b64(raw):
    return b64encode(raw).decode()


def a_list(version=1, **changes):
    x, y = point(ec_key())
    told = {
        "signers": [Signer(b64(KID), b64(certificate(ec_key()))), Signer("?", "?")],
        "card_keys": [CardKey("k", b64(x), b64(y), "https://i.example"), CardKey("k", "?", "?")],
        "pass_keys": [b64(DESK.public), "short"],
    }
    return TrustList(version, ISSUED, **(told | changes))


@pytest.fixture
def trusted(tmp_path):
    return Trusted(b64(AUTHORITY.public), str(tmp_path / "t"), str(tmp_path / "r"))


def put(tmp_path, name, document, key=AUTHORITY):
    file = tmp_path / (name + ".new")
    file.write_bytes(signed_list.sign(document, key))
    file.replace(tmp_path / name)


def test_a_list_is_taken_when_it_is_put_there_and_its_age_shows(trusted, tmp_path):
    assert trusted.refresh() is None
    assert trusted.trouble  # a file that the settings name and nobody put there
    put(tmp_path, "t", a_list())
    put(tmp_path, "r", Revocations(1, ISSUED, ["00" * 8]))
    trust = trusted.refresh()
    assert trust.pass_keys == {DESK.kid: DESK.public}
    assert (list(trust.signers), len(trust.shc_keys)) == ([KID], 1)
    assert trust.revoked == {"00" * 8}
    assert trusted.trouble == ""
    assert trusted.ages(AT).trust_days == trusted.ages(AT).revocations_days == 2.0
    assert trusted.refresh() is None  # nothing changed


@pytest.mark.parametrize(
    ("document", "key", "said"),
    [
        (a_list(), DESK, "not signed by this kiosk's"),
        (Revocations(9, ISSUED, []), AUTHORITY, "belongs there (TrustList)"),
        (TrustList(3, "yesterday"), AUTHORITY, "no date"),
    ],
)
def test_a_list_that_cant_be_used_leaves_the_one_before(trusted, tmp_path, document, key, said):
    put(tmp_path, "t", a_list(2))
    put(tmp_path, "r", Revocations(1, ISSUED, []))
    trusted.refresh()
    put(tmp_path, "t", document, key)
    assert trusted.refresh() is None
    assert said in trusted.trouble
    assert trusted.trust().pass_keys == {DESK.kid: DESK.public}
    put(tmp_path, "t", a_list(3))
    trusted.refresh()
    assert trusted.trouble == ""


def test_an_older_version_is_not_taken(trusted, tmp_path):
    put(tmp_path, "t", a_list(5))
    put(tmp_path, "r", Revocations(1, ISSUED, []))
    trusted.refresh()
    put(tmp_path, "t", a_list(4, pass_keys=[]))
    trusted.refresh()
    assert "older than what is in force (4, 5)" in trusted.trouble
    assert trusted.trust().pass_keys


@pytest.mark.parametrize("raw", [b"", b"\xff", b"rubbish" * 1000, b"\x9f" * 100_000])
def test_a_file_that_is_no_list_says_so(tmp_path, raw):
    file = tmp_path / "list"
    file.write_bytes(raw)
    with pytest.raises(SignedListError, match=r"list: is no signed list"):
        signed_list.read_file(file, TrustList, AUTHORITY.public)


def test_a_file_without_an_end_is_not_read_to_it():
    with pytest.raises(SignedListError, match="longer than"):
        signed_list.read_file(Path("/dev/zero"), TrustList, AUTHORITY.public)


def test_no_files_is_no_trust_and_no_trouble():
    nothing = Trusted("", "", "")
    assert nothing.refresh() is None
    assert nothing.trust().pass_keys == {}
    assert nothing.trouble == ""
    assert nothing.ages(AT).oldest() == 0


def test_an_authority_that_is_no_key_is_said():
    with pytest.raises(SignedListError, match="vaora-pass keygen"):
        Trusted("rubbish", "", "")


def test_entries_that_are_no_keys_are_left_out():
    assert len(trust_from(a_list()).signers) == 1


def test_thousands_of_signers_are_a_list_like_any_other():
    many = a_list(signers=[Signer(b64(KID), b64(certificate(ec_key())))] * 3000)
    raw = signed_list.sign(many, AUTHORITY)
    assert len(signed_list.read(raw, TrustList, AUTHORITY.public).signers) == 3000


def test_another_list_of_the_same_version_is_not_taken(trusted, tmp_path):
    put(tmp_path, "r", Revocations(1, ISSUED, []))
    put(tmp_path, "t", a_list(5))
    trusted.refresh()
    put(tmp_path, "t", a_list(5, pass_keys=[]))
    trusted.refresh()
    assert "and is another (5, 5)" in trusted.trouble
    assert trusted.trust().pass_keys


def test_a_date_beyond_the_calendar_is_none(trusted, tmp_path):
    put(tmp_path, "r", Revocations(1, ISSUED, []))
    put(tmp_path, "t", TrustList(1, "0001-01-01T00:00:00+14:00"))
    trusted.refresh()
    assert "no date" in trusted.trouble


def test_a_file_that_couldnt_be_read_once_is_read_the_next_time(trusted, tmp_path, monkeypatch):
    put(tmp_path, "r", Revocations(1, ISSUED, []))
    put(tmp_path, "t", a_list())

    def denied(*_):
        raise SignedListError("denied") from PermissionError(13, "denied")

    with monkeypatch.context() as while_denied:
        while_denied.setattr(signed_list, "read_file", denied)
        assert trusted.refresh() is None
    assert trusted.refresh().pass_keys
    assert trusted.trouble == ""
