"""Made-up visitors. Serials 9999xx are nobody's; any likeness is chance."""

import random
from dataclasses import dataclass
from datetime import date, timedelta

FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô")
MIDDLE_F = ("Thị", "Ngọc", "Thùy", "Khánh", "Diệu", "Bảo")
MIDDLE_M = ("Văn", "Hữu", "Đức", "Quốc", "Minh", "Thành")
GIVEN_F = ("Hạnh", "Nhung", "Phượng", "Thủy", "Yến", "Quỳnh", "Thảo", "Trâm", "Uyên", "Lựu")
GIVEN_M = ("Dũng", "Khoa", "Tuấn", "Nghĩa", "Quý", "Thắng", "Vượng", "Hiếu", "Lễ", "Khương")

# Codes of the registry of birth (Circular 59/2021/TT-BCA): the five provinces of the directives.
REGISTRIES = ("010", "064", "070", "038", "001")

PLACES = (
    "Thôn Mẫu, Phúc Khánh, Bảo Yên, Lào Cai",
    "Tổ 0, Phường Thử, Thành phố Pleiku, Gia Lai",
    "Ấp Giả Định, Lộc Ninh, Bình Phước",
    "Số 0 Phố Mẫu, Ngọc Trạo, Thành phố Thanh Hóa, Thanh Hóa",
)


@dataclass(frozen=True, slots=True)
class Person:
    """One visitor, and the payload of their card."""

    name: str
    id_number: str
    dob: date
    payload: bytes


def person(number: int, seed: int = 0) -> Person:
    """Made-up visitor `number`: always the same one for the same seed."""
    chance = random.Random(f"{seed}/{number}")
    woman = chance.random() < 0.5  # noqa: PLR2004  even odds
    middle, given = (MIDDLE_F, GIVEN_F) if woman else (MIDDLE_M, GIVEN_M)
    name = " ".join((chance.choice(FAMILY), chance.choice(middle), chance.choice(given)))
    dob = date(1950, 1, 1) + timedelta(days=chance.randrange(365 * 56))
    century = 2 * (dob.year >= 2000) + woman  # noqa: PLR2004  0 and 1 before 2000, 2 and 3 after
    serial = f"9999{number % 100:02}"
    id_number = f"{chance.choice(REGISTRIES)}{century}{dob.year % 100:02}{serial}"
    issued = date(2021, 1, 1) + timedelta(days=chance.randrange(1500))
    fields = (
        id_number,
        "",
        name,
        f"{dob:%d%m%Y}",
        "Nữ" if woman else "Nam",
        chance.choice(PLACES),
        f"{issued:%d%m%Y}",
    )
    return Person(name, id_number, dob, "|".join(fields).encode())
