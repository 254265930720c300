"""Which language people are spoken to in."""

import pytest

from checkin import words
from checkin.marks import joined, text


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


def test_a_text_is_english_and_is_spoken_otherwise(monkeypatch):
    monkeypatch.setattr(words, "_", {"{n} wait": "{n} đang chờ", "full": "đầy"}.get)
    told = joined(", ", [text("{n} wait", n=3), text("full"), "/a/file"])
    assert told == "3 wait, full, /a/file"
    assert words.spoken(told) == "3 đang chờ, đầy, /a/file"


def test_a_text_inside_a_text_is_spoken_too(monkeypatch):
    monkeypatch.setattr(words, "_", {"set, {chip}": "đã đặt, {chip}", "no chip": "không có"}.get)
    assert words.spoken(text("set, {chip}", chip=text("no chip"))) == "đã đặt, không có"


def test_what_is_no_text_of_ours_is_said_as_it_is():
    assert words.spoken("tệp {x} 100 %") == "tệp {x} 100 %"
    assert words.spoken(text("100 % {x}")) == "100 % {x}"
