"""Passes from what is wanted: a row for the list, and the text of the code, signed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from checkin import passes
from checkin.cose import SigningKey
from provisioning.passes_list import Row
from provisioning.wanted import Wanted


class Pass(NamedTuple):
    """A pass that was made: what the list keeps, and what its code holds."""

    row: Row
    text: str


def issue(
    wanted: Sequence[Wanted], key: SigningKey, *, at: datetime, random: Callable[[int], bytes]
) -> list[Pass]:
    """A pass for each. `random` gives so many bytes, never the same."""
    rows = [_row(one, at, random(passes.PASS_ID_BYTES)) for one in wanted]
    return [Pass(row, sign(row, key)) for row in rows]


def sign(row: Row, key: SigningKey) -> str:
    """The text of the code of the pass in `row`, the same each time: Ed25519 draws no chance.

    So that a sheet that was lost is printed again from the list. Raises `ValueError` for what no
    kiosk would read back, such as a row without its holder.
    """
    return passes.issue(
        key,
        kind=row.kind,
        pass_id=bytes.fromhex(row.pass_id),
        holder=row.holder,
        not_before=row.begins,
        expires=row.ends,
        checkpoints=tuple(row.checkpoints.split()),
    )


def _row(wanted: Wanted, at: datetime, pass_id: bytes) -> Row:
    return Row(
        pass_id=pass_id.hex(),
        kind=wanted.kind,
        holder=wanted.holder,
        begins=_second(wanted.begins),
        ends=_second(wanted.ends),
        checkpoints=" ".join(wanted.checkpoints),
        form_number=wanted.form_number,
        issued_at=_second(at),
    )


def _second(at: datetime) -> datetime:
    """As the pass's claims and the list keep it."""
    return at.astimezone(UTC).replace(microsecond=0)
