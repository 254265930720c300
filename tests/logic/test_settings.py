"""The settings file: typed, and each mistake said with the cure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkin import settings
from checkin.settings import Settings, SettingsError


def test_an_empty_file_is_the_defaults():
    assert settings.parse("") == Settings()


def test_what_is_printed_reads_back():
    changed = settings.parse(
        'seal = "off"\n[door]\ndirection = "alternate"\n[policy]\naccept = ["cccd"]\n'
    )
    assert settings.parse(settings.as_toml(changed)) == changed
    assert settings.parse(settings.as_toml(changed, explained=True)) == changed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("camra = 1", "'camra' is no setting; known here: broker, camera,"),
        (
            "[camera]\nexposur = 1",
            "[camera] 'exposur' is no setting; known here: exposure_us, fps,",
        ),
        ("[camera]\nfps = 'fast'", "[camera] fps = 'fast': expected `float`, got `str` (frames a"),
        ("[camera]\nfps = 0", "[camera] fps = 0: expected `float` >= 1.0"),
        ("[camera]\nfps = nan", "[camera] fps = nan"),
        ("[camera]\nwidth = 12.5", "[camera] width = 12.5: expected `int`"),
        ("[camera]\nrepeat = 1", "[camera] repeat = 1: expected `bool`"),
        ("[camera]\nsource = 'replay'", "[camera] path is missing"),
        ("[camera]\nsource = 'webcam'", "such as /dev/video0"),
        ("[door]\ndirection = 'up'", "[door] direction = 'up'"),
        ("[policy]\naccept = ['passport']", "[policy] accept = ['passport']"),
        ("[policy]\naccept = []", "one of cccd, qrqg, bhyt, hc1"),
        ("[door]\ndirection = 'rein'", "one of in, out, alternate"),
        ("[outbox]\nkeep_confirmed_h = inf", "[outbox] keep_confirmed_h"),
        ("[kiosk]\nid = 'a/b'", "[kiosk] id = 'a/b'"),
        ("[kiosk]\nid = '+'", "[kiosk] id = '+'"),
        ("[kiosk]\nid = ''", "[kiosk] id = ''"),
        ("[kiosk]\ncheckpoint = '#'", "[kiosk] checkpoint = '#'"),
        ("[panel]\nred_pin = 17", "[panel] red_pin = 17: green_pin is on that pin already"),
        ("[panel]\nred_pin = 40", "[panel] red_pin = 40"),
        ("[panel]\nred_pin = true", "[panel] red_pin = True"),
        ("[broker]\nport = 0", "[broker] port = 0"),
        ("[broker]\nwait_max_s = 0.5", "[broker] wait_max_s is shorter"),
        ('[kiosk]\ndata_dir = "/x/\\u0000d"', "[kiosk] data_dir = '/x/\\x00d': has a control"),
        ("[kiosk]\ndata_dir = 3", "(where the outbox lies; must be on a disk that lasts)"),
        ("kiosk = 3", "kiosk = 3"),
        ("seal = 3", "seal = 3"),
        ("a = [[[", "is not TOML"),
        ("[door]\n[door]", "is not TOML"),
    ],
)
def test_a_mistake_is_said_with_its_place_and_the_cure(text, said):
    with pytest.raises(SettingsError) as caught:
        settings.parse(text, "kiosk.toml")
    assert str(caught.value).startswith("kiosk.toml: ")
    assert said in str(caught.value)


def test_a_file_that_is_not_there_says_where_it_is_looked_for(tmp_path):
    with pytest.raises(SettingsError, match="--settings FILE"):
        settings.load(tmp_path / "kiosk.toml")


def test_an_editors_byte_order_mark_is_no_mistake(tmp_path):
    file = tmp_path / "kiosk.toml"
    file.write_text('seal = "off"', encoding="utf-8-sig")
    assert settings.load(file).seal == "off"


def test_a_folder_a_picture_and_a_giant_are_no_settings(tmp_path):
    with pytest.raises(SettingsError):
        settings.load(tmp_path)
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        settings.load(picture)
    giant = tmp_path / "giant.toml"
    giant.write_text("#" * (settings.LONGEST_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match="no settings file is"):
        settings.load(giant)


@pytest.mark.parametrize(("name", "kind"), list(settings.section_types()))
def test_every_setting_is_explained(name, kind):
    for key in kind.__struct_fields__:
        assert settings.meta_of(kind, key) is not None, f"[{name}] {key}"


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_settings_error(text):
    try:
        assert isinstance(settings.parse(text), Settings)
    except SettingsError as error:
        assert str(error)


@given(
    st.sampled_from([name for name, _ in settings.section_types()]),
    st.dictionaries(
        st.sampled_from(["id", "direction", "fps", "path", "green_pin", "host", "limit_rows"]),
        st.integers() | st.booleans() | st.floats() | st.lists(st.integers(), max_size=2),
        max_size=3,
    ),
)
def test_any_values_are_settings_or_a_settings_error(section, values):
    lines = [f"{key} = {str(value).lower()}" for key, value in values.items()]
    try:
        settings.parse("\n".join([f"[{section}]", *lines]))
    except SettingsError as error:
        assert str(error)
