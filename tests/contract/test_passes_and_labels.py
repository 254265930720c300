"""`vaora-provision pass` and `label`, as they are typed, on a founded fleet."""

import json
import stat

import pytest
from click.testing import CliRunner

from checkin import cose
from kiosk.__main__ import _decoder
from kiosk.devices.opencv import read_image
from kiosk.logic import credentials
from kiosk.logic.credentials.here import Here, Trust
from provisioning import pass_sheets, passes_list
from provisioning.__main__ import main
from tests import fleet, inventories, printed


@pytest.fixture
def made(tmp_path, monkeypatch):
    founded = fleet.made_up(tmp_path / "fleet")
    doors = inventories.listed(*(inventories.door(number) for number in (1, 2)))
    founded.folder.inventory.write_text(doors, encoding="utf-8")
    monkeypatch.chdir(founded.folder.root)
    monkeypatch.setenv("LANGUAGE", "en")
    return founded


def said(*words, fails=False):
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert (done.exit_code != 0) == fails, done.output
    return done.output


def here(made):
    public = cose.from_base64(made.folder.pass_public.read_text("ascii"))
    return Here(fleet.now(), trust=Trust(pass_keys={cose.kid_of(public): public}))


def only_pdf(folder):
    (file,) = folder.glob("passes-*.pdf")
    return file


def test_a_pass_is_issued_printed_read_listed_and_called_back(made):
    root = made.folder.root
    output = said("pass", "issue", "--holder", "Phan Thị Mẫu", "--checkpoint", "0100001")
    pass_id = output.split()[0]
    pdf = only_pdf(root)
    assert pdf.name == f"passes-{pass_id}.pdf"
    assert stat.S_IMODE(pdf.stat().st_mode) == 0o600
    (page,) = printed.greys(pdf.read_bytes())
    (code,) = _decoder(0).read_still(printed.cut(page, pass_sheets.card(0)))
    found = credentials.read(code.payload, here(made))
    assert (found.verified, found.holder, found.pass_id) == (True, "Phan Thị Mẫu", pass_id)
    assert found.checkpoints == ("0100001",)
    assert f"{pass_id}  visitor    valid" in said("pass", "list")
    output = said("pass", "revoke", pass_id)
    assert output.startswith("1 pass is called back.\n")
    assert "vaora-provision send revocations" in output
    assert passes_list.revoked(made.folder.passes, fleet.now()) == [pass_id]
    assert "0 passes are called back" in said("pass", "revoke", "--holder", "Phan Thị Mẫu")
    assert "counts no more (called back)" in said("pass", "print", pass_id, fails=True)


def test_a_list_is_made_whole_or_not_at_all(made, tmp_path):
    wants = tmp_path / "wants.csv"
    wants.write_text(
        "Họ tên;Loại;Điểm kiểm dịch\nTrần Mẫu;nhân viên;0100001\n;khách;\nאבג;vua;0100009\n",
        encoding="utf-8",
    )
    output = said("pass", "issue", "--csv", str(wants), fails=True)
    assert [line.partition(": ")[2].partition(":")[0] for line in output.splitlines()[:4]] == [
        "line 3, holder (column A)",
        "line 4, holder (column A)",
        "line 4, kind (column B)",
        "line 4, checkpoints (column C)",
    ]
    assert "4 mistakes in" in output
    assert not made.folder.passes.exists()
    assert list(made.folder.root.glob("passes-*")) == []
    wants.write_text("holder,kind\n" + "Trần Mẫu,staff\n" * 17, encoding="utf-8")
    said("pass", "issue", "--csv", str(wants), "--pdf", "all.pdf", "--language", "en")
    assert len(printed.texts((made.folder.root / "all.pdf").read_bytes())) == 3
    assert len(passes_list.read(made.folder.passes)) == 17


def test_for_programs_the_codes_text_is_said(made):
    output = said("pass", "issue", "--holder", "Mẫu", "--json")
    line = json.loads(output.splitlines()[0])
    assert credentials.read(line["text"].encode(), here(made)).pass_id == line["pass_id"]
    assert json.loads(said("pass", "list", "--json"))["holder"] == "Mẫu"


def test_a_sheet_that_was_lost_is_printed_again_as_it_was(made):
    text = json.loads(said("pass", "issue", "--holder", "Mẫu", "--json").splitlines()[0])
    first = only_pdf(made.folder.root)
    assert "is there already; name another with --pdf" in said(
        "pass", "print", text["pass_id"], fails=True
    )
    first.unlink()
    said("pass", "print", text["pass_id"], "--batch")
    (page,) = printed.greys(first.read_bytes())
    (code,) = _decoder(0).read_still(printed.cut(page, pass_sheets.card(0)))
    assert code.payload == text["text"].encode()


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        ([], "say for whom: --holder NAME, or --csv FILE"),
        (["--holder", "Mẫu", "--csv", "fleet.toml"], "say for whom"),
        (["--holder", "Mẫu", "--hours", "x"], "--hours: 'x': is no number of hours; write one"),
        (["--holder", "Mẫu", "--from", "mai"], "--from: 'mai': is no day and no time; write"),
        (["--holder", "Mẫu", "--checkpoint", "x"], "'x': is no checkpoint of this fleet; write"),
        (["--holder", "李小龙"], "'李小龙' can't be printed; write it in Latin letters"),
        (["--holder", "Mẫu", "--form-number", "9" * 30], "--form-number: "),
        (["--holder", "Mẫu", "--pdf", "fleet.toml"], "fleet.toml: is there already"),
        (["--holder", "Mẫu", "--fleet", "keys"], "is no fleet's folder"),
    ],
)
def test_what_cant_be_issued_is_said_with_what_to_do_and_nothing_is_made(made, words, said_):
    assert said_ in said("pass", "issue", *words, fails=True).splitlines()[-1]
    assert not made.folder.passes.exists()


def test_a_pass_is_on_the_list_before_it_is_printed(made, tmp_path):
    nowhere = tmp_path / f"{'x' * 250}.pdf"  # too long for what is written beside it first
    output = said("pass", "issue", "--holder", "Mẫu", "--pdf", str(nowhere), fails=True)
    (row,) = passes_list.read(made.folder.passes)
    assert f"vaora-provision pass print --batch {row.pass_id}" in output


def test_without_an_inventory_checkpoints_are_taken_as_they_are(made):
    made.folder.inventory.write_text("kiosk\n", encoding="utf-8")
    output = said("pass", "issue", "--holder", "Mẫu", "--checkpoint", "x")
    assert "checkpoints weren't looked up" in output
    made.folder.inventory.unlink()
    assert "looked up" not in said("pass", "issue", "--holder", "Mẫu", "--checkpoint", "y")


def test_names_are_forgotten_when_asked(made):
    said("pass", "issue", "--holder", "Phan Thị Mẫu")
    passes_list.change(
        made.folder.passes,
        lambda rows: [type(one)(**{**_fields(one), "ends": one.begins}) for one in rows],
    )
    assert "Phan Thị Mẫu" in said("pass", "list")
    assert "(forgotten)" in said("pass", "list", "--forget-expired")
    assert "Phan" not in made.folder.passes.read_text("utf-8")


def _fields(row):
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_every_kiosk_gets_its_label(made):
    output = said("label", "--all", "--language", "en")
    assert output.startswith("2 labels are in labels\n")
    assert sorted(file.name for file in made.folder.labels.iterdir()) == [
        "_all.pdf", "cong-1.pdf", "cong-1.png", "cong-2.pdf", "cong-2.png",
    ]  # fmt: skip
    pages = printed.texts((made.folder.labels / "_all.pdf").read_bytes())
    assert [page.split()[0] for page in pages] == ["cong-1", "cong-2"]
    for text in ("Checkpoint 0100001, registered as TKYT-0001", "Support: Tổ CNTT mẫu"):
        assert text in pages[0]
    (code,) = _decoder(0).read_still(read_image(made.folder.labels / "cong-2.png"))
    assert code.payload == b"VAORA:KIOSK:cong-2:0100002"


def test_a_label_is_made_for_the_kiosk_that_is_named_and_no_other(made, tmp_path):
    out = tmp_path / "out"
    said("label", "--kiosk", "cong-2", "--out", str(out))
    assert sorted(file.name for file in out.iterdir()) == ["cong-2.pdf", "cong-2.png"]


def test_a_label_that_cant_be_printed_is_named_and_none_is_made(made):
    doors = [inventories.door(1), inventories.door(2, name="Bệnh viện 李")]
    made.folder.inventory.write_text(inventories.listed(*doors), encoding="utf-8")
    assert "cong-2: 'Bệnh viện 李': '李' can't be printed" in said("label", "--all", fails=True)
    assert list(made.folder.labels.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        ([], "say which: --kiosk ID (repeatable), or --all"),
        (["--all", "--kiosk", "cong-1"], "say which"),
        (["--kiosk", "cong-9"], "--kiosk cong-9: is not in the inventory; put it there"),
        (["--all", "--out", "fleet.toml/x"], "name another folder with --out"),
    ],
)
def test_what_label_cant_do_is_said_with_what_to_do(made, words, said_):
    assert said_ in said("label", *words, fails=True)
