"""The vaccine pass: five outcomes, and every way in which authorities wrote it."""

import zlib
from datetime import timedelta
from time import thread_time

import cbor2
import pytest

from checkin import cose
from kiosk.logic import credentials
from kiosk.logic.credentials.hc1 import MOST_TRIED
from kiosk.logic.credentials.here import Here, Trust
from tests.signed import AT, KID, certificate, claims, ec_key, hc1, rsa_key, sign1

TRUST = Trust(signers={KID: (certificate(ec_key()),)})


def read(text, trust=TRUST, at=AT, **here):
    return credentials.read(text.encode(), Here(at, trust=trust, **here))


def outcome(text, trust=TRUST, at=AT):
    found = read(text, trust, at)
    return (found.verified, found.reason)


def test_the_five_outcomes():
    assert outcome(hc1()) == (True, None)
    over = claims(claims={4: int(AT.timestamp()) - 3600})
    assert outcome(hc1(content=over)) == (False, "expired")
    assert outcome(hc1(), Trust()) == (False, "unknown-signer")
    assert outcome(hc1(ec_key(1))) == (False, "bad-signature")
    assert read("HC1:NO~").error == "base45"


def test_a_pass_whose_signer_has_expired_is_expired():
    old = Trust(signers={KID: (certificate(ec_key(), AT - timedelta(days=1)),)})
    assert outcome(hc1(), old) == (False, "expired")


def test_a_forgery_says_nobodys_name_and_an_expired_pass_does():
    assert read(hc1(ec_key(1))).holder == ""
    assert read(hc1(), at=AT + timedelta(days=300)).holder == "NGUYỄN VĂN MẪU"


def test_viet_nams_own_is_ps256():
    trust = Trust(signers={KID: (certificate(rsa_key()),)})
    found = read(hc1(rsa_key()), trust)
    assert (found.alg, found.verified) == ("PS256", True)


def test_every_certificate_of_a_key_id_is_tried():
    both = Trust(signers={KID: (certificate(ec_key(1)), b"rubbish", certificate(ec_key()))})
    assert outcome(hc1(), both) == (True, None)


NOW = int(AT.timestamp())
PACKED = {-260: {1: cbor2.dumps(claims()[-260][1])}}
QUIRKS = {
    "key id only unprotected": {"protected": {1: -7}, "unprotected": {4: KID}},
    "key id empty in the protected header": {
        "protected": {1: -7, 4: b""},
        "unprotected": {4: KID},
    },
    "key id empty, and none elsewhere": {"protected": {1: -7, 4: b""}},
    "key id in hexadecimal letters": {"protected": {1: -7, 4: KID.hex().upper().encode()}},
    "algorithm only unprotected": {"protected": b"", "unprotected": {1: -7, 4: KID}},
    "no tag": {"tag": None},
    "content type in the header": {"protected": {1: -7, 4: KID, 3: 61}},
    "floating dates": {"content": claims(claims={4: NOW + 9.5, 6: NOW - 9.25})},
    "no expiry": {"content": {k: v for k, v in claims().items() if k != 4}},
    "an expiry of this very second": {"content": claims(claims={4: NOW})},
    "issued in the future": {"content": claims(claims={6: NOW + 250_000})},
    "the certificate packed as bytes": {"content": claims(claims=PACKED)},
    "null and empty documents": {
        "content": claims(claims={-260: {1: claims()[-260][1] | {"t": None, "r": []}}})
    },
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_what_authorities_wrote_otherwise_is_verified(quirk):
    assert outcome(hc1(**QUIRKS[quirk])) == (True, None)


def test_a_cwt_tag_around_it():
    inner = cbor2.loads(sign1(cbor2.dumps(claims()), ec_key()))
    wrapped = zlib.compress(cbor2.dumps(cbor2.CBORTag(61, inner)))
    assert outcome("HC1:" + cose.to_base45(wrapped)) == (True, None)


def test_es256_with_a_longer_key():
    trust = Trust(signers={KID: (certificate(ec_key(0, "P-384")),)})
    assert outcome(hc1(ec_key(0, "P-384")), trust) == (True, None)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        # The real key id beside a wrong one that is signed: the signed one counts.
        ({"protected": {1: -7, 4: b"foo"}, "unprotected": {4: KID}}, "unknown-signer"),
        ({"protected": {1: -37, 4: KID}}, "bad-signature"),
        ({"protected": {1: -8, 4: KID}}, "bad-signature"),
        ({"protected": {1: "ES256", 4: KID}}, "bad-signature"),
        ({"protected": {4: KID}}, "bad-signature"),
        ({"signature": b""}, "bad-signature"),
        ({"signature": bytes(64)}, "bad-signature"),
        ({"signature": bytes(4000)}, "bad-signature"),
    ],
)
def test_what_must_not_be_verified_is_not(how, reason):
    assert outcome(hc1(**how)) == (False, reason)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "zlib"),
        (b"\xd2\x84", "zlib"),  # not packed at all
        (b"\x78\x9cgarbage", "zlib"),
        (zlib.compress(b"")[:-1], "zlib"),
        (zlib.compress(bytes(40_000)), "too-long"),
        (zlib.compress(b"\xff"), "cbor"),
        (zlib.compress(b"\x01"), "cose"),
        (zlib.compress(b"\x9f" * 20_000), "cbor"),  # arrays in arrays in arrays
        (zlib.compress(b"\x81" * 20_000), "cbor"),
        (zlib.compress(cbor2.dumps([b"", {}, b"", b""])), "cbor"),
        (zlib.compress(sign1(cbor2.dumps([1]), ec_key())), "no-certificate"),
        (zlib.compress(sign1(cbor2.dumps({-260: {1: 7}}), ec_key())), "no-certificate"),
        (zlib.compress(sign1(b"\x00\x00", ec_key())), "cbor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "raw",  # some are signed by chance
)
def test_what_cant_be_read_says_which_step_failed(raw, error):
    assert read("HC1:" + cose.to_base45(raw)).error == error


TAGGED = (
    cbor2.CBORTag(0, "0001-01-01T00:00:00+23:59"),
    cbor2.CBORTag(4, [10**9, 1]),
    cbor2.CBORTag(5, [10**9, 3]),
    cbor2.CBORTag(35, "(a+)+$"),
    cbor2.CBORTag(258, [[1]]),
    cbor2.CBORTag(29, 7),
)


@pytest.mark.parametrize("value", TAGGED, ids=lambda value: f"tag {value.tag}")
def test_a_tag_builds_nothing(value):
    found = read(hc1(content=claims(claims={1: value})))
    assert found.verified
    assert found.country == (value.value if isinstance(value.value, str) else "")


@pytest.mark.parametrize("exp", ["soon", -1, float("nan"), 10**13, None])
def test_an_expiry_that_cant_be_read_is_over(exp):
    assert outcome(hc1(content=claims(claims={4: exp}))) == (False, "expired")


def test_a_pass_that_nobody_signed_is_not_its_original():
    forged = read(hc1(), Trust())
    assert forged.identity == read(hc1()).identity  # as it says; the station tells them apart


def test_a_pass_without_an_id_is_known_by_what_was_signed():
    bare = claims()
    bare[-260][1].pop("v")
    one = hc1(content=bare)
    raw = zlib.decompress(cose.from_base45(one[4:]))
    other = "HC1:" + cose.to_base45(zlib.compress(raw, 1))
    assert one != other
    assert read(one).identity == read(other).identity


def test_ten_thousand_signers_with_one_key_id_take_no_longer_than_a_few():
    other = certificate(ec_key(1))
    many = Trust(signers={KID: (other,) * 10_000})
    read(hc1(), many)
    began = thread_time()
    assert outcome(hc1(), many) == (False, "bad-signature")
    assert thread_time() - began < 0.05
    assert MOST_TRIED < 100


def test_two_documents_of_one_person_are_two_and_the_same_twice_is_one():
    one, again = read(hc1()), read(hc1())
    assert one.identity == again.identity == "URN:UVCI:01:VN:1"
    assert one.person() == {"name": "NGUYỄN VĂN MẪU", "dob": "1990-01-02"}
    assert "NGUYỄN" not in repr(one)
