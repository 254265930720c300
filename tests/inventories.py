"""Lists of doors as people write them: made up, and broken in one place at a time."""

import csv
import io

COLUMNS = [
    "kiosk", "checkpoint", "external_code", "name", "type", "unit", "responsible", "phone",
    "direction", "network", "wifi_name", "wifi_password", "sim_apn", "sim_pin", "wiring", "buzzer",
    "begins", "ends", "support", "note",
]  # fmt: skip
PASSWORD = "hoa-mai-vang"


def door(number=1, **changes):
    """One row: a Wi-Fi kiosk of a checkpoint that doesn't exist."""
    return {
        "kiosk": f"cong-{number}",
        "checkpoint": f"0{100_000 + number}",
        "external_code": f"TKYT-{number:04}",
        "name": f"Bệnh viện Thử {number}, cổng A",
        "type": "hospital",
        "unit": "Xã Thử, Tỉnh Nghiệm",
        "responsible": "Nguyễn Văn Thử",
        "phone": "0203 000 0000",
        "direction": "in",
        "network": "wifi",
        "wifi_name": "Thử Nghiệm",
        "wifi_password": PASSWORD,
        **changes,
    }


def listed(*doors, columns=COLUMNS, separator=",", ending="\n"):
    """The text of a list with these doors."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=ending)
    writer.writerow(columns)
    for each in doors:
        writer.writerow([each.get(column, "") for column in columns])
    return out.getvalue()


def network(number):
    """The three networks in turn."""
    none = {"wifi_name": "", "wifi_password": ""}
    return (
        {},
        {"network": "ethernet", **none},
        {"network": "sim", "sim_apn": "v-internet", "sim_pin": "0123", **none},
    )[number % 3]


def many(count):
    """`count` doors of every kind, all right."""
    return listed(*(door(number, **network(number)) for number in range(1, count + 1)))
