import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from provisioning.__main__ import main
from provisioning.register import Retired, open_register
from tests.inventories import PASSWORD, door, listed, many


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Runs `vaora-provision check` on a list."""
    monkeypatch.setenv("LANGUAGE", "en")

    def run(content, *options):
        (tmp_path / "inventory.csv").write_text(content, encoding="utf-8")
        return CliRunner().invoke(main, ["check", "--fleet", str(tmp_path), *options])

    return run


def test_a_list_without_mistakes_is_counted(check):
    done = check(many(3))
    assert (done.exit_code, done.output) == (0, "inventory.csv: 3 kiosks, no mistake\n")


def test_every_mistake_is_a_line_and_the_end_says_what_to_do(check):
    done = check(listed(door(1, phone="x"), door(2, type="x", wifi_password="kín")))
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        "line 2, phone (column H)",
        "line 3, type (column E)",
        "line 3, wifi_password (column L)",
    ]
    assert lines[-1] == "3 mistakes; correct them, then run check again"
    assert "kín" not in done.output
    assert PASSWORD not in done.output


def test_programs_get_the_same_as_json(check):
    done = check(listed(door(1, phone="x")), "--json")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert found["kiosks"] == 0
    assert found["mistakes"] == [
        {
            "line": 2,
            "column": "phone",
            "letter": "H",
            "value": "x",
            "why": "this is no telephone number",
            "cure": "write one such as 0203 000 0000",
        }
    ]


def test_another_file_may_be_named(check, tmp_path):
    other = tmp_path / "others.csv"
    other.write_text(many(1), encoding="utf-8")
    assert check("", str(other)).output == "others.csv: 1 kiosk, no mistake\n"


def test_no_list_at_all_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")
    done = CliRunner().invoke(main, ["check", "--fleet", str(tmp_path)])
    assert done.exit_code == 1
    assert "inventory.csv: line 1: can't be read" in done.output
    assert "vaora-provision init" in done.output


def test_the_name_of_a_retired_kiosk_is_used_up(check, tmp_path):
    with open_register(tmp_path / "register.db", create=True) as register, register.change():
        register.retire(Retired("cong-2", datetime(2026, 11, 1, tzinfo=UTC), "stolen"))
    done = check(many(3))
    assert done.exit_code == 1
    assert done.output.startswith(
        "inventory.csv: line 3, kiosk (column A): 'cong-2': a kiosk of this name was retired"
    )
