"""Passes from what is wanted: signed, with their rows for the list and their codes' texts."""

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
    """Sign a pass for each. `random` gives so many bytes, never the same."""
    return [_pass(one, key, at, random(passes.PASS_ID_BYTES)) for one in wanted]


def _pass(wanted: Wanted, key: SigningKey, at: datetime, pass_id: bytes) -> Pass:
    begins, ends = _second(wanted.begins), _second(wanted.ends)
    text = passes.issue(
        key,
        kind=wanted.kind,
        pass_id=pass_id,
        holder=wanted.holder,
        not_before=begins,
        expires=ends,
        checkpoints=wanted.checkpoints,
    )
    row = Row(
        pass_id=pass_id.hex(),
        kind=wanted.kind,
        holder=wanted.holder,
        begins=begins,
        ends=ends,
        checkpoints=" ".join(wanted.checkpoints),
        form_number=wanted.form_number,
        issued_at=_second(at),
    )
    return Pass(row, text)


def _second(at: datetime) -> datetime:
    """As the pass's claims and the list keep it."""
    return at.astimezone(UTC).replace(microsecond=0)
