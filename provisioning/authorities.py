"""Whose signatures count, as files: health authorities' certificates and card issuers' keys."""

from base64 import b64encode
from pathlib import Path
from typing import TypeVar

import msgspec

from checkin import cose
from checkin.cose import CoseError
from checkin.signed_list import CardKey, Signer
from checkin.words import _, of_system

# Names under which a folder may hold the two JSON lists beside its certificates.
SIGNERS_FILE = "signers.json"
CARD_KEYS_FILE = "card-keys.json"

ListT = TypeVar("ListT")


class AuthoritiesError(ValueError):
    """A file is no certificate or no list; the message says which."""


def signers(folder: Path) -> list[Signer]:
    """Every certificate in `folder`: DER, in *.der and *.cer, and the list that may lie there."""
    found = []
    for file in sorted([*folder.glob("*.der"), *folder.glob("*.cer")]):
        try:
            der = file.read_bytes()
            cose.certificate(der)
        except OSError as error:
            raise AuthoritiesError(
                _("{file}: can't be read ({why})").format(file=file, why=of_system(error))
            ) from error
        except CoseError as error:
            raise AuthoritiesError(
                _(
                    "{file}: is no certificate in DER; `openssl x509 -outform der` makes one of PEM"
                ).format(file=file)
            ) from error
        found.append(Signer(b64encode(cose.kid_of(der)).decode(), b64encode(der).decode()))
    listed_there = folder / SIGNERS_FILE
    return [*found, *(listed(listed_there, list[Signer]) if listed_there.exists() else [])]


def card_keys(folder: Path) -> list[CardKey]:
    """The SMART Health Card issuers' keys in `folder`, where there are any."""
    file = folder / CARD_KEYS_FILE
    return listed(file, list[CardKey]) if file.exists() else []


def listed(file: Path, kind: type[list[ListT]]) -> list[ListT]:
    """The JSON list in `file`."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AuthoritiesError(f"{file}: {error}") from error
