"""The parsers that the wire, the settings and the camera reach, each as a function of any bytes.

A target takes bytes and may raise nothing: what its parser documents is caught here, and all else
is a finding. Where what was read goes on at once (a receipt to the sender, a reading to a report),
the target goes on with it too, for a value that nobody can use is no value.

Signatures are made here around the fuzzer's bytes, with keys that are the same each time: behind
a signature lies most of what there is to read, and no fuzzer guesses one.
"""

import contextlib
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from checkin import claim, cose, event, health, identity, passes, settings, signed_list
from checkin.claim import ClaimError, Token
from checkin.cose import CoseError, SigningKey
from checkin.event import EventError
from checkin.health import KioskHealth, SyncHealth
from checkin.identity import IdentityError
from checkin.settings import SettingsError
from checkin.signed_list import (
    CardKey,
    Revocations,
    SignedListError,
    SignedSettings,
    Signer,
    TrustList,
)
from kiosk.logic import credentials
from kiosk.logic.credentials import shc
from kiosk.logic.credentials.foreign import Foreign
from kiosk.logic.credentials.here import Here, ShcKey, Trust
from kiosk.logic.payload import LONGEST_PAYLOAD_BYTES, Unreadable, as_text
from kiosk.trusted import trust_from
from sync_daemon import claiming, topics
from sync_daemon.claiming import Certified, Refused
from sync_daemon.protocol import Receiver, Sender, Terms
from sync_daemon.topics import Address, MessageError
from tests import made_up, signed
from tests.fuzz import planted

# The longest input that the time below is promised for: an event's own limit. A QR code holds at
# most 2,953 bytes.
LONGEST_INPUT_BYTES = 16_384

# A frame every 33 ms, and one payload in it: more than this is seen at the door.
MOST_CPU_S = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: `run` takes any bytes and raises nothing; `seeds` are what it should take."""

    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes] = field(default=())
    longest_bytes: int = LONGEST_INPUT_BYTES


def took_s(target, data):
    """Seconds of this thread's CPU for `data`: the best of three where the first was too long."""
    best = MOST_CPU_S * 1_000
    for _ in range(3):
        begin = time.thread_time()
        target.run(data)
        best = min(best, time.thread_time() - begin)
        if best <= MOST_CPU_S:
            break
    return best


# Codes in one frame, and then some: a card has at most nine parts.
MOST_CODES = 32

# What a payload of base45 has room for beside a pass's signature and headers.
LONGEST_IN_PASS_BYTES = 2_750


# ── keys, the same in every process: what one finds, another can repeat ──────────────────────────

HERE_CP = Address("cp", "k1")
EC_KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
CARD_KEY = ec.derive_private_key(0xCAFE, ec.SECP256R1())
DESK = SigningKey(bytes(range(32)))
AUTHORITY = SigningKey(bytes(range(1, 33)))
# Nobody has its private half: verifying costs the same.
RSA_KEY = rsa.RSAPublicNumbers(65537, (1 << 2047) + 1).public_key()
CERTIFICATE = signed.certificate(EC_KEY)
TRUST = Trust(
    signers={signed.KID: (CERTIFICATE,)},
    shc_keys=(ShcKey("made-up", *signed.point(CARD_KEY)),),
    pass_keys={DESK.kid: DESK.public},
    revoked=frozenset({"00" * 8}),
)
HERE = Here(signed.AT, trust=TRUST)


def pass_(**changes):
    told = {
        "kind": "visitor",
        "pass_id": b"12345678",
        "holder": "Nguyễn Văn Mẫu",
        "not_before": signed.AT.replace(year=2025),
        "expires": signed.AT.replace(year=2027),
        "checkpoints": ("cp", "cổng 2"),
    }
    return passes.issue(DESK, **(told | changes))


def card(content, header=b'{"alg":"ES256","zip":"DEF","kid":"made-up"}'):
    """A health card's digits around `content`, whatever it is."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush()
    message = f"{signed.b64u(header)}.{signed.b64u(packed)}"
    token = f"{message}.{signed.b64u(signed.raw_ecdsa(CARD_KEY, message.encode()))}"
    return "shc:/" + "".join(f"{ord(character) - 45:02}" for character in token)


def patient(**changes):
    who = {"resourceType": "Patient", "name": [{"family": "Mẫu", "given": ["Văn"]}]} | changes
    bundle = {"entry": [{"resource": who | {"birthDate": "1990-01-02"}}]}
    told = {"iss": "https://issuer.example", "nbf": 1, "exp": 1.5e10}
    return json.dumps({**told, "vc": {"credentialSubject": {"fhirBundle": bundle}}}).encode()


CARD_TOKEN = Token(bytes(range(16)))
ASKED = claim.claim(
    CARD_TOKEN, kiosk="k1", checkpoint="cp", nonce="ab" * 16,
    request=identity.request(identity.new_key(), "k1").decode(),
)  # fmt: skip


# ── the wire ─────────────────────────────────────────────────────────────────────────────────────


def decode(data):
    try:
        checkin = event.decode(data)
        again = event.encode(checkin)
        assert len(again) > event.LONGEST_EVENT_BYTES or event.decode(again) == checkin
        if checkin.data.sealed is not None:
            event.sealed_bytes(checkin.data.sealed)
    except EventError:
        pass


def decode_batch(data):
    try:
        checkins = event.decode_batch(data)
    except EventError:
        return
    # The quick look at all of them takes nothing that the look at each would refuse.
    for checkin in checkins:
        event._check(checkin)


def open_person(data):
    try:
        person = event.open_person(data)
    except EventError:
        return
    assert all(isinstance(text, str) for pair in person.items() for text in pair)


def read_receipt(data):
    try:
        receipt = topics.read_receipt(data)
    except MessageError:
        return
    assert topics.read_receipt(topics.encode(receipt)) == receipt
    sender = Sender("ob", 3, Terms(), jitter=lambda: 0.5)
    sender.actions(0.0)
    sender.connected(10, 0.0)
    sender.receipt(receipt, 1.0)
    sender.wanted(2.0)


def read_answer(data):
    """An answer goes on to be judged; one without a proof is taken by nobody."""
    verdict = claiming.judge(data, ASKED, CARD_TOKEN)
    assert not isinstance(verdict, Certified)
    assert not (isinstance(verdict, Refused) and verdict.proven)
    claiming.judge_renewal(data, ASKED.nonce)


def read_claim(data):
    for read_ in (claim.read_claim, claim.read_renewal):
        with contextlib.suppress(ClaimError):
            shown = read_(data)
            with contextlib.suppress(IdentityError):
                identity.requested_key(shown.request.encode())
            assert read_(claim.encode(shown)) == shown


def read_state(data):
    try:
        state = topics.read_state(data)
    except MessageError:
        return
    receiver = Receiver()
    receiver.state(HERE_CP, state)
    for _, receipt in receiver.receipts():
        topics.read_receipt(topics.encode(receipt))


def address(data):
    topic = data.decode("utf-8", "replace")
    try:
        found, leaf = topics.address(topic)
    except MessageError:
        return
    assert found.topic(leaf) == topic


def receive(data):
    receiver = Receiver()
    delivery = receiver.receive(HERE_CP, data)
    for run in delivery.runs:
        bodies = run.split()
        assert len(bodies) == run.count
        for seq, body in enumerate(bodies, run.first):
            assert event.decode(body).seq == seq  # the central reads them so, when somebody asks
    receiver.kept(delivery)
    for _, receipt in receiver.receipts():
        topics.read_receipt(topics.encode(receipt))  # the kiosk has to be able to read it


# ── the settings and other files ─────────────────────────────────────────────────────────────────


def parse(data):
    try:
        read = settings.parse(data.decode("utf-8", "replace"))
    except SettingsError as error:
        assert str(error).startswith("kiosk.toml: ")
        return
    assert settings.parse(settings.as_toml(read)) == read


def read_health(data):
    with tempfile.NamedTemporaryFile(prefix="vaora-fuzz-", buffering=0) as file:
        file.write(data)
        for kind in (KioskHealth, SyncHealth):
            health.read(Path(file.name), kind, boot=made_up.BOOT, tick=101.0)


def read_list(data):
    for kind in (TrustList, Revocations, SignedSettings):
        with contextlib.suppress(SignedListError):
            signed_list.read(data, kind, AUTHORITY.public)


def read_document(data):
    """A list whose signature is right, around anything: an authority errs too."""
    raw = AUTHORITY.sign(data)
    for kind in (Revocations, SignedSettings):
        with contextlib.suppress(SignedListError):
            signed_list.read(raw, kind, AUTHORITY.public)
    try:
        lists = signed_list.read(raw, TrustList, AUTHORITY.public)
    except SignedListError:
        return
    trust = trust_from(lists)
    here = Here(signed.AT, trust=trust)
    for text in (HC1, SHC, PASS):
        credentials.read(text.encode(), here)


def public_key(data):
    with contextlib.suppress(SignedListError):
        assert len(signed_list.public_key(data.decode("utf-8", "replace"))) == cose.ED25519_BYTES


# ── the camera ───────────────────────────────────────────────────────────────────────────────────


def text_of(data):
    found = as_text(data)
    assert isinstance(found, str | Unreadable)


def shown(found):
    """What the door and the reports do with what was read."""
    assert isinstance(found, credentials.Credential | Foreign)
    json.dumps(found.reading())
    repr(found)
    if isinstance(found, Foreign):
        assert found.hint
        assert found.reason
    else:
        assert found.identity
        person = found.person()
        assert event.open_person(msgspec.json.encode(person)) == person


def read(data):
    shown(credentials.read(data, HERE))


def read_parts(data):
    parts = data.split(b"\0", maxsplit=MOST_CODES)
    shown(credentials.read_parts(parts, HERE))
    seen = shc.Parts()
    for tick, part in enumerate(parts):
        seen.add(part.decode("utf-8", "replace"), float(tick))


def hc1_token(data):
    """A vaccine pass of any bytes in its wrapping."""
    read(("HC1:" + cose.to_base45(zlib.compress(data))).encode())


def hc1_claims(data):
    """A vaccine pass, rightly signed, of any claims."""
    token = signed.sign1(data, EC_KEY)
    read(("HC1:" + cose.to_base45(zlib.compress(token))).encode())


def shc_header(data):
    read(card(patient(), header=data).encode())


def shc_claims(data):
    read(card(data).encode())


def pass_claims(data):
    read((passes.PREFIX + cose.to_base45(DESK.sign(data))).encode())


# ── what the formats share ───────────────────────────────────────────────────────────────────────


def cose_token(data):
    try:
        token = cose.take_apart(data)
    except CoseError:
        return
    for key in (EC_KEY.public_key(), RSA_KEY, cose.ed25519_key(AUTHORITY.public)):
        assert cose.is_signed_by(token, key) in {True, False}
    assert isinstance(token.kid, bytes)


def cbor(data):
    try:
        found = cose.from_cbor(data)
    except CoseError:
        return
    repr(found)
    cose.seconds(found)


def inflate(data):
    for raw in (False, True):
        with contextlib.suppress(CoseError):
            assert len(cose.inflate(data, raw=raw)) <= cose.LONGEST_TOKEN_BYTES


def letters(data):
    text = data.decode("utf-8", "replace")
    for reader in (cose.from_base45, cose.from_base64):
        with contextlib.suppress(CoseError):
            assert isinstance(reader(text), bytes)


def certificate(data):
    try:
        read_certificate = cose.certificate(data)
    except CoseError:
        pass
    else:
        token = cose.Signed(b"", {1: -7}, {}, b"", data)
        cose.is_signed_by(token, read_certificate.key)
    for reader in (cose.ed25519_key, lambda raw: cose.p256_key(raw[:32], raw[32:])):
        with contextlib.suppress(CoseError):
            reader(data)
    cose.is_es256_signed(data[:32], data[32:64], b"message", data[64:])


# ── seeds and words ──────────────────────────────────────────────────────────────────────────────

HC1 = signed.hc1(EC_KEY)
SHC = card(patient())
PASS = pass_()
SHC_PARTS = [f"shc:/{n}/2/{part}".encode() for n, part in ((1, SHC[5:99]), (2, SHC[99:]))]
CCCD_2024 = made_up.CARD + "|Nguyễn Văn A|Trần Thị B||"
BHYT = (
    f"DN4010099999901|{'Nguyễn Văn Mẫu'.encode().hex()}|02/01/1990|1|{'Lào Cai'.encode().hex()}"
    "|10 - 001|01/01/2026|-|01/01/2026|01000000000000|-|4|01/01/2030|0123456789abcdef-7102|$"
)
QRQG = "0100******01|NGUYEN VAN MAU|1990-**-**|0|123456789|<1<DN4010099999901<0900000000<"
VCARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Mẫu;Văn\r\nFN:Văn\r\n  Mẫu\r\nTEL;x=y:1\r\nEND:VCARD"
DECLARATION = "https://kbytcq.khambenh.gov.vn/#tokhai_yte/view?id=0a1b2c3d-0000"
CODES = [
    made_up.CARD, CCCD_2024, BHYT, QRQG, VCARD,
    "MECARD:N:Mẫu,Văn;TEL:1;ORG:A\\;B;;", HC1, SHC, PASS,
    signed.hc1(EC_KEY, protected=b"", unprotected={1: -7, 4: signed.KID}, tag=None), DECLARATION,
    "https://khambenh.gov.vn/model?dd_id=1", "VISITOR:K7-2026.a_b", "000201010212", "https://a.vn",
]  # fmt: skip
CODE_SEEDS = [code.encode() for code in CODES]
CODE_TOKENS = [
    b"HC1:", b"HC1:6BF", b"shc:/", b"shc:/1/2/", b"VP1:", b"BEGIN:VCARD", b"MECARD:N:", b"VISITOR:",
    b"https://kbytcq.khambenh.gov.vn/", b"?id=", b"|", b"|Nam|", "|Nữ|".encode(), b"|||||||",
    b"||4|", b"<", b"\\;", b"\r\n ", b"\n\t", b"000201", b"\0", "ẫ".encode(),
    "e\u0302\u0301".encode(),
    "\u0660".encode(), "\u2028".encode(), b"\xef\xbf\xbd", b"0000-**-**", b"00/00/0000", b"-", b"$",
]  # fmt: skip
JSON_TOKENS = [
    b"{", b"[", b'[{"', b'{"', b'":', b'":{"', b'":[', b'"', b",", b"}", b"]", b"null", b"true",
    b"false", b"0", b"-1", b"1e309", b"-0.0", b"9223372036854775808", b"4611686018427387904",
    b"4611686018427387905", b"1" * 400, b"1.7976931348623157e308", b"5e-324", b"\\ud800",
    b"\\u0000", b"\\", b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59Z"', b"-23:59",
    b"+00:00", b"\xff", b"0000000000000000001", b"9223372036854775807", "ẫ".encode(), b"\n", b"\0",
]  # fmt: skip
EVENT_TOKENS = [
    f'"{name}":'.encode()
    for kind in (event.CheckIn, event.Data, event.Shown, event.Sealed, event.Believed)
    for name in kind.__struct_fields__
] + [event.TYPE.encode(), event.REFUSAL.encode(), b'"in"', b'"out"', b'"mounting"', b'"1.0"']
CBOR_TOKENS = [
    # Tags: of COSE and CWT, numbers of any size, fractions, patterns, sets, shared values.
    b"\xd2", b"\xd8\x3d", b"\xc2", b"\xc4", b"\xc5", b"\xd8\x1c", b"\xd8\x1d\x00", b"\xd9\x01\x0c",
    b"\xd8\x23\x81\x28",
    # Lists, maps and texts: empty, short, without an end, and longer than all there is.
    b"\x80", b"\x81", b"\x84", b"\x9f", b"\xa0", b"\xa1", b"\xbf", b"\xff", b"\x40", b"\x5f",
    b"\x60", b"\x7f", b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8, b"\x5b" + b"\xff" * 8,
    b"\x7b" + b"\xff" * 8,
    # False, none, undefined, not a number, endless, the largest and the smallest number.
    b"\xf4", b"\xf6", b"\xf7", b"\xf9\x7e\x00", b"\xfb\x7f\xf0" + bytes(6), b"\x1b" + b"\xff" * 8,
    b"\x3b" + b"\xff" * 8,
    # Headers and claims.
    b"\xa1\x01\x26", b"\xa1\x01\x38\x24", b"\xa1\x01\x27", b"\x39\x01\x03", b"\x1a\x00\x01\x00\x00",
]  # fmt: skip
TOML_TOKENS = [
    b"[", b"[[", b"]]\n", b"]\n", b" = ", b".", b'"', b"'''", b'"""', b"{", b"}", b"#", b"\n",
    b"\r", b"\0", b"nan", b"-inf", b"1e400", b"0x", b"0o7", b"1_0", b"1979-05-27T07:32:00Z",
    b"07:32:00", b"true", b"1" * 400, b"a.a.a.a.", b"a={", b"\\ud800", b"\\U0010ffff",
    b"\xef\xbb\xbf",
] + [
    f"{name}\n".encode()
    for section, kind in settings.section_types()
    for name in (f"[{section}]", *(f"{key} = " for key in kind.__struct_fields__))
]  # fmt: skip
LISTS = [
    TrustList(
        version=2,
        issued="2026-11-22T00:00:00Z",
        signers=[Signer(signed.b64u(signed.KID), signed.b64u(CERTIFICATE))],
        card_keys=[CardKey("made-up", *map(signed.b64u, signed.point(CARD_KEY)))],
        pass_keys=[signed.b64u(DESK.public)],
    ),
    Revocations(version=1, issued="2026-11-22T00:00:00Z", passes=["00" * 8]),
    SignedSettings(version=3, issued="2026-11-22T00:00:00Z", seal="QUJD"),
]
TOKEN = signed.sign1(cbor2.dumps(signed.claims()), EC_KEY)
PASS_CLAIMS = cose.take_apart(cose.from_base45(PASS.removeprefix("VP1:"))).payload
STATES = [
    topics.State(online=False),
    topics.State(
        online=True,
        version="0.1.0",
        faults=["camera"],
        temperature_c=51.5,
        outbox=topics.OutboxState("ob", 9, 5, 4, "2026-11-22T00:00:00Z", 0, [(6, 7)]),
        anchors=[topics.Anchor(made_up.BOOT, 1.5, made_up.NOON, 0.4)],
    ),
]
RECEIPTS = [
    topics.Receipt("ob", 5),
    topics.Receipt("ob", 9, refused=[topics.Refusal(7, "no")], again=[(1, 2), (4, 4)]),
]
SEALED = event.Sealed("k", "QUJD")
BODIES = [
    made_up.body(1),
    made_up.body(2, person=None, sealed=SEALED),
    event.encode(
        msgspec.structs.replace(
            made_up.check_in(3, person=None, refused="expired"), type=event.REFUSAL
        )
    ),
]


def batch(*bodies):
    return b"[" + b",".join(bodies) + b"]"


# Behind the first gap there is all there can be.
LAST_SEQ = BODIES[0].replace(b'"0000000000000000001"', b'"4611686018427387904"')
SEALED_RUN = batch(*(made_up.body(seq, person=None, sealed=SEALED) for seq in (4, 5, 6)))
BATCHES = [
    batch(), batch(*BODIES), SEALED_RUN, batch(BODIES[0], b"{}", BODIES[2]),
    batch(b'{"outbox":"ob","sequence":"1"}', b"0"), batch(LAST_SEQ),
]  # fmt: skip
HEALTHS = [
    msgspec.json.encode(KioskHealth(made_up.BOOT, 100.0, "ok", 29.9, ["camera"], 1.5, None)),
    msgspec.json.encode(SyncHealth(made_up.BOOT, 100.0, "online", 99.0)),
]
SETTINGS = [
    settings.as_toml(settings.Settings()),
    '[camera]\nsource = "replay"\npath = "a"\n[panel]\nlamp_pin = 5\n',
    "seal = 'off'\n[door]\nhold_off_s = 3.5\n[policy]\naccept = ['pass', \"cccd\"]\n",
]

TARGETS = {
    "event.decode": Target(decode, BODIES, [*JSON_TOKENS, *EVENT_TOKENS]),
    "event.decode_batch": Target(decode_batch, BATCHES, [*JSON_TOKENS, *EVENT_TOKENS]),
    "event.open_person": Target(open_person, [b'{"name":"M\xe1\xba\xabu"}', b"{}"], JSON_TOKENS),
    "topics.read_receipt": Target(
        read_receipt,
        list(map(topics.encode, RECEIPTS)),
        [*JSON_TOKENS, b'"outbox":"ob"', b'"through":', b'"refused":[', b'"again":[[', b'"seq":'],
    ),
    "topics.read_state": Target(
        read_state,
        list(map(topics.encode, STATES)),
        [*JSON_TOKENS, b'"outbox":{"id":', b'"gone":[[', b'"anchors":[{', b'"confirmed":'],
    ),
    "claiming.judge": Target(
        read_answer,
        [
            claim.encode(claim.answer(ASKED, Token(bytes(16)), certificate="x", refused=one))
            for one in ("", "used")
        ],
        [*JSON_TOKENS, b'"nonce":', b'"certificate":', b'"refused":"', b'"proof":"'],
    ),
    "claim.read_claim": Target(
        read_claim, [claim.encode(ASKED)], [*JSON_TOKENS, b'"request":', b'"nonce":"', b'"kiosk":']
    ),
    "topics.address": Target(
        address,
        [HERE_CP.checkins.encode(), HERE_CP.state.encode(), b"vaora/v1/+/+/receipt"],
        [b"/", b"vaora/v1/", b"+", b"#", b"\0", b"$SYS/"],
    ),
    "protocol.receive": Target(
        receive, BATCHES, [*JSON_TOKENS, *EVENT_TOKENS, b"},{", b"0,0,", b"9" * 18]
    ),
    "settings.parse": Target(parse, [text.encode() for text in SETTINGS], TOML_TOKENS),
    "health.read": Target(read_health, HEALTHS, [*JSON_TOKENS, b'"boot":', b'"tick":', b'"x":']),
    "signed_list.read": Target(
        read_list, [signed_list.sign(one, AUTHORITY) for one in LISTS], CBOR_TOKENS
    ),
    "signed_list.document": Target(
        read_document,
        list(map(msgspec.json.encode, LISTS)),
        [*JSON_TOKENS, b'"signers":[', b'"card_keys":[{', b'"pass_keys":[', b'"vaora-trust"'],
    ),
    "signed_list.public_key": Target(
        public_key, [signed.b64u(AUTHORITY.public).encode()], [b"=", b"-", b"_", b" ", b"\n"]
    ),
    "payload.as_text": Target(text_of, CODE_SEEDS, CODE_TOKENS, LONGEST_PAYLOAD_BYTES),
    "credentials.read": Target(read, CODE_SEEDS, CODE_TOKENS, LONGEST_PAYLOAD_BYTES),
    "credentials.read_parts": Target(
        read_parts, [b"\0".join(SHC_PARTS), b"\0".join(CODE_SEEDS[:3])], CODE_TOKENS
    ),
    "hc1.token": Target(hc1_token, [TOKEN, TOKEN[1:], b"\xd8\x3d" + TOKEN], CBOR_TOKENS),
    "hc1.claims": Target(hc1_claims, [cbor2.dumps(signed.claims())], CBOR_TOKENS),
    "shc.header": Target(
        shc_header, [b'{"alg":"ES256","zip":"DEF","kid":"made-up"}', b"{}"], JSON_TOKENS
    ),
    "shc.claims": Target(
        shc_claims,
        [patient(), patient(name=[{"text": "Mẫu"}]), b"{}"],
        [*JSON_TOKENS, b'"exp":', b'"vc":{"credentialSubject":{"fhirBundle":{"entry":['],
    ),
    "pass.claims": Target(pass_claims, [PASS_CLAIMS], CBOR_TOKENS, LONGEST_IN_PASS_BYTES),
    "cose.take_apart": Target(cose_token, [TOKEN, AUTHORITY.sign(b"{}"), TOKEN[1:]], CBOR_TOKENS),
    "cose.from_cbor": Target(cbor, [cbor2.dumps(signed.claims()), PASS_CLAIMS], CBOR_TOKENS),
    "cose.inflate": Target(
        inflate, [zlib.compress(TOKEN), zlib.compress(bytes(100_000))], [b"\x78\x9c", b"\x78\xda"]
    ),
    "cose.letters": Target(
        letters,
        [HC1.removeprefix("HC1:").encode(), signed.b64u(TOKEN).encode()],
        [b"=", b"==", b"\n", b" ", b":::", b"GGW", "ẫ".encode()],
    ),
    "cose.certificate": Target(
        certificate, [CERTIFICATE, b"".join(signed.point(CARD_KEY)) + bytes(64)], [b"\x30\x82"]
    ),
}

PLANTED = {
    # Neither the seed nor a word says anything of what it takes to crash: branches lead there.
    "planted.crashes": Target(planted.crashes, [b"a seed"]),
    **{
        f"planted.{function.__name__}": Target(function, [b"VR1:"], [b"|boom|"])
        for function in (planted.hangs, planted.dawdles, planted.swells)
    },
}


# ── variants ─────────────────────────────────────────────────────────────────────────────────────


def _flip(data, _target, chance):
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _cut(data, _target, chance):
    return data[: chance.randrange(len(data) + 1)]


def _leave_out(data, _target, chance):
    begin, end = _stretch(data, chance)
    return data[:begin] + data[end:]


def _repeat(data, _target, chance):
    begin, end = _stretch(data, chance)
    return data[:begin] + data[begin:end] * chance.choice([2, 3, 17, 200]) + data[end:]


def _splice(data, target, chance):
    other = chance.choice(target.seeds)
    (begin, end), at = _stretch(other, chance), chance.randrange(len(data) + 1)
    return data[:at] + other[begin:end] + data[at + chance.choice([0, end - begin]) :]


def _word(data, target, chance):
    word, at = chance.choice(target.tokens or target.seeds), chance.randrange(len(data) + 1)
    return data[:at] + word + data[at + chance.choice([0, len(word)]) :]


def _nest(data, target, chance):
    word, at = chance.choice(target.tokens or target.seeds), chance.randrange(len(data) + 1)
    return data[:at] + word * chance.choice([2, 20, 500, 5_000]) + data[at:]


def _stretch(data, chance):
    begin, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return begin, end


_STEPS = (_flip, _cut, _leave_out, _repeat, _splice, _word, _word, _nest)


def mutated(data, target, chance: Random):
    """A variant of `data`, one to four steps away from it."""
    for _ in range(chance.randrange(1, 5)):
        data = chance.choice(_STEPS)(data, target, chance)[: target.longest_bytes]
    return data


def stretched(target):
    """Each word as often as there is room for it: alone, and inside what is right."""
    for word in [*target.tokens, b"[", b"{", b"\xff", b"\0", b"9", b" "]:
        yield (word * target.longest_bytes)[: target.longest_bytes]
        for seed in target.seeds:
            room = max(0, target.longest_bytes - len(seed)) // len(word)
            for at in (1, len(seed) // 2, len(seed)):
                yield seed[:at] + word * room + seed[at:]
