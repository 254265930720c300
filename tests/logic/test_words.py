"""Which language people are spoken to in."""

import pytest

from checkin import words
from checkin.marks import joined, said, text


@pytest.mark.parametrize(
    ("told", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "vi_VN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "vi:en"}, "vi"),
        ({"LANG": "vi"}, "vi"),
        ({"LANG": "../../etc"}, "en"),
    ],
)
def test_the_environment_decides(told, language, monkeypatch):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert words.language() == language


def test_a_label_may_speak_another_language_meanwhile(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")
    with words.in_language("vi"):
        assert words.language() == "vi"
    assert words.language() == "en"


def test_a_text_without_a_translation_is_said_as_it_stands():
    with words.in_language("en"):
        assert words._("no such text") == "no such text"
        assert words.plural("one", "many", 2) == "many"


def speak(monkeypatch, catalogue):
    monkeypatch.setattr(words, "_", lambda said: catalogue.get(said, said))


def test_a_text_is_english_and_is_spoken_otherwise(monkeypatch):
    speak(monkeypatch, {"{n} wait": "{n} đang chờ", "full": "đầy"})
    told = joined(", ", [text("{n} wait", n=3), text("full"), "/a/file"])
    assert told == "3 wait, full, /a/file"
    assert words.spoken(told) == "3 đang chờ, đầy, /a/file"


def test_a_text_inside_a_text_is_spoken_too(monkeypatch):
    speak(monkeypatch, {"set, {chip}": "đã đặt, {chip}", "no chip": "không có"})
    assert words.spoken(text("set, {chip}", chip=text("no chip"))) == "đã đặt, không có"


def test_what_is_no_text_of_ours_is_said_as_it_is():
    assert words.spoken("tệp {x} 100 %") == "tệp {x} 100 %"
    assert words.spoken(text("100 % {x}")) == "100 % {x}"


def test_what_another_program_said_is_known_by_its_parts(monkeypatch):
    catalogue = {"refused": "từ chối", "no; try": "không; thử", "not in": "ngoài", "try": "thử"}
    speak(monkeypatch, catalogue)
    assert words.known("a.example:8883: refused: not in (0x87); no; try") == (
        "a.example:8883: từ chối: ngoài (0x87); không; thử"
    )
    assert words.known("/a/file: x (not in)") == "/a/file: x (ngoài)"
    assert words.known("") == ""


def test_what_the_system_says_is_known_too():
    with words.in_language("vi"):
        assert words.of_system(OSError(2, "No such file or directory")) == "không có tệp này"
        assert words.of_system(OSError("a thing of its own")) == "a thing of its own"


def test_an_error_keeps_the_text_that_it_was_raised_with():
    told = text("{n} wait", n=3)
    assert said(ValueError(told)) is told
    assert said(ValueError("plain")) == "plain"
    assert said(OSError(2, "No such file")) == "[Errno 2] No such file"
    assert said(ValueError()) == ""
