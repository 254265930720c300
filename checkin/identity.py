"""Keys and certificates (X.509, RFC 5280) by which the devices of a fleet know each other.

P-256 keys: mosquitto, OpenSSL and every library take them, and a Pi makes one in a millisecond.
A client's common name is its name at the broker. With `checkin.cose` this module alone knows
`cryptography`.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clocks of a fleet differ: a certificate is good from this long before it was made.
EARLIER = timedelta(hours=1)

# A request or a certificate with a P-256 key is under 1 kB.
LONGEST_PEM_BYTES = 16_384

# RFC 5280, section 4.1.2.2: at most 20 octets, and positive.
SERIAL_BITS = 152

# RFC 5280, appendix A.1: ub-common-name.
LONGEST_NAME = 64


# What the library says of bytes that are no certificate; of some only when a field is looked at.
_TROUBLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


class IdentityError(ValueError):
    """A key, a request or a certificate can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says."""

    name: str
    serial: int
    begins_at: datetime
    ends_at: datetime

    def renew_from(self) -> datetime:
        """Two thirds of its life: a kiosk has the last third to reach somebody who renews it."""
        return self.begins_at + (self.ends_at - self.begins_at) * 2 / 3


def new_key() -> bytes:
    """A private key: PEM, PKCS #8, not encrypted."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def request(key: bytes, name: str) -> bytes:
    """Ask for a certificate (PKCS #10, RFC 2986): PEM, signed by the key that it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    return builder.sign(_key(key), hashes.SHA256()).public_bytes(Encoding.PEM)


def requested_key(asked: bytes) -> bytes:
    """The public key (DER) in a request that its own key signed. Raises `IdentityError`."""
    return _spki(_requested(asked))


def read(pem: bytes) -> Certificate:
    """The first certificate in `pem`. Raises `IdentityError`."""
    found = _certificate(pem)
    with _in_words("is no certificate in PEM"):
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Certificate(
            name=str(names[0].value) if names else "",
            serial=found.serial_number,
            begins_at=found.not_valid_before_utc,
            ends_at=found.not_valid_after_utc,
        )


def chain(pem: bytes) -> list[bytes]:
    """The certificates in `pem`, in their order, each by itself. Raises `IdentityError`."""
    if len(pem) > LONGEST_PEM_BYTES:
        raise IdentityError("is longer than any certificates of ours")
    with _in_words("is no certificate in PEM"):
        return [one.public_bytes(Encoding.PEM) for one in x509.load_pem_x509_certificates(pem)]


def fits(certificate: bytes, key: bytes) -> bool:
    """Whether `certificate` is for `key`. Raises `IdentityError`."""
    return _spki_of(certificate) == _spki(_key(key).public_key())


def is_for(certificate: bytes, asked: bytes) -> bool:
    """Whether `certificate` is for the key of the request `asked`. Raises `IdentityError`."""
    return _spki_of(certificate) == requested_key(asked)


def is_signed_by(certificate: bytes, authority: bytes) -> bool:
    """Whether `authority` made `certificate`. Raises `IdentityError`."""
    found, by = _certificate(certificate), _certificate(authority)
    try:
        found.verify_directly_issued_by(by)
    except (InvalidSignature, *_TROUBLE):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates. Both parts are PEM."""

    certificate: bytes
    key: bytes

    @classmethod
    def new(cls, name: str, at: datetime, days: int) -> "Authority":
        """One that signs leaves, and no other authorities."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(name), _name(name), key.public_key(), at, days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        made = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return cls(made, _key_pem(key))

    def certify(self, asked: bytes, *, name: str, at: datetime, days: float) -> bytes:
        """A client's certificate, PEM, for the key in the request `asked`.

        It says `name`, whatever the request says. Raises `IdentityError`.
        """
        return self._leaf(asked, name, at, days, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def serve(self, asked: bytes, *, names: Sequence[str], at: datetime, days: float) -> bytes:
        """A server's certificate, PEM: `names` are its DNS names and addresses."""
        return self._leaf(asked, names[0], at, days, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def revocation_list(
        self, serials: Iterable[int], *, number: int, at: datetime, days: int
    ) -> bytes:
        """The list of certificates that don't count any more (RFC 5280, section 5), PEM.

        `number` only rises. OpenSSL refuses everybody once the list is older than `days`.
        """
        issuer = _certificate(self.certificate)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(at - EARLIER)
            .next_update(at + timedelta(days=days))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_key_of(issuer), critical=False)
        )
        for serial in sorted(set(serials)):
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
            builder = builder.add_revoked_certificate(revoked.build())
        return builder.sign(_key(self.key), hashes.SHA256()).public_bytes(Encoding.PEM)

    def _leaf(
        self,
        asked: bytes,
        name: str,
        at: datetime,
        days: float,
        purpose: x509.ObjectIdentifier,
        names: Sequence[str],
    ) -> bytes:
        issuer, public = _certificate(self.certificate), _requested(asked)
        subject = x509.SubjectKeyIdentifier.from_public_key(public)
        builder = (
            _builder(_name(name[:LONGEST_NAME]), issuer.subject, public, at, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(subject, critical=False)
            .add_extension(_key_of(issuer), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(each) for each in names]), critical=False
            )
        return builder.sign(_key(self.key), hashes.SHA256()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    at: datetime,
    days: float,
) -> x509.CertificateBuilder:
    serial = secrets.randbits(SERIAL_BITS) + 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(at - EARLIER)
        .not_valid_after(at + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise IdentityError(f"{name!r} is no common name: 1 to {LONGEST_NAME} letters") from error


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    with _in_words("is no private key in PEM"):
        key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError("is no elliptic-curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(pem: bytes) -> x509.Certificate:
    if len(pem) > LONGEST_PEM_BYTES:
        raise IdentityError("is longer than any certificate of ours")
    with _in_words("is no certificate in PEM"):
        return x509.load_pem_x509_certificate(pem)


def _requested(pem: bytes) -> ec.EllipticCurvePublicKey:
    if len(pem) > LONGEST_PEM_BYTES:
        raise IdentityError("is longer than any request of ours")
    with _in_words("is no request in PEM"):
        found = x509.load_pem_x509_csr(pem)
        public = found.public_key()
        signed = found.is_signature_valid
    if not isinstance(public, ec.EllipticCurvePublicKey) or not signed:
        raise IdentityError("is not signed by the elliptic-curve key that it asks for")
    return public


def _spki_of(certificate: bytes) -> bytes:
    with _in_words("has no key that can be used"):
        return _spki(_certificate(certificate).public_key())


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except IdentityError:
        raise
    except _TROUBLE as error:
        raise IdentityError(what) from error


def _spki(public: object) -> bytes:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise IdentityError("is no elliptic-curve key")
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
