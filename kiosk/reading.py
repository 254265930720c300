"""`vaora-kiosk read`: one JSON line in, what the readers make of it out."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from checkin.signed_list import CardKey, Signer, TrustList
from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here
from kiosk.trusted import trust_from


class Jwks(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517), of which the points on P-256 are taken."""

    keys: list[CardKey] = []


class Line(msgspec.Struct, frozen=True):
    """What may stand in a line; anything else in it is ignored."""

    payload: str | list[str]
    id: str | int | float | None = None
    clock: str | None = None
    trust: list[Signer] | None = None
    jwks: Jwks | None = None
    pass_keys: list[str] = []
    revoked: list[str] = []


# Line ends that are none to JSON, but to whoever splits our answer into lines.
_ODD_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


def answers(lines: Iterable[bytes], now: datetime) -> Iterator[str]:
    """An answer for each line that isn't blank, in order; lines end with LF alone."""
    for line in lines:
        if line.strip(b" \t\r\n"):
            yield json.dumps(answer(line, now), ensure_ascii=False).translate(_ODD_LINE_ENDS)


def answer(line: bytes, now: datetime) -> dict[str, object]:
    """The reading of one line, beside its id. Never raises."""
    try:
        asked = msgspec.json.decode(line, type=Line)
        at = _clock(asked.clock) if asked.clock else now
    except (ValueError, RecursionError, OverflowError, msgspec.DecodeError) as error:
        return {"error": str(error)}
    lists = TrustList(
        version=1,
        issued="",
        signers=asked.trust or [],
        card_keys=asked.jwks.keys if asked.jwks else [],
        pass_keys=asked.pass_keys,
    )
    here = Here(at, trust=trust_from(lists, frozenset(asked.revoked)))
    texts = [asked.payload] if isinstance(asked.payload, str) else asked.payload
    payloads = [text.encode("utf-8", "surrogatepass") for text in texts]
    found = credentials.read_parts(payloads, here)
    beside = {} if asked.id is None else {"id": asked.id}
    return {**beside, **found.reading()}


def _clock(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
