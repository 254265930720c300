import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin.settings import Panel
from provisioning import columns, inventory, sheet
from provisioning.inventory import Ethernet, InventoryError, Sim, Wifi
from provisioning.sheet import Mistake
from tests.inventories import COLUMNS, PASSWORD, door, listed, many

EVENT = {"type": "event", "begins": "2026-12-01", "ends": "2026-12-03"}
WIRED = {"network": "ethernet", "wifi_name": "", "wifi_password": ""}
SIM = {**WIRED, "network": "sim", "sim_apn": "v-internet"}


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")


def mistakes(content):
    return inventory.survey(content if isinstance(content, bytes) else content.encode()).mistakes


def places(content):
    found = inventory.survey(content if isinstance(content, bytes) else content.encode())
    assert found.mistakes == ()
    return found.places


def changed(**changes):
    """A list whose second door is different."""
    return listed(door(1), door(2, **changes), door(3))


def row_of(text, number=2):
    return text.splitlines()[number]


# What was written; then line, column's letter, and words of the cure.
CELLS = [
    ("kiosk", "", 3, "A", "the device; never used twice"),
    ("kiosk", "cổng 2", 3, "A", "write cong-2"),
    ("kiosk", "cong/2", 3, "A", "write cong-2"),
    ("kiosk", "+#", 3, "A", "write a name such as cong-1"),
    ("kiosk", "a" * 49, 3, "A", "write " + "a" * 48),
    ("kiosk", "cong-\u00a02", 3, "A", "delete the cell and type it anew"),
    ("kiosk", "cong-\u200b2", 3, "A", "delete the cell and type it anew"),
    ("kiosk", "vaora-central", 3, "A", "doesn't begin with vaora-"),
    ("kiosk", "VAORA-2", 3, "A", "doesn't begin with vaora-"),
    ("kiosk", "localhost", 3, "A", "write another"),
    ("kiosk", "cong-1", 3, "A", "give each kiosk a name of its own"),
    ("kiosk", "CONG-1", 3, "A", "differ in more than capitals"),
    ("kiosk", "cong.1", 3, "A", "differ in more than capitals, dots"),
    ("kiosk", "vi-du-1", 3, "A", "write your own doors over it"),
    ("checkpoint", "100002", 3, "B", "format the column as text and write 0100002"),
    ("checkpoint", "1,00E+05", 3, "B", "write it again, with all its digits"),
    ("checkpoint", "1.00002E+05", 3, "B", "write it again, with all its digits"),
    ("checkpoint", "100002.0", 3, "B", "write it again, with all its digits"),
    ("checkpoint", "claim", 3, "B", "write the checkpoint's code"),
    ("external_code", "mã số 2", 3, "C", "copy it from the registration"),
    ("name", "", 3, "D", "as it stands on the label"),
    ("name", "x" * 121, 3, "D", "shorten it"),
    ("name", "#REF!", 3, "D", "write the text itself"),
    ("name", "Bệnh viện\nThử", 3, "D", "write it on one line"),
    ("type", "hospitl", 3, "E", "write hospital, if that is meant"),
    ("type", "quán nước", 3, "E", "write one of office, hospital"),
    ("phone", "203000000", 3, "H", "write 0203000000"),
    ("phone", "2,03E+08", 3, "H", "write it again, with all its digits"),
    ("phone", "bà Thử", 3, "H", "write one such as 0203 000 0000"),
    ("direction", "into", 3, "I", "write in, if that is meant"),
    ("direction", "button", 3, "I", None),
    ("network", "wfi", 3, "J", "write wifi, if that is meant"),
    ("network", f"wifi:Thu:{PASSWORD}", 3, "J", "write one of ethernet, wifi, sim"),
    ("network", "ethernet", 3, "K", "empty the cell, or write another network"),
    ("wifi_name", "", 3, "K", "write where it is wifi"),
    ("wifi_name", "Thử Nghiệm Ở Một Nơi Rất Xa Xôi", 3, "K", "as the router shows it"),
    ("wifi_name", "Thu ", 3, "K", "take the space away"),
    ("wifi_password", "", 3, "L", "open where there is none"),
    ("wifi_password", "ngan", 3, "L", "write open where there is none"),
    ("wifi_password", "mật khẩu dài", 3, "L", "write open where there is none"),
    ("wifi_password", PASSWORD + " ", 3, "L", "take the space away"),
    ("wiring", "green=17 red=17", 3, "O", "give each its own"),
    ("wiring", "green=40", 3, "O", "from 2 to 27"),
    ("wiring", "blue=4", 3, "O", "write green, red, amber"),
    ("wiring", "green 17", 3, "O", "write standard, full, or pins"),
    ("wiring", "red=5 red=6", 3, "O", "name it once"),
    ("buzzer", "loud", 3, "P", "write one of active, passive, none"),
    ("begins", "01/12/2026", 3, "Q", "write 2026-12-01 or 2026-01-12"),
    ("begins", "25/12/2026", 3, "Q", "write 2026-12-25"),
    ("begins", "2026/12/1", 3, "Q", "write 2026-12-01"),
    ("begins", "46357", 3, "Q", "write 2026-12-01"),
    ("begins", "2026-02-30", 3, "Q", "write one from the calendar"),
    ("begins", "soon", 3, "Q", "write 2026-12-01"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "text", "line", "letter", "cure"), CELLS)
def test_a_cell_that_is_wrong_is_named_with_its_place_and_its_cure(
    column, text, line, letter, cure
):
    found = mistakes(changed(**{column: text}))
    if cure is None:  # right as it is: the standard button's pin is hardware.md's
        assert found == ()
        return
    first = found[0]
    assert (first.line, first.letter) == (line, letter)
    assert cure in first.cure
    assert PASSWORD not in "".join(each.text("inventory.csv") for each in found)


ROWS = [
    ({**SIM, "sim_apn": ""}, "sim_apn", "M", "the operator's access point"),
    ({**SIM, "sim_apn": "v internet"}, "sim_apn", "M", "such as v-internet"),
    ({**SIM, "sim_pin": "123"}, "sim_pin", "N", "write all its digits"),
    ({**SIM, "wifi_name": "Thử"}, "wifi_name", "K", "empty the cell"),
    ({"sim_apn": "v-internet"}, "sim_apn", "M", "empty the cell"),
    ({**WIRED, "wifi_password": PASSWORD}, "wifi_password", "L", "empty the cell"),
    ({**EVENT, "ends": "2026-11-30"}, "ends", "R", "isn't before 2026-12-01"),
    ({**EVENT, "ends": ""}, "ends", "R", "or another type of place"),
    ({"checkpoint": "0100001"}, "external_code", "C", "write the same code in both"),
    ({"direction": "button", "wiring": "green=5"}, "wiring", "O", "give each its own"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "column", "letter", "cure"), ROWS)
def test_what_does_not_go_together_is_named_with_its_place_and_its_cure(
    changes, column, letter, cure
):
    (found,) = mistakes(changed(**changes))
    assert (found.line, found.column, found.letter) == (3, column, letter)
    assert cure in found.cure


GOOD = listed(door(1), door(2))

FILES = [
    ("nothing", "", 1, "A", "write a header, and a row for each"),
    ("blank lines", "\n\n , ,\n", 1, "A", "write a header, and a row for each"),
    ("the header alone", listed(), 2, "A", "write a row for each kiosk"),
    ("a workbook", b"PK\x03\x04" + bytes(500), 1, "A", "CSV UTF-8"),
    ("an old workbook", b"\xd0\xcf\x11\xe0" + bytes(500), 1, "A", "CSV UTF-8"),
    ("UTF-16", GOOD.encode("utf-16"), 1, "A", "CSV UTF-8"),
    ("Windows-1258", "kiosk,name\ncong-1,Ch\xf4\n".encode("cp1258"), 2, "A", "CSV UTF-8"),
    ("zeros", GOOD.replace("cong-2", "cong\0-2"), 3, "A", "CSV UTF-8"),
    ("5 MB of something", b"something else\n" * 350_000, 1, "A", "this is another file"),
    ("one column", "kiosk\ncong-1\n", 1, "A", "put commas, semicolons or tabs"),
    ("a quote left open", GOOD.replace("cong-1", '"cong-1'), 2, "A", 'close each "'),
    ("a quote inside", GOOD.replace('"Bệnh', '"Bệnh "'), 2, "A", 'close each "'),
    ("a wide row", GOOD.replace("cong-2,", "cong-2,x,"), 3, "U", "put quotes around the cell"),
    ("too many columns", ",".join(f"c{n}" for n in range(80)) + "\n", 1, "A", "of the list"),
    ("a misspelt header", GOOD.replace("direction", "directon", 1), 1, "I", "call it direction"),
    ("an unknown column", GOOD.replace("note", "colour", 1), 1, "T", "remove it, or call it one"),
    ("a column twice", GOOD.replace("support", "Kiosk", 1), 1, "S", "remove one of the two"),
    ("no name above", GOOD.replace("wifi_name", "", 1), 1, "K", "name it, or empty it"),
    ("a missing column", listed(door(), columns=COLUMNS[1:]), 1, "", "it is called mã máy"),
    ("the template", inventory.template("vi"), 2, "A", "write your own doors over it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "line", "letter", "cure"), [case[1:] for case in FILES], ids=[c[0] for c in FILES]
)
def test_a_file_that_is_wrong_is_told_where_and_what_to_do(content, line, letter, cure):
    found = next(each for each in mistakes(content) if cure in each.cure)
    assert (found.line, found.letter) == (line, letter)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_sheet():
    found = mistakes(listed(door(1, phone="x"), door(2, kiosk="", begins="x"), door(3, type="x")))
    assert [(each.line, each.column) for each in found] == [
        (2, "phone"), (3, "kiosk"), (3, "begins"), (4, "type"),
    ]  # fmt: skip


def test_a_mistake_is_one_line_that_says_what_where_and_what_to_do():
    (found,) = mistakes(changed(network="wfi"))
    assert found.text("inventory.csv") == (
        "inventory.csv: line 3, network (column J): 'wfi': this isn't on the list; write wifi, if "
        "that is meant; write one of ethernet, wifi, sim"
    )
    without = Mistake(1, "kiosk", "", "", "this column is missing", "add it")
    assert without.text("x.csv") == "x.csv: line 1, column kiosk: this column is missing; add it"
    file = Mistake(1, "", "A", "", "it isn't text", "save it anew")
    assert file.text("x.csv") == "x.csv: line 1, column A: it isn't text; save it anew"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_spreadsheets_csv_is_read(separator, ending, mark):
    text = listed(door(1), door(2), separator=separator, ending=ending)
    assert places(mark + text) == places(listed(door(1), door(2)))


def test_the_line_that_names_the_separator_is_understood_and_lines_stay_right():
    text = listed(door(1), door(2, type="x"), separator=";")
    (found,) = mistakes("sep=;\n" + text)
    assert found.line == 4


def test_blank_columns_rows_and_cells_at_the_end_are_nothing():
    text = listed(door(1), door(2))
    header, *rows = text.splitlines()
    widened = "\n".join([header + ",,", *(row + ",," for row in rows), "," * 21, ""])
    assert places(widened) == places(text)
    assert places("\n".join([header, *(row + ",," for row in rows)])) == places(text)
    assert places("\n".join([header, *(row.rstrip(",") for row in rows)])) == places(text)


def test_headers_and_words_are_understood_in_vietnamese_with_or_without_accents():
    header = [column.vietnamese for column in columns.COLUMNS]
    row = door(1, type="Bệnh viện", direction="RA", network="Không dây", wiring="đầy đủ")
    cells = [row.get(column.name, "") for column in columns.COLUMNS]
    text = "\n".join(";".join(line) for line in (header, cells))
    assert columns.plain("Mã máy") == "ma_may"
    (found,) = places(text)
    assert (found.kind, found.direction) == ("hospital", "out")
    assert found.network == Wifi("Thử Nghiệm", PASSWORD)
    assert found.panel == Panel(
        amber_pin=24, direction_button_pin=5, test_button_pin=6, lamp_pin=23
    )
    assert places(text.replace("mã máy", "MA MAY").replace("mã đăng ký", "Ma Dang Ky")) == (found,)


@pytest.mark.parametrize(
    ("changes", "network"),
    [
        ({}, Wifi("Thử Nghiệm", PASSWORD)),
        ({"wifi_password": "open"}, Wifi("Thử Nghiệm", "")),
        ({"wifi_password": '! "#,;ok'}, Wifi("Thử Nghiệm", '! "#,;ok')),
        ({"wifi_password": "a1" * 32}, Wifi("Thử Nghiệm", "a1" * 32)),
        (WIRED, Ethernet()),
        (SIM, Sim("v-internet")),
        ({**SIM, "sim_pin": "0123"}, Sim("v-internet", "0123")),
    ],
)  # fmt: skip
def test_a_network_is_read(changes, network):
    (found,) = places(listed(door(**changes)))
    assert found.network == network


@pytest.mark.parametrize(
    ("changes", "panel"),
    [
        ({}, Panel()),
        ({"wiring": "Standard"}, Panel()),
        ({"wiring": "green=12, red=13; buzzer = 0"}, Panel(green_pin=12, red_pin=13, buzzer_pin=0)),
        ({"wiring": "xanh=12 đỏ=13"}, Panel(green_pin=12, red_pin=13)),
        ({"buzzer": "none"}, Panel(buzzer_pin=0)),
        ({"buzzer": "thụ động"}, Panel(buzzer="passive")),
        ({"direction": "button"}, Panel(direction_button_pin=5)),
        ({"direction": "button", "wiring": "direction=26"}, Panel(direction_button_pin=26)),
    ],
)
def test_a_panel_is_read(changes, panel):
    (found,) = places(listed(door(**changes)))
    assert found.panel == panel


def test_a_code_without_its_zero_is_taken_where_it_is_marked_as_right():
    found = places(changed(checkpoint="'100002"))
    assert found[1].checkpoint == "100002"


def test_telephone_numbers_keep_their_digits():
    numbers = ["0203 000 0000", "+84 203 000 0000", "842030000000", "1900", "(0203) 000-0000"]
    doors = [door(number, phone=phone) for number, phone in enumerate(numbers, 1)]
    assert [each.phone for each in places(listed(*doors))] == [
        "02030000000", "+842030000000", "+842030000000", "1900", "02030000000",
    ]  # fmt: skip


def test_a_comma_in_a_password_without_quotes_shows_no_part_of_it():
    text = changed().replace(f"{PASSWORD},", "hoa,maivang,", 1)
    for ending in ("", ",,"):
        found = mistakes(text.replace("\n", ending + "\n"))
        assert found
        assert "hoa" not in str(found)
        assert "maivang" not in str(found)


def test_passwords_are_shown_by_nobody():
    (found,) = places(listed(door()))
    assert PASSWORD not in repr(found)
    assert "0123" not in repr(places(listed(door(**SIM, sim_pin="0123")))[0])
    for wrong in mistakes(changed(wifi_password="kín")):
        assert wrong.value == ""
        assert "kín" not in wrong.text("inventory.csv")


def test_the_template_is_right_but_for_being_the_example():
    for language in ("vi", "en"):
        text = inventory.template(language)
        assert [each.why for each in mistakes(text)] == ["this is the template's example"]
        (found,) = places(text.replace("vi-du-1", "cong-1"))
        assert found.name == "Bệnh viện Thử Nghiệm, cổng A"


def test_a_list_is_read_from_its_file(tmp_path):
    file = tmp_path / "inventory.csv"
    file.write_text(many(200), encoding="utf-8")
    assert len(inventory.read(file)) == 200
    assert inventory.look_through(file).mistakes == ()
    file.write_text(changed(type="x"), encoding="utf-8")
    with pytest.raises(InventoryError, match=r"inventory.csv: line 3, type \(column E\)"):
        inventory.read(file)
    with pytest.raises(InventoryError, match="begin with"):
        inventory.read(tmp_path / "none.csv")


def test_a_column_has_the_letter_of_a_spreadsheet():
    assert [sheet.letter(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "A", "Z", "AA", "AZ", "BA", "ZZ", "AAA",
    ]  # fmt: skip


def test_a_place_goes_through_json_and_back():
    for place in places(many(3)):
        raw = msgspec.json.encode(place)
        assert msgspec.json.decode(raw, type=inventory.Place) == place


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_places_or_mistakes(content):
    found = inventory.survey(content)
    assert bool(found.places) != bool(found.mistakes)


@given(st.sampled_from(COLUMNS), st.text(max_size=40) | st.text("0123456789=/:., -", max_size=12))
def test_any_cell_is_read_or_told_with_its_place(column, text):
    for found in mistakes(changed(**{column: text})):
        assert found.line >= 1
        assert found.why
        assert found.cure
