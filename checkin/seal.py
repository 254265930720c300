"""Encrypt personal fields to the central's public key, so that the door can't read them back.

A libsodium sealed box (X25519, XSalsa20-Poly1305): the sender's key is made for the one message
and thrown away, so not even the kiosk that sealed it can open it again.
https://doc.libsodium.org/public-key_cryptography/sealed_boxes
"""

from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Protocol

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

KEY_BYTES = 32


class SealError(ValueError):
    """A key is no key, or a sealed field can't be opened with it."""


class Seal(Protocol):
    """What the event needs to close its personal fields."""

    @property
    def key_id(self) -> str: ...

    def close(self, plain: bytes) -> bytes:
        """Return `plain` so that only the holder of the private key can read it."""


class CentralSeal:
    """Closes for one central. `public_key` is base64 of 32 bytes, from `vaora-central keygen`."""

    def __init__(self, public_key: str) -> None:
        raw = _key_bytes(public_key)
        self._box = SealedBox(PublicKey(raw))
        self._key_id = key_id(raw)

    @property
    def key_id(self) -> str:
        return self._key_id

    def close(self, plain: bytes) -> bytes:
        return self._box.encrypt(plain)


class CentralKey:
    """The central's private key: opens what `CentralSeal` closed."""

    def __init__(self, private_key: str) -> None:
        key = PrivateKey(_key_bytes(private_key))
        self._box = SealedBox(key)
        raw = bytes(key.public_key)
        self.public = b64encode(raw).decode()
        self.key_id = key_id(raw)

    def open(self, closed: bytes) -> bytes:
        """Return what was closed. Raises `SealError` where it was closed to another key."""
        try:
            return self._box.decrypt(closed)
        except (CryptoError, ValueError, TypeError) as error:
            raise SealError(f"can't be opened with key {self.key_id}: {error}") from error


def new_private_key() -> str:
    """A fresh private key, as base64 of its 32 bytes."""
    return b64encode(bytes(PrivateKey.generate())).decode()


def key_id(public_key: bytes) -> str:
    """Eight hexadecimal digits that name a public key in an event."""
    return blake2b(public_key, digest_size=4).hexdigest()


def _key_bytes(text: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:
        raise SealError(f"a key is base64 of {KEY_BYTES} bytes, this is no base64") from error
    if len(raw) != KEY_BYTES:
        raise SealError(f"a key is base64 of {KEY_BYTES} bytes, this is {len(raw)} bytes")
    return raw
