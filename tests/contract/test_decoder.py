"""Decoders, on real images: each engine is held to the same rules."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import segno

from bench import names
from demo import scenes
from demo.people import person
from demo.scenes import Carrier, Scene, Weather
from kiosk.devices import views, zxing
from kiosk.devices.decoder import (
    START_FRAMES,
    TRICKLE_FRAMES,
    Engines,
    PatientDecoder,
    Turn,
    live_turns,
    without_inner,
)
from kiosk.devices.opencv import read_image
from kiosk.devices.zbar import Zbar
from kiosk.ports import Code, DecoderError
from tests.lengths import far

NAME = "Nguyễn Thị Phượng"


def zbar():
    try:
        return Zbar()
    except DecoderError as error:
        pytest.skip(str(error))


def patient(frame_s=0.02):
    """The door's decoder on real engines, with a clock that no busy machine can slow."""
    return PatientDecoder(Engines(zxing.local(), zxing.overall()), frame_s, Stopwatch(0.0001))


@pytest.fixture(params=["zxing", "zxing overall", "zbar", "patient"])
def engine(request):
    match request.param:
        case "zxing":
            return zxing.local()
        case "zxing overall":
            return zxing.overall()
        case "zbar":
            return zbar()
        case "patient":
            return patient()


def drawn(payload, scale=6, **options):
    code = segno.make(payload, micro=False, **options)
    return symbol(code, scale)


def symbol(code, scale=6):
    dark = np.array([[bool(module) for module in row] for row in code.matrix])
    grey = np.pad(np.where(dark, 0, 255).astype(np.uint8), 4, constant_values=255)
    return np.kron(grey, np.ones((scale, scale), dtype=np.uint8))


def payloads(engine, grey):
    return [code.payload for code in engine.read(grey)]


def test_vietnamese_names_come_out_byte_for_byte(engine):
    assert payloads(engine, drawn(NAME.encode())) == [NAME.encode()]


@pytest.mark.parametrize("number", range(20))
def test_cards_come_out_byte_for_byte(engine, number):
    who = person(number)
    assert payloads(engine, drawn(who.payload)) == [who.payload]


@pytest.mark.parametrize(
    "payload",
    [bytes(range(256)), b"\x00\x01\x02", "かな".encode("shift-jis"), b"\xff" * 40, b"a\x00b"],
)
def test_any_bytes_come_out_as_they_are(engine, payload):
    assert payloads(engine, drawn(payload, mode="byte")) == [payload]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_code_may_be_turned(engine, turns):
    assert payloads(engine, np.ascontiguousarray(np.rot90(drawn(b"ABC"), turns))) == [b"ABC"]


def test_thousands_of_vietnamese_names_come_back_byte_for_byte():
    # The short form of `make names`, which takes 100,000.
    assert names.wrong_ones(4_000) == []


def test_rows_with_padding_are_read_where_they_are(engine):
    padded = np.zeros((400, 512), dtype=np.uint8)
    code = drawn(b"PADDED")
    height, width = code.shape
    padded[:height, :width] = code
    view = padded[:height, :width]
    assert not view.flags["C_CONTIGUOUS"]
    assert payloads(engine, view) == [b"PADDED"]


def test_two_codes_in_one_frame_are_two(engine):
    both = np.hstack([drawn(b"ONE"), drawn(b"TWO")])
    assert sorted(payloads(engine, both)) == [b"ONE", b"TWO"]


def test_nothing_is_read_where_nothing_is(engine):
    for frame in scenes.empty_frames(3, seed=1):
        assert payloads(engine, frame) == []
    noise = np.random.default_rng(1).integers(0, 256, (480, 640), dtype=np.uint8)
    assert payloads(engine, noise) == []


def test_a_structured_append_code_does_not_end_the_program(engine):
    # pyzbar's own decode raises ValueError at each of these.
    for part in segno.make_sequence("a" * 200, version=3):
        engine.read(symbol(part))


ECIS = ("utf-8", "iso-8859-1", "iso-8859-5", "shift_jis", "cp1252", "utf-16-be", "big5", "ascii")


@pytest.mark.parametrize("charset", ECIS)
def test_an_eci_changes_no_byte(engine, charset):
    text = "abc é".encode(charset, "ignore").decode(charset)
    code = segno.make(text, eci=True, encoding=charset, mode="byte", micro=False)
    assert payloads(engine, symbol(code)) == [text.encode(charset)]


def test_micro_qr_is_no_code(engine):
    assert payloads(engine, symbol(segno.make_micro("25"), 12)) == []


def test_corners_go_round_from_the_upper_left(engine):
    (code,) = engine.read(drawn(b"CORNERS", scale=10))
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = code.corners
    assert x0 < x1
    assert y0 < y3
    assert x3 < x2
    assert y1 < y2


def test_text_is_for_the_eyes_and_never_missing(engine):
    (code,) = engine.read(drawn(b"\xe9\xff", mode="byte"))
    assert isinstance(code.text, str)
    assert code.payload == b"\xe9\xff"


def test_a_dark_mode_screen_is_read():
    shown = Scene(b"VISITOR:DARK", Carrier.DARK_PHONE, Weather(), 6.0, seed=1)
    assert payloads(zxing.local(), next(scenes.frames(shown, 1))) == [b"VISITOR:DARK"]


class Scripted:
    """An engine that finds what it is told, and counts how often it was asked."""

    def __init__(self, *found, nearly=()):
        self.found, self.nearly, self.count = list(found), list(nearly), 0

    def read(self, _grey):
        self.count += 1
        return self.found

    def look(self, grey):
        return self.read(grey), self.nearly


class Stopwatch:
    """A clock that moves by `step_s` whenever it is looked at."""

    def __init__(self, step_s):
        self.tick, self.step_s = 0.0, step_s

    def __call__(self):
        self.tick += self.step_s
        return self.tick


CORNERS = ((10, 10), (90, 10), (90, 90), (10, 90))
EMPTY = np.full((720, 1280), 128, dtype=np.uint8)


def textured(x=600, y=300, seed=1):
    """The empty door with something before it that looks like a code and is none."""
    frame = EMPTY.copy()
    noise = np.random.default_rng(seed).integers(0, 2, (40, 40), dtype=np.uint8) * 200
    frame[y : y + 160, x : x + 160] = np.kron(noise, np.ones((4, 4), dtype=np.uint8))
    return frame


def counting(first=None, step_s=0.001, frame_s=0.02):
    first, overall = first or Scripted(), Scripted()
    return first, overall, PatientDecoder(Engines(first, overall), frame_s, Stopwatch(step_s))


def test_an_idle_door_costs_one_look_a_frame_and_a_turn_now_and_then():
    first, overall, decoder = counting()
    for _ in range(10 * TRICKLE_FRAMES):
        decoder.read(EMPTY)
    assert (first.count, overall.count) == (10 * TRICKLE_FRAMES, 0)  # a blank wall: nothing at all
    busy = textured()
    _, overall, decoder = counting(first := Scripted())
    for _ in range(START_FRAMES):
        decoder.read(busy)  # at the start anything may be a code that was there all along
    began = first.count + overall.count
    for _ in range(10 * TRICKLE_FRAMES):
        decoder.read(busy)
    assert first.count + overall.count - began == 11 * TRICKLE_FRAMES - TRICKLE_FRAMES + 10
    assert not decoder.effort.attentive


def test_something_that_comes_into_sight_gets_turns_and_they_end_when_nothing_changes():
    first, overall, decoder = counting()
    for _ in range(30):
        decoder.read(EMPTY)
    before = first.count + overall.count
    decoder.read(textured())
    assert decoder.effort.attentive
    assert first.count + overall.count > before + 3
    for _ in range(1000):  # a poster: part of the door after a while
        decoder.read(textured())
    assert not decoder.effort.attentive


def test_turns_go_on_where_the_frame_before_stopped():
    _, _, decoder = counting(step_s=0.004)
    decoder.read(EMPTY)
    taken = []
    for seed in range(30):
        decoder.read(textured(seed=seed))
        taken.append(decoder.effort.turns)
    assert sum(taken) >= len(list(live_turns(decoder._still)))
    assert max(taken) < 6


def test_a_turn_that_would_make_the_frame_late_waits():
    _first, overall, decoder = counting(step_s=0.03, frame_s=0.02)
    decoder.read(EMPTY)
    for seed in range(5):
        decoder.read(textured(seed=seed))
        assert decoder.effort.turns == 0
    assert overall.count == 0


def test_a_dear_turn_is_tried_again_when_the_machine_has_time():
    _, _, decoder = counting(step_s=0.018, frame_s=0.02)
    decoder.read(EMPTY)
    for seed in range(10):
        decoder.read(textured(seed=seed))
    decoder._tick = Stopwatch(0.0005)
    taken = 0
    for seed in range(300):
        decoder.read(textured(seed=seed))
        taken += decoder.effort.turns
    assert taken > 300


def test_a_nearly_read_code_gets_turns_though_nothing_moved():
    _, overall, decoder = counting(Scripted(nearly=[CORNERS]))
    decoder.read(EMPTY)
    assert decoder.effort.attentive
    assert overall.count > 0


def test_a_frame_that_was_read_costs_no_second_look():
    code = Code(b"A", "A", CORNERS)
    _, overall, decoder = counting(Scripted(code))
    assert decoder.read(textured()) == [code]
    assert overall.count == 0


def test_no_effort_is_no_turn_but_a_still_image_has_them_all():
    _first, overall, decoder = counting(frame_s=0)
    for seed in range(30):
        decoder.read(textured(seed=seed))
    assert overall.count == 0
    decoder.read_still(textured())
    assert overall.count > 20


def test_corners_are_in_the_frames_pixels_whatever_the_view():
    card = drawn(b"WHERE", scale=4)
    for view in (views.AS_IT_IS, views.DOUBLE_SHARP, views.SMALLER):
        turn = Turn(view, zxing.local(), view.name)
        (code,) = turn.read(card)
        (plain,) = zxing.local().read(card)
        assert np.allclose(code.corners, plain.corners, atol=3)


def test_two_engines_that_disagree_in_one_place_are_a_misread():
    first, second = Scripted(), Scripted()
    decoder = PatientDecoder(Engines(first, first, second), 0.02, Stopwatch(0.0001))
    decoder.read(EMPTY)
    right, wrong = Code(b"RIGHT", "", CORNERS), Code(b"WRONG", "", CORNERS)
    elsewhere = Code(b"OTHER", "", tuple((x + 500, y) for x, y in CORNERS))
    first.found = [right]
    assert decoder.read(textured()) == [right]
    assert decoder._undisputed("as it is by zbar", [wrong, elsewhere]) == [elsewhere]
    assert decoder._undisputed("double by zxing", [right]) == [right]  # as it said before
    # Said twice: another code was put there.
    assert decoder._undisputed("as it is by zbar", [wrong]) == [wrong]
    decoder._frames += 100
    assert decoder._undisputed("as it is by zbar", [wrong]) == [wrong]


def test_one_engine_may_read_another_code_in_the_same_place_at_once():
    _, _, decoder = counting()
    one, other = Code(b"ONE", "", CORNERS), Code(b"OTHER", "", CORNERS)
    assert decoder._undisputed("first by zxing", [one]) == [one]
    assert decoder._undisputed("double, sharp by zxing", [other]) == [other]


def test_a_code_inside_a_code_is_part_of_the_picture():
    outer = Code(b"OUTER", "", ((0, 0), (100, 0), (100, 100), (0, 100)))
    inner = Code(b"INNER", "", ((40, 40), (60, 40), (60, 60), (40, 60)))
    beside = Code(b"BESIDE", "", ((90, 40), (120, 40), (120, 60), (90, 60)))
    assert list(without_inner([inner, outer, beside])) == [outer, beside]
    assert list(without_inner([inner])) == [inner]


def test_a_code_beside_a_turned_one_is_not_inside_it():
    turned = Code(b"TURNED", "", ((100, 0), (200, 100), (100, 200), (0, 100)))
    corner = Code(b"CORNER", "", ((2, 2), (22, 2), (22, 22), (2, 22)))
    inner = Code(b"INNER", "", ((90, 90), (110, 90), (110, 110), (90, 110)))
    assert list(without_inner([turned, corner, inner])) == [turned, corner]


def visit(payload, seed=5, **weather):
    return Scene(payload, Carrier.PHONE, Weather(**weather), 3.4, seed=seed)


def test_nobody_is_read_again_who_has_left():
    """A stack of old frames under a new one would show who stood there before."""
    decoder, payload = patient(0.5), person(3).payload
    for frame in scenes.empty_frames(3, seed=1):
        decoder.read(frame)
    seen = [payload in payloads(decoder, one) for one in scenes.frames(visit(payload, noise=70), 8)]
    assert any(seen)
    poster = next(scenes.frames(visit(b"https://poster.example"), 1))
    for _ in range(10):
        decoder.read(poster)
    covered = next(scenes.empty_frames(1, seed=2)).copy()
    covered[200:500, 400:900] = 60
    assert [payloads(decoder, covered) for _ in range(3)] == [[], [], []]


def test_frames_of_another_moment_are_not_laid_under_this_one():
    clock = Stopwatch(0.0001)
    decoder = PatientDecoder(Engines(Scripted(), Scripted()), 0.02, clock)
    for seed in range(5):
        decoder.read(textured(seed=seed))
    assert decoder._stack._frames
    clock.tick += 1.0
    decoder._frame_s = 0.0  # no turns: only what is forgotten
    decoder.read(textured(seed=9))
    assert len(decoder._stack._frames) <= 1


def test_a_poster_that_is_read_doesnt_keep_others_from_being_read():
    decoder, payload = patient(0.5), person(3).payload
    poster = drawn(b"https://poster.example", scale=4)
    for frame in scenes.empty_frames(40, seed=1):
        framed = frame.copy()
        framed[20 : 20 + poster.shape[0], 20 : 20 + poster.shape[1]] = poster
        decoder.read(framed)
    read = 0
    for frame in scenes.frames(visit(payload, motion_px=10, motion_deg=0), 30):
        framed = frame.copy()
        framed[20 : 20 + poster.shape[0], 20 : 20 + poster.shape[1]] = poster
        assert not zxing.local().read(framed)[1:]
        read += payload in payloads(decoder, framed)
    assert read > 0


def test_a_code_that_lay_there_from_the_start_is_read():
    payload = person(3).payload
    frames = list(scenes.frames(visit(payload, blur_px=1.8, shake_px=0.0), 60))
    assert not any(payloads(zxing.local(), frame) for frame in frames[:5])
    decoder = patient(0.5)
    assert any(payload in payloads(decoder, frame) for frame in frames)


def test_slow_light_and_a_hunting_exposure_are_no_news():
    for period in (600, 60):
        _, _, decoder = counting(Scripted(), step_s=0.0002)
        door = next(scenes.empty_frames(1, seed=1))
        taken = []
        for number in range(START_FRAMES + 300):
            light = 0.8 + 0.2 * np.sin(2 * np.pi * number / period)
            decoder.read(cv2.convertScaleAbs(door, alpha=light))
            taken.append(decoder.effort.turns)
        assert sum(taken[START_FRAMES:]) < 60


def test_a_door_that_is_never_at_rest_gets_no_more_than_its_due():
    first = Scripted()
    decoder = PatientDecoder(Engines(first, Scripted()), 0.02, Stopwatch(0.001))
    spent = looked = 0.0
    for seed in range(3000):
        decoder.read(textured(seed=seed))
        if seed > 500:
            spent += decoder.effort.turns_s
            looked += decoder.effort.first_s
    assert spent < 2.1 * looked  # half a first look a frame, and what a frame overdraws


def test_a_large_photograph_is_looked_at_small():
    pale = np.full((3000, 4000), 120, dtype=np.uint8)
    code = drawn(b"HTTP://LARGE.EXAMPLE", scale=8)
    pale[1000 : 1000 + code.shape[0], 1500 : 1500 + code.shape[1]] = 120 - (code < 128) * 32
    noise = np.random.default_rng(1).normal(0, 25, pale.shape)
    grey = np.clip(pale + noise, 0, 255).astype(np.uint8)
    assert not zxing.local().read(grey)
    (found,) = patient().read_still(grey)
    assert found.payload == b"HTTP://LARGE.EXAMPLE"
    assert 1400 < found.corners[0][0] < 1700


@pytest.mark.parametrize("fold", [2001, 2005, 2011])
def test_crumpled_paper_is_read_when_two_bends_agree(fold):
    payload = b"HTTP://CRUMPLED.EXAMPLE/AND-FOLDED-IN-A-POCKET"
    crumpled = views.wrinkled(fold).see(drawn(payload, scale=8))
    assert not zxing.local().read(crumpled)
    assert [code.payload for code in patient().read_still(crumpled)] == [payload]


def test_what_only_one_bend_shows_is_not_believed():
    class Once(Scripted):
        def read(self, grey):
            super().read(grey)
            return [Code(b"GHOST", "", CORNERS)] if self.count == 40 else []

    decoder = PatientDecoder(Engines(Once(), Scripted()), 0)
    assert decoder.read_still(drawn(b"x")) == []


HARD = {
    "blurred": Weather(blur_px=2.2),
    "moving": Weather(motion_px=10, motion_deg=0),
    "noisy": Weather(noise=60),
    "pale and noisy": Weather(noise=15, contrast=0.2),
}


@pytest.mark.parametrize("name", HARD)
def test_a_second_before_the_glass_is_enough_where_one_engine_fails(name):
    payload = person(3).payload
    shown = Scene(payload, Carrier.PHONE, HARD[name], 3.4, seed=5)
    decoder, alone = patient(0.5), zxing.local()
    for frame in scenes.empty_frames(3, seed=1):
        decoder.read(frame)
    frames = list(scenes.frames(shown, 30))
    read_alone = sum(payload in payloads(alone, frame) for frame in frames)
    read = sum(payload in payloads(decoder, frame) for frame in frames)
    print(f"{name}: alone {read_alone}, patient {read} of 30")
    assert read > read_alone


@pytest.mark.parametrize(
    "grey",
    [
        np.zeros((100, 100, 3), dtype=np.uint8),
        np.zeros((100, 100), dtype=np.float32),
    ],
)
def test_what_is_no_grey_image_is_said(grey):
    with pytest.raises(DecoderError):
        patient(0).read(grey)


@pytest.mark.parametrize("shape", [(0, 0), (5, 500), (16, 16)])
def test_an_image_too_small_for_a_code_has_none_and_a_still_one_is_said(shape):
    decoder = patient(0)
    grey = np.zeros(shape, dtype=np.uint8)
    assert decoder.read(grey) == []
    with pytest.raises(DecoderError, match="too few for a QR code"):
        decoder.read_still(grey)


# ── vaora-kiosk decode


def decode(*files):
    command = [sys.executable, "-m", "kiosk", "decode", *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_decode_prints_a_line_per_file_and_goes_on_after_a_bad_one(tmp_path):
    good, bad, empty = tmp_path / "good.png", tmp_path / "bad.png", tmp_path / "empty.jpg"
    cv2.imwrite(str(good), drawn(NAME.encode()))
    bad.write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    empty.write_bytes(b"")
    lines = decode(good, bad, tmp_path / "missing.png", empty, tmp_path, "/dev/zero", good)
    assert lines[0]["file"] == str(good)
    assert ["error" in line for line in lines] == [False, True, True, True, True, True, False]
    (code,) = lines[0]["codes"]
    assert code["text"] == NAME
    assert code["bytes_base64"] == "Tmd1eeG7hW4gVGjhu4sgUGjGsOG7o25n"
    assert len(code["corners"]) == 4
    assert lines[0]["ms"] > 0


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp", "tiff", "pgm"])
def test_every_common_image_format_is_read(tmp_path, ending):
    file = tmp_path / f"code.{ending}"
    cv2.imwrite(str(file), drawn(b"FORMAT"))
    assert payloads(zxing.local(), read_image(file)) == [b"FORMAT"]


def test_a_transparent_background_is_white(tmp_path):
    grey = drawn(b"CLEAR")
    image = np.zeros((*grey.shape, 4), dtype=np.uint8)
    image[:, :, 3] = 255 - grey
    cv2.imwrite(str(tmp_path / "clear.png"), image)
    assert payloads(zxing.local(), read_image(tmp_path / "clear.png")) == [b"CLEAR"]


def test_sixteen_bits_a_pixel_are_read(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), drawn(b"DEEP").astype(np.uint16) * 200)
    assert payloads(zxing.local(), read_image(tmp_path / "deep.png")) == [b"DEEP"]


# Of photographs by others, those that must be read: of all, and of every sixth, which `make test`
# shows. What is measured is in docs/performance.md.
BARS = {"zxing (all)": 175, "boofcv (all)": 219, "dgc (all)": 97}
EVERY = far(6, 1)
BARS_OF_A_SIXTH = {"zxing (all)": 30, "boofcv (all)": 37, "dgc (all)": 16}


# A picture whose list of accepted texts is not what is in it: 54 of 200 bends and another library
# read "photography", the list says "photograph".
MISLABELLED = "3561b6c1b168.png"


def test_photographs_by_others(images):
    zbar()
    files = sorted(file for file in images.glob("*/*") if file.is_file())[::EVERY]
    files = [file for file in files if file.name != MISLABELLED]
    with ThreadPoolExecutor(2) as both:  # each half in a process of its own
        halves = list(both.map(lambda half: decode(*half), (files[::2], files[1::2])))
    lines = "\n".join(json.dumps(line) for half in halves for line in half)
    scored = subprocess.run(
        [sys.executable, str(images / "score.py")],
        input=lines, capture_output=True, text=True, check=True, encoding="utf-8",
    ).stdout  # fmt: skip
    print(scored)
    rows = {line[:32].strip(): line[32:].split() for line in scored.splitlines()}
    for name, bar in (BARS if EVERY == 1 else BARS_OF_A_SIXTH).items():
        assert int(rows[name][rows[name].index("read") + 1]) >= bar, scored
    wrong = {name: row[row.index("wrong") + 1] for name, row in rows.items()}
    assert set(wrong.values()) == {"0"}, scored
