"""Labels and passes as they come out of the printer: read by people, and by the kiosk."""

import io
from itertools import product
from time import process_time
from unicodedata import normalize

import numpy as np
import pytest

from checkin.words import in_language
from kiosk.__main__ import _decoder
from kiosk.devices.opencv import read_image
from kiosk.logic import credentials
from kiosk.logic.credentials.foreign import Foreign
from kiosk.logic.credentials.here import Here, Trust
from kiosk.logic.examination import TEST_CODE
from provisioning import label, paper, pass_sheets, qr
from provisioning.label import Label
from provisioning.paper import Paper, PaperError, Place
from tests import printed
from tests.printed import AT, KEY

HERE = Here(AT, trust=Trust(pass_keys={KEY.kid: KEY.public}))
DOOR = Label(
    "bv-lao-cai-cong-1", "0100123", "Bệnh viện Mẫu, cổng số 1", "LC-000123", "000 000 0000"
)

# Every Vietnamese letter, small and large: each vowel with each tone.
TONES = ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
LETTERS = "".join(
    normalize("NFC", vowel + tone)
    for vowel, tone in product("aăâeêioôơuưy", TONES)
) + "đ"  # fmt: skip


@pytest.fixture(autouse=True)
def english():
    with in_language("en"):
        yield


def decoded(grey):
    return [code.payload for code in _decoder(0).read_still(grey)]


def test_two_hundred_passes_are_read_by_the_kiosk_from_their_pages():
    asked = [{"holder": f"Nguyễn Thị Mẫu {n}", "checkpoints": "0100123"} for n in range(200)]
    began = process_time()
    passes = printed.made(*asked)
    pdf = printed.sheets(passes)
    # A thousand in less than a minute; `python -m bench passes` has them all.
    assert process_time() - began < 60 / 5
    pages = list(printed.greys(pdf))
    assert len(pages) == 25
    for number, one in enumerate(passes):
        card = printed.cut(pages[number // 8], pass_sheets.card(number % 8))
        assert decoded(card) == [one.text.encode()]
    found = credentials.read(passes[0].text.encode(), HERE)
    assert (found.verified, found.holder) == (True, "Nguyễn Thị Mẫu 0")


def test_a_code_is_five_centimetres_wide_and_has_its_quiet_zone():
    (page,) = printed.greys(printed.sheets(printed.made({"holder": "Mẫu"})), dpi=300)
    card = printed.cut(page, pass_sheets.card(0), dpi=300)
    (code,) = _decoder(0).read_still(card)
    xs, ys = zip(*code.corners, strict=True)
    for side_px in (max(xs) - min(xs), max(ys) - min(ys)):
        assert side_px / 300 * 25.4 == pytest.approx(50, abs=0.5)
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    module_px = 50 / len(pass_sheets.modules(printed.made({"holder": "Mẫu"})[0])) / 25.4 * 300
    quiet = int(4 * module_px)
    around = card[top - quiet : bottom + quiet, left - quiet : right + quiet].copy()
    around[quiet - 2 : -quiet + 2, quiet - 2 : -quiet + 2] = 255
    assert around.min() == 255


def test_a_card_says_in_words_what_its_code_says():
    (page,) = printed.texts(
        printed.sheets(
            printed.made(
                {
                    "holder": "Phan Thị Mẫu",
                    "kind": "staff",
                    "from": "2026-12-01 07:30",
                    "until": "2026-12-24",
                    "checkpoints": "0100123 cp-2",
                    "form_number": "A-17",
                }
            )
        )
    )
    assert page == (
        "Staff pass Phan Thị Mẫu from 07:30 01/12/2026 until 24:00 24/12/2026 at 0100123 cp-2 "
        "form A-17 0000000000000001 Bệnh viện Mẫu"
    )


def test_every_vietnamese_letter_is_printed_and_found_again():
    half = len(LETTERS) // 2
    names = [LETTERS[:half], LETTERS[half:], LETTERS[:half].upper(), LETTERS[half:].upper()]
    (page,) = printed.texts(printed.sheets(printed.made(*({"holder": name} for name in names))))
    for name in names:
        assert name in page.replace(" ", "")


@pytest.mark.parametrize("letter", ["W", "Ễ", "i"])
def test_a_name_of_a_hundred_letters_fits_its_card(letter):
    name = letter * 100
    places = " ".join(f"W{n:047}" for n in range(3))
    passes = printed.made({"holder": name, "checkpoints": places, "form_number": "W" * 20})
    pdf = printed.sheets(passes, fleet="Ủy ban " * 14)
    assert name in printed.texts(pdf)[0].replace(" ", "")
    (page,) = printed.greys(pdf)
    assert decoded(printed.cut(page, pass_sheets.card(0))) == [passes[0].text.encode()]
    outside = page.copy()
    left, top, width, height = (round(each * 150 / 25.4) for each in pass_sheets.card(0))
    outside[top - 2 : top + height + 3, left - 2 : left + width + 3] = 255
    assert outside.min() == 255


def test_texts_on_a_card_stay_off_its_code():
    passes = printed.made(
        *(
            {"holder": "Ễ" * 100, "kind": kind, "checkpoints": places, "form_number": "W" * 20}
            for kind in ("visitor", "inspector")
            for places in ("", "c1 c2 c3", " ".join(f"0100{n:03}" for n in range(16)))
        )
    )
    (page,) = printed.greys(printed.sheets(passes))
    for number, one in enumerate(passes):
        left, top, width, height = pass_sheets.card(number)
        quiet_left = left + width - 2 * pass_sheets.QUIET_MM - pass_sheets.CODE_MM
        strip = (quiet_left, top + 1, pass_sheets.QUIET_MM - 0.5, height - 2)
        assert printed.cut(page, strip).min() == 255
        assert decoded(printed.cut(page, pass_sheets.card(number))) == [one.text.encode()]


def test_places_that_there_is_no_room_for_are_counted():
    many = " ".join(f"diem-kiem-dich-{n:02}" for n in range(16))
    (page,) = printed.texts(printed.sheets(printed.made({"holder": "Mẫu", "checkpoints": many})))
    assert "at 16 checkpoints" in page


def test_a_code_too_fine_for_the_camera_is_refused():
    places = " ".join("x" * 40 + f"{n:03}" for n in range(16))
    passes = printed.made({"holder": "Phan Thị Mẫu", "checkpoints": places})
    with pytest.raises(PaperError, match=r"'Phan Thị Mẫu': .* name fewer checkpoints"):
        printed.sheets(passes)


@pytest.mark.parametrize("name", ["محمد", "דוד", "李小龙", "Mẫu🧪", "a\u202eb"])
def test_names_that_would_come_out_wrong_are_not_printable(name):
    assert paper.unprintable(name)
    sheet = Paper(100, 100, title="", at=AT)
    sheet.begin_page()
    with pytest.raises(PaperError, match="can't be printed; write it in Latin letters"):
        sheet.write(name, Place(5, 5, 90, 10), 8)


def test_the_sheets_are_the_same_for_the_same_passes():
    passes = printed.made({"holder": "Mẫu"})
    assert printed.sheets(passes) == printed.sheets(passes)


def test_a_label_says_who_whom_to_call_and_what_blinks_mean():
    (page,) = printed.texts(label.pdf([DOOR], at=AT))
    for text in (
        "bv-lao-cai-cong-1",
        "Checkpoint 0100123, registered as LC-000123",
        "Bệnh viện Mẫu, cổng số 1",
        "Support: 000 000 0000",
        "Come in: recorded",
        "7 no connection to the broker",
        "11 settings and lists",
    ):
        assert text in page


def test_a_labels_code_is_read_and_is_no_visitor_and_no_test_code():
    picture = paper.picture(label.pdf([DOOR], at=AT), 200)
    (payload,) = decoded(as_grey(picture))
    assert payload == b"VAORA:KIOSK:bv-lao-cai-cong-1:0100123" != TEST_CODE
    assert isinstance(credentials.read(payload, HERE), Foreign)


def as_grey(png):
    import PIL.Image

    return np.asarray(PIL.Image.open(io.BytesIO(png)).convert("L"))


def test_the_picture_is_the_size_of_the_label(tmp_path):
    file = tmp_path / "label.png"
    file.write_bytes(paper.picture(label.pdf([DOOR], at=AT), 300))
    height, width = read_image(file).shape
    assert (width, height) == (pytest.approx(1181, abs=1), pytest.approx(1748, abs=1))


def test_the_longest_that_an_inventory_may_have_fits_the_label():
    long = Label("W" * 48, "W" * 48, "Ễ" * 120, "W" * 40, "Ễ " * 60)
    (page,) = printed.greys(label.pdf([long], at=AT))
    edge = round(4 / 25.4 * 150)
    inner = page[edge:-edge, edge:-edge]
    page = page.copy()
    page[edge:-edge, edge:-edge] = 255
    assert page.min() == 255
    assert inner.min() == 0
    assert decoded(inner) == [long.code.encode()]


def test_a_language_of_longer_words_fits_the_label(monkeypatch):
    def longer(text):
        return text if "{" in text else f"{text} {text[: len(text) // 2]}".strip()

    monkeypatch.setattr(label, "_", longer)
    (page,) = printed.texts(label.pdf([DOOR], at=AT))
    for words in (label.PARTS, label.STEPS):
        for text in words.values():
            assert longer(text) in page


def test_without_the_font_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(paper, "FONTS", tmp_path)
    with pytest.raises(PaperError, match="sudo apt install fonts-dejavu-core"):
        label.pdf([DOOR], at=AT)


@pytest.mark.parametrize("name", ["fpdf", "pypdfium2"])
def test_without_the_libraries_it_is_said_what_to_install(monkeypatch, name):
    pdf = label.pdf([DOOR], at=AT)
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(PaperError, match=r"pip install 'vaora\[paper\]'"):
        label.pdf([DOOR], at=AT) if name == "fpdf" else paper.picture(pdf, 100)


def test_runs_are_what_is_dark():
    rows = qr.modules("VP1:MẪU")
    drawn = np.zeros((len(rows), len(rows)), np.uint8)
    for run in qr.runs(rows):
        drawn[run.y, run.x : run.x + run.length] += 1
    assert drawn.tolist() == [list(row) for row in rows]


def test_more_than_any_code_holds_is_said():
    with pytest.raises(qr.TooMuchError, match="5000 characters"):
        qr.modules("x" * 5000)
