"""Made-up signed tokens: vaccine passes and health cards of nobody, by keys made for the test."""

import base64
import json
import zlib
from datetime import UTC, datetime, timedelta
from functools import cache

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from checkin import cose

AT = datetime(2026, 11, 22, tzinfo=UTC)
KID = b"\x01\x02\x03\x04\x05\x06\x07\x08"


@cache
def ec_key(number=0, curve="P-256"):
    return ec.generate_private_key({"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[curve])


@cache
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def certificate(key, until=AT + timedelta(days=1)):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Made-up signer")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(days=900))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def claims(**changes):
    told = {
        "ver": "1.3.0",
        "nam": {"fn": "NGUYỄN", "gn": "VĂN MẪU", "fnt": "NGUYEN", "gnt": "VAN MAU"},
        "dob": "1990-01-02",
        "v": [{"co": "VN", "ci": "URN:UVCI:01:VN:1"}],
    }
    base = {
        1: "VN",
        4: int((AT + timedelta(days=30)).timestamp()),
        6: int((AT - timedelta(days=30)).timestamp()),
        -260: {1: told},
    }
    return base | changes.pop("claims", {})


def sign1(payload, key, *, protected=None, unprotected=None, tag=18, signature=None):
    """A COSE_Sign1 message around `payload`; `protected` as bytes or as a map."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    headers = {1: -37 if is_rsa else -7, 4: KID} if protected is None else protected
    raw = headers if isinstance(headers, bytes) else cbor2.dumps(headers)
    signed = cbor2.dumps(["Signature1", raw, b"", payload])
    if signature is None:
        signature = pss(key, signed) if is_rsa else raw_ecdsa(key, signed)
    message = [raw, unprotected or {}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(tag, message) if tag else message)


def pss(key, message):
    return key.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def raw_ecdsa(key, message):
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    length = (key.curve.key_size + 7) // 8
    return r.to_bytes(length, "big") + s.to_bytes(length, "big")


def hc1(key=None, content=None, **how):
    payload = cbor2.dumps(claims() if content is None else content)
    return "HC1:" + cose.to_base45(zlib.compress(sign1(payload, key or ec_key(), **how)))


def b64u(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def shc(key=None, **changes):
    """A health card's digits; `header` and `claims` may be changed."""
    key = key or ec_key()
    patient = {
        "resourceType": "Patient",
        "name": [{"family": "Mẫu", "given": ["Nguyễn", "Văn"]}],
        "birthDate": "1990-01-02",
    }
    content = {
        "iss": "https://issuer.example",
        "nbf": 1,
        "vc": {"credentialSubject": {"fhirBundle": {"entry": [{"resource": patient}]}}},
    } | changes.get("claims", {})
    header = {"alg": "ES256", "zip": "DEF", "kid": "made-up"} | changes.get("header", {})
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(json.dumps(content).encode()) + packer.flush()
    message = f"{b64u(json.dumps(header).encode())}.{b64u(packed)}"
    token = f"{message}.{b64u(changes.get('signature') or raw_ecdsa(key, message.encode()))}"
    return "shc:/" + "".join(f"{ord(character) - 45:02}" for character in token)


def point(key):
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
