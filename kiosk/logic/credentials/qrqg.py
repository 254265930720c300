"""The national personal QR code (QĐ 1405/QĐ-BTTTT, version 1.1), as the state's apps show it.

    document | NAME | YYYY-MM-DD | 0/1 | QID | declarer's QID < sex < BHYT < phone [< e-signature]

Document number and the day and month of birth are masked with `*` unless the bearer chose
otherwise. The QID is the only key that stays. Nothing in it is verified offline.
"""

import re
from dataclasses import dataclass

from kiosk.logic.credentials import fields
from kiosk.logic.credentials.here import Here
from kiosk.logic.credentials.malformed import Malformed

FIELD_COUNT = 6
EXTENSIONS = 5

DECLARED_BY = {"0": "self", "1": "proxy"}
SEXES = {"1": "M", "2": "F"}

_DOCUMENT = re.compile(r"[0-9A-Za-z*]{1,20}")
_DOB = re.compile(r"[0-9]{4}-([0-9]{2}|\*\*)-([0-9]{2}|\*\*)")
_QID = re.compile(r"[0-9]{6,24}")


@dataclass(frozen=True, slots=True)
class Qrqg:
    """A national code that was read; empty texts for what its bearer left out."""

    id_number: str
    name: str
    dob: str
    declared_by: str
    qid: str
    proxy_qid: str
    sex: str
    bhyt: str
    phone: str
    esign: str
    warnings: tuple[str, ...]

    kind = "qrqg"
    signed = False
    verified = False
    reason = None

    @property
    def identity(self) -> str:
        return self.qid

    def person(self) -> dict[str, str]:
        found = {
            "qid": self.qid,
            "name": self.name,
            "dob": self.dob,
            "id_number": self.id_number,
            "sex": self.sex,
            "bhyt": self.bhyt,
            "phone": self.phone,
        }
        return {key: value for key, value in found.items() if value}

    def reading(self) -> dict[str, object]:
        return {
            "ok": True,
            "type": self.kind,
            "id_number": self.id_number,
            "name": self.name,
            "dob": self.dob,
            "declared_by": self.declared_by,
            "qid": self.qid,
            "proxy_qid": self.proxy_qid or None,
            "sex": self.sex or None,
            "bhyt": self.bhyt or None,
            "phone": self.phone or None,
            "esign": self.esign or None,
            "signed": self.signed,
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return "<national QR>"


def looks_like_qrqg(text: str) -> bool:
    split = text.split("|", maxsplit=FIELD_COUNT)
    return len(split) == FIELD_COUNT and split[3] in DECLARED_BY


def read_qrqg(text: str, _here: Here) -> Qrqg | Malformed:
    """Read the national code in `text`, which `looks_like_qrqg`."""
    document, name, dob, declared, qid, extension = text.split("|")
    if _DOCUMENT.fullmatch(document) is None:
        return Malformed("bad-number")
    if not fields.is_name(name):
        return Malformed("bad-name")
    if not _is_dob(dob):
        return Malformed("bad-date")
    if _QID.fullmatch(qid) is None:
        return Malformed("bad-qid")
    more = extension.split("<", maxsplit=EXTENSIONS)
    if len(more) > EXTENSIONS or len(extension) > fields.LONGEST_ADDRESS:
        return Malformed("bad-extension")
    proxy_qid, sex, bhyt, phone, esign = (*more, *[""] * (EXTENSIONS - len(more)))
    return Qrqg(
        id_number=document,
        name=name.strip(),
        dob=dob,
        declared_by=DECLARED_BY[declared],
        qid=qid,
        proxy_qid=proxy_qid,
        sex=SEXES.get(sex, ""),
        bhyt=bhyt,
        phone=phone,
        esign=esign,
        warnings=("masked",) if "*" in document + dob else (),
    )


def _is_dob(text: str) -> bool:
    if _DOB.fullmatch(text) is None:
        return False
    year, month, day_of_month = text.replace("**", "01").split("-")
    return fields.day(year, month, day_of_month) is not None
