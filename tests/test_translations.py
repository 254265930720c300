"""What is said to a person is said in Vietnamese too: the catalogue, the code, and what comes out.

English that is left in Vietnamese is found three ways: a text that is marked and isn't in the
catalogue; words in the code that nobody marked; and lines of the programs' own output in which
English stands.
"""

import ast
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from string import Formatter

import msgspec
import pytest
from click.testing import CliRunner

from central import report as reports
from central.report import OutboxReport, Report
from checkin import blinks, outbox, signed_list
from checkin.claim import REFUSALS
from checkin.marks import said, text
from checkin.outbox import OutboxError
from checkin.words import _, in_language, known, of_system, spoken
from docs import translations
from kiosk import doctor
from kiosk.logic.examination import Facts, examine
from kiosk.ports import CameraError, PanelError
from kiosk.told import not_newer
from provisioning import blink_words, fleet_table, founding, inventory, label
from provisioning.__main__ import main as provision
from provisioning.card import Card, doubts, refusals
from provisioning.fleet_folder import FleetSettings
from provisioning.label import Label
from provisioning.paper import PaperError
from provisioning.wanted import Desk, survey
from sync_daemon import broker as brokers
from sync_daemon import certificate, enrolment, enrolment_words, identity, reasons, status
from sync_daemon.__main__ import main as sync
from sync_daemon.broker import Tls
from sync_daemon.enrolment_words import Enrolment
from sync_daemon.status import Status
from tests.inventories import door, listed
from tests.logic import test_examination, test_fleet_table, test_inventory

ROOT = Path(__file__).parent.parent
PACKAGES = ("checkin", "kiosk", "sync_daemon", "central", "provisioning")
MARKS = {"_", "N_", "text", "plural"}


# The catalogue.


def test_every_text_that_is_marked_is_said_in_vietnamese():
    assert translations.missing() == []


def test_a_text_that_nobody_translated_is_found(monkeypatch):
    catalogue = translations.translated()
    catalogue.delete("camera")
    monkeypatch.setattr(translations, "translated", lambda: catalogue)
    assert translations.missing() == ["camera"]


def test_the_catalogue_holds_what_the_code_says_and_nothing_else():
    """`make docs` brings it up to date."""
    there = {_first(message.id) for message in translations.translated() if message.id}
    assert there == {_first(message.id) for message in translations.gathered() if message.id}


def test_the_compiled_catalogue_is_that_of_the_text():
    """`make docs` compiles it."""
    made = translations.compiled(translations.translated())
    assert (translations.FOLDER / "vaora.mo").read_bytes() == made


def _first(said):
    return said if isinstance(said, str) else said[0]


def _fields(template):
    return sorted({field[1:] for field in Formatter().parse(template) if field[1] is not None})


def test_a_translation_has_the_same_values_in_it_in_the_same_form():
    wrong = []
    for message in translations.translated():
        if message.id:
            one = _fields(_first(message.id))
            told = [message.string] if isinstance(message.string, str) else message.string
            wrong += [said for said in told if _fields(said) != one]
    assert wrong == []


# What is in a text as it stands: commands, files and settings, which are nobody's language.
NAMED = re.compile(
    r"`[^`]+`|--[a-z-]+|[a-z]+(?:_[a-z]+)+|vaora-[a-z]+|[a-z_-]+\.(?:pem|key|md|toml)"
)


def test_a_translation_names_the_same_commands_options_files_and_settings():
    wrong = []
    for message in translations.translated():
        one = _first(message.id)
        two = message.string if isinstance(message.string, str) else message.string[0]
        plain = [re.sub(r"\{[^}]*\}", "", said) for said in (one, two)]
        if one and set(NAMED.findall(plain[0])) != set(NAMED.findall(plain[1])):
            wrong.append((one, two))
    assert wrong == []


# Words that Vietnamese has from English, and texts that are names.
SAME = {
    "camera",
    "{name}: Raspberry Pi OS {release}, {arch}; vaora {version}",
    "claim.pem: {why}",
}


def test_a_translation_is_not_the_english_once_more():
    catalogue = translations.translated()
    assert {message.id for message in catalogue if message.id == message.string != ""} == SAME


# The code.


@cache
def calls():
    return tuple(_calls())


def _calls():
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            has_text = "marks" in file.read_text(encoding="utf-8")
            for node in ast.walk(tree):
                name = _called(node)
                if name in MARKS and (name != "text" or has_text):
                    yield str(file.relative_to(ROOT)), node


def _called(node):
    """The name, whether it is its module's or imported from it."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "marks":
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _literals(node):
    wanted = node.args[:2] if _called(node) == "plural" else node.args[:1]
    return [one.value if isinstance(one, ast.Constant) else None for one in wanted]


# Where a text isn't written out but looked up: in a table of texts that are marked.
LOOK_UPS = {
    "checkin/words.py": {"said.template", "said"},
    "kiosk/doctor.py": {"PART_WORDS[one.part]"},
    "kiosk/logic/examination.py": {"facts.enrolment_trouble or facts.enrolment"},
    "sync_daemon/enrolment_words.py": {
        "ASK_FLEET",
        "BROKER_REFUSES",
        "CURES.get(kind, '')",
        "NEW_CARD",
        "RETIRED",
        "STANDINGS.get(kind, kind)",
        "STANDINGS.get(told.standing, told.standing)",
        "UNKNOWN",
        "claim.REFUSALS.get(reason, reason)",
        "claim.REFUSALS.get(word, word)",
    },
    "sync_daemon/status.py": {
        "BROKERS.get(status.broker, status.broker)",
        "CURES.get(fault, SEE_HARDWARE)",
    },
    "provisioning/commands/options.py": {"CURES.get(error.errno, ELSE)"},
    "provisioning/commands/passes.py": {"STATES[row.state(at)]"},
    "provisioning/fleet_table.py": {"head"},
    "provisioning/inventory.py": {"column.what", "columns.BY_NAME[name].what"},
    "provisioning/label.py": {"text"},
    "provisioning/pass_sheets.py": {"KINDS[row.kind]"},
}


def test_what_is_marked_is_written_out_or_looked_up_in_a_table():
    """An f-string is put together before it is looked up, and then stands in no catalogue."""
    found = {}
    for file, node in calls():
        if None in _literals(node):
            found.setdefault(file, set()).add(ast.unparse(node.args[0]))
    assert found == LOOK_UPS


def test_what_is_marked_is_gathered():
    """Babel reads tokens, not the tree: a mark inside an f-string is none to it."""
    gathered = {_first(message.id) for message in translations.gathered()}
    marked = {_literals(node)[0] for _file, node in calls()} - {None}
    assert marked - gathered == set()


# Modules whose every word is for a person.
SPOKEN = (
    "central/report.py",
    "kiosk/doctor.py",
    "kiosk/logic/examination.py",
    "provisioning/blink_words.py",
    "provisioning/card.py",
    "provisioning/columns.py",
    "provisioning/commands/*.py",
    "provisioning/comparing.py",
    "provisioning/disk.py",
    "provisioning/flash.py",
    "provisioning/fleet_folder.py",
    "provisioning/fleet_table.py",
    "provisioning/fleet_watch.py",
    "provisioning/founding.py",
    "provisioning/image.py",
    "provisioning/inventory.py",
    "provisioning/label.py",
    "provisioning/manifest.py",
    "provisioning/official.py",
    "provisioning/packages.py",
    "provisioning/paper.py",
    "provisioning/pass_sheets.py",
    "provisioning/passes_list.py",
    "provisioning/raw_disk.py",
    "provisioning/releases.py",
    "provisioning/retirement.py",
    "provisioning/seed.py",
    "provisioning/sending.py",
    "provisioning/sheet.py",
    "provisioning/tokens.py",
    "provisioning/wanted.py",
    "provisioning/wiring.py",
    "sync_daemon/enrolment_words.py",
    "sync_daemon/reasons.py",
    "sync_daemon/status.py",
)

# What is said in English whatever the language: help, which click prints, and logs.
NOT_SPOKEN = {"option", "argument", "command", "group", "debug", "info", "warning", "error"}

SENTENCE = re.compile(r"(?<!\w)[A-Za-z][A-Za-z']*(?: [A-Za-z][A-Za-z']*){2,}(?!\w)")


def unmarked(node):
    """Sentences in the code under `node` that are no docstrings and that nobody marked."""
    if isinstance(node, ast.Call):
        name = _called(node) or getattr(node.func, "attr", "")
        if name in MARKS | NOT_SPOKEN:
            return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if SENTENCE.search(re.sub("`[^`]*`", "|", node.value)):
            yield node.value
        return
    for child in ast.iter_child_nodes(node):
        yield from unmarked(child)


def test_no_sentence_for_a_person_is_left_unmarked():
    found = {
        f"{file.relative_to(ROOT)}: {said}"
        for pattern in SPOKEN
        for file in sorted(ROOT.glob(pattern))
        for said in unmarked(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('click.echo("nothing was written")', ["nothing was written"]),
        ('raise CardError(f"{device}: is no disk and no file")', [": is no disk and no file"]),
        ('click.echo(_("nothing was written"))', []),
        ('CURES = {"a": "look at its cable"}', ["look at its cable"]),
        ('@click.option("--all", help="Of every kiosk there is.")\ndef label(): pass', []),
        ('def f():\n    """Look at it all."""', []),
        ('run("`systemctl status vaora-sync` says")', []),
    ],
)
def test_a_sentence_that_nobody_marked_is_found(code, found):
    assert list(unmarked(ast.parse(code))) == found


# What comes out.


@pytest.fixture(autouse=True)
def no_language_of_this_machine(monkeypatch):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


COMMANDS = sorted(
    {f"{name} {each}" for name, group in (("vaora-provision", provision), ("vaora-sync", sync))
     for each in group.commands}
    | {"vaora-provision pass issue", "vaora-provision pass list", "vaora-provision pass print",
       "vaora-provision send revocations", "vaora-central report", "vaora-central retire"},
    key=len,
    reverse=True,
)  # fmt: skip

# Names, which are the same in every language.
NAMES = re.compile(
    "|".join(
        ["`[^`]*`", "'[^']*'", '"[^"]*"', *COMMANDS, "systemctl [a-z]+ [a-z-]+", "chown -R [a-z]+",
         r"--[a-z-]+", r"\S*[/_.]\S+"]
    )
)  # fmt: skip


def left_in_english(english, vietnamese):
    """Runs of three English words that the Vietnamese lines have too."""
    said = " | ".join(english)
    for line in vietnamese:
        for together in re.split(r"[^\w' ]", NAMES.sub("|", line)):
            words = together.split()
            for three in zip(words, words[1:], words[2:], strict=False):
                run = " ".join(three)
                if SENTENCE.fullmatch(run) and run in said:
                    yield run


def both(say):
    """The lines of `say` in each language."""
    told = []
    for language in ("en", "vi"):
        with in_language(language):
            told.append([line for part in say() for line in part.splitlines()])
    return told


def assert_translated(say):
    english, vietnamese = both(say)
    assert list(left_in_english(english, vietnamese)) == []
    assert len(english) == len(vietnamese)
    same = [line for line in set(english) & set(vietnamese) if SENTENCE.search(NAMES.sub("", line))]
    assert same == []
    assert english


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("the camera gives no frames", True),
        ("camera: the camera gives no frames; look", True),
        ("đèn: no frame came, hãy xem", True),
        ("xem `systemctl status vaora-kiosk` trước", False),
        ("/var/lib/vaora/outbox.db is 'no such file'", False),
        ("camera không cho khung hình nào", False),
    ],
)
def test_a_line_that_is_not_translated_is_found(said, left):
    english = [
        "the camera gives no frames; look: no frame came",
        "is `systemctl status vaora-kiosk`",
    ]
    assert bool(list(left_in_english(english, [said]))) is left


def test_a_line_that_is_said_in_one_language_alone_fails():
    with pytest.raises(AssertionError):
        assert_translated(lambda: ["all is well here"])


# Every fact in every way that it can be, one at a time, from a kiosk that is well and from nothing.
FACTS = [
    changes
    for function in (
        test_examination.test_what_is_wrong_is_said_with_its_cure,
        test_examination.test_what_cannot_be_told_is_no_fault,
    )
    for mark in function.pytestmark
    for _part, changes, *_rest in mark.args[1]
    if not {"no such pin", "no frame in 3 s"} & set(map(str, changes.values()))
] + [
    {"enrolment": standing, "certificate_days": None, "broker": "offline"}
    for standing in ("missing", "no-broker", "waiting", *(f"refused: {word}" for word in REFUSALS))
    if standing != "refused: "
] + [
    {"rules_trouble": ["trust", "revocations", "settings"]},
    {"clock_source": "ntp.example"},
    {"clock_source": "", "has_clock_chip": True},
    {"camera_trouble": "gives no frames"},
    {"buttons_fitted": ["direction", "test"], "buttons_down": ["direction", "test"]},
    {"outbox_trouble": "/a/outbox.db: damaged: 3"},
]  # fmt: skip


def test_the_doctor_speaks_vietnamese():
    for base in (test_examination.WELL, Facts()):
        for changes in [{}, *FACTS]:
            found = msgspec.structs.replace(base, **changes)
            assert_translated(lambda found=found: doctor.in_words(examine(found)))


def troubles_of_adapters(tmp_path):
    """What the adapters say, from their own mouths."""
    unreached = (
        TimeoutError(),
        ConnectionRefusedError(),
        brokers.socket.gaierror(),
        OSError(101, "Network is unreachable"),
    )
    yield from (f"a.example: {brokers._in_words(error)}" for error in unreached)
    yield f"ca_file = /a: {brokers._file_trouble(OSError(13, 'Permission denied'))}"
    yield f"a.example:8883: {brokers.HANGS}"
    yield certificate.look(Tls(str(tmp_path / "none"), "", ""), datetime.now(UTC)).trouble
    yield from (certificate.EXPIRED, certificate.NOT_YET_VALID)
    yield from (enrolment.NONE_YET, f"{enrolment.NO_CLAIM}: {reasons.in_words(0x87)}")
    yield identity.Identity(tmp_path / "kiosk.pem").trouble("k1", None)
    yield outbox.look_through(tmp_path / "outbox.db").rpartition(": ")[0]
    what = "the broker refused the connection"
    yield from (f"{what}: {reasons.in_words(code)}" for code in reasons.REASONS)


def test_what_the_adapters_say_is_known_where_it_is_shown(tmp_path):
    for trouble in troubles_of_adapters(tmp_path):
        assert_translated(lambda trouble=trouble: [f"{_('fault')}: {known(trouble)}"])
    with in_language("vi"):
        assert of_system(OSError(13, "Permission denied")) == "không có quyền"


def test_what_an_error_was_raised_with_reaches_the_doctor():
    def no_panel():
        raise PanelError(text("the panel can't be driven: {why}", why="EIO"))

    def no_camera():
        raise CameraError(text("no frame in {seconds:g} s", seconds=5.0))

    looking = doctor.Looking(no_panel, no_camera, None, None, 30.0)
    seen = Facts(**looking.look(None))
    assert seen.panel_trouble == "the panel can't be driven: EIO"
    assert_translated(lambda: doctor.in_words(examine(seen)))


NOT_TAKEN = [
    f"settings.arrived: {signed_list.UNSIGNED}",
    f"settings.arrived: {signed_list.NO_LIST} (cut off)",
    f"trust.arrived: {not_newer(1, 2)}",
    f"trust.arrived: {not_newer(2, 2)}",
    f"revocations.arrived: {signed_list.UNREAD} (Permission denied)",
    f"revocations.arrived: {signed_list.NO_DATE}",
]

STATUS = Status(
    checkpoint="cp", kiosk="k1", outbox_file="/a/outbox.db", outbox="ob", waiting=3, appended=9,
    confirmed=6, oldest_waiting_at="2026-11-22T05:00:00Z", last_confirmed_at="2026-11-22T05:00:00Z",
    room="plenty", set_aside={4: "damaged on disk"}, damaged_files=["/a/outbox.db.damaged-1"],
    broker="online", why_no_broker="", seconds_since_receipt=3.0, clock_synced=True, clocks_known=1,
    certificate_days=20.0, certificate_trouble="", enrolment="", enrolment_trouble="",
    renewal_refused="", trust_days=3.0, revocations_days=4.0, faults=[], settings_version=2,
    trust_version=4, revocations_version=7, not_taken=NOT_TAKEN,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"faults": [*status.CURES, "of-a-newer-version"]},
        {"broker": "offline", "why_no_broker": f"a.example: {reasons.in_words(0x8E)}"},
        {"broker": "unknown", "why_no_broker": status.NO_DAEMON, "clock_synced": False},
        {"certificate_trouble": certificate.EXPIRED},
        {"enrolment": "missing", "enrolment_trouble": f"{enrolment.NOTHING}: /a"},
        {"enrolment": "refused: retired"},
        {"update": "on trial 0.3.0"},
        {"update": "refused 0.3.0: /a/file: can't be read"},
    ],
)
def test_status_speaks_vietnamese(changes):
    found = msgspec.structs.replace(STATUS, **changes)
    assert_translated(lambda: status.in_words(found))


@pytest.mark.parametrize("reason", [*REFUSALS, ""])
@pytest.mark.parametrize("standing", enrolment_words.STANDINGS)
def test_enrolment_speaks_vietnamese(standing, reason):
    told = Enrolment(
        "k1", "cp", f"{standing}: {reason}" if reason and standing == "refused" else standing,
        file="/a/kiosk.pem", token="a1b2", ends_at="2027-11-22T05:00:00Z", days=3.0,
        renew_at="2027-07-22T05:00:00Z", renewal_refused=reason,
    )  # fmt: skip
    assert_translated(lambda: enrolment_words.in_words(told))


BAD_LISTS = [
    *(listed(door(1), door(2, **{case[0]: case[1]}), door(3)) for case in test_inventory.CELLS),
    *(listed(door(1), door(2, **case[0]), door(3)) for case in test_inventory.ROWS),
    *(case[1] for case in test_inventory.FILES),
]


def test_check_speaks_vietnamese_whatever_is_wrong_with_the_list():
    for content in BAD_LISTS:
        raw = content if isinstance(content, bytes) else content.encode()

        def say(raw=raw):
            found = inventory.survey(raw, {"cong-3"})
            assert found.mistakes
            return [mistake.text("inventory.csv") for mistake in found.mistakes]

        assert_translated(say)


@pytest.mark.parametrize(
    "row",
    [
        "", "Nguyễn Văn Thử,guest", "Nguyễn Văn Thử,,soon", "Nguyễn Văn Thử,,,2020-01-01",
        "Nguyễn Văn Thử,,,,many", "Nguyễn Văn Thử,,,2026-12-01,3", "Nguyễn Văn Thử,,,,,cp-9",
        f"{'x' * 200}", "=cmd", "Nguyễn Văn Thử,,2026-12-09,2026-12-01", ",visitor",
        "Nguyễn Văn Thử,,2040-01-01", "Nguyễn Văn Thử,,,2099-01-01", "Nguyễn Văn Thử,,,,,,=1",
    ],
)  # fmt: skip
def test_mistakes_in_a_list_of_passes_are_said_in_vietnamese(row):
    header = "holder,kind,from,until,hours,checkpoints,form_number"
    desk = Desk(datetime(2026, 11, 22, tzinfo=UTC), checkpoints=frozenset({"cp"}))

    def say():
        found = survey(f"{header}\n{row}\n".encode(), desk)
        assert found.mistakes
        return [mistake.text("guests.csv") for mistake in found.mistakes]

    assert_translated(say)


def test_the_fleets_table_speaks_vietnamese():
    state = test_fleet_table.state
    found = test_fleet_table.table(
        {
            "well": state(),
            "gone": state(online=False),
            "silent": state(at=test_fleet_table.ago(days=3)),
            "faulty": state(faults=["camera"], clock_synced=False),
            "behind": state(version="0.1.0", certificate_days=None),
            "refuses": state(not_taken=NOT_TAKEN),
        },
        listed=["well", "gone", "never"],
    )
    assert_translated(lambda: fleet_table.in_words(found, test_fleet_table.AT))
    with in_language("vi"):
        heads = next(fleet_table.in_words(found, test_fleet_table.AT)).split()
    assert not {"checkpoint", "online", "waiting", "clock", "faults"} & set(heads)


def test_lights_and_blinks_are_said_in_vietnamese():
    def say():
        yield from (_(word) for one in blink_words.LIGHTS.values() for word in one if word)
        yield from (_(blink_words.PARTS[name]) for name in blinks.PARTS)
        yield from (_(blink_words.STEPS[name]) for name in blinks.STEPS)

    english, vietnamese = both(say)
    same = {one for one, two in zip(english, vietnamese, strict=True) if one == two}
    assert same == {"camera"}


def test_what_was_on_a_stolen_kiosk_is_said_in_vietnamese():
    one = OutboxReport("cp", "ob", 5, "2026-11-21T05", "2026-11-22T05", ["a1"], waiting=2)
    unsealed = msgspec.structs.replace(one, readable=True)
    for retired_at, said_at, outboxes in (
        ("2026-11-22", "2026-11-22T06:00", [one]),
        ("", "", [one]),
        ("", "", []),
        ("", "", [unsealed]),
        ("", "", [msgspec.structs.replace(one, keys=[])]),
    ):
        found = Report("k1", retired_at, "stolen", said_at, outboxes)
        assert_translated(lambda found=found: reports.in_words(found))


def test_why_a_card_is_not_written_is_said_in_vietnamese():
    card = Card(Path("/dev/sdb1"), "sdb1", 10**12, is_disk=False, is_file=False, removable=False,
                read_only=True, model="", serial="", used_for=())  # fmt: skip
    assert_translated(lambda: [*refusals(card, 2 * 10**12), *doubts(card)])


def test_a_mistake_on_paper_is_said_to_who_prints_it_not_to_who_reads_it():
    with in_language("vi"), pytest.raises(PaperError) as caught:
        label.pdf([Label("k1", "cp", "李")], at=datetime(2026, 11, 22, tzinfo=UTC))
    assert_translated(lambda: [spoken(said(caught.value))])
    with in_language("en"):
        assert "'李' can't be printed" in spoken(said(caught.value))


def test_the_folders_readme_is_said_in_vietnamese():
    settings = FleetSettings("Thử", "broker.example", support="0203 000 0000")
    assert_translated(lambda: [founding.readme(settings)])


@pytest.mark.parametrize(
    "command",
    [
        ["check", "--fleet", "none"],
        ["fleet", "--fleet", "none"],
        ["label", "--all", "--fleet", "none"],
        ["enrol", "--list", "--fleet", "none"],
        ["pass", "list", "--fleet", "none"],
        ["retire", "k1", "--fleet", "none"],
        ["send", "trust", "--fleet", "none"],
    ],
)
def test_a_command_that_can_not_begin_says_so_in_the_language_of_lang(command, tmp_path):
    command = [str(tmp_path) if word == "none" else word for word in command]

    def say():
        with in_language(""):
            return [run(provision, command, chosen[0])]

    def run(program, words, language):
        told = CliRunner(env={"LANG": language}).invoke(program, words)
        assert told.exit_code == 1
        return told.output.removeprefix("Error: ")

    chosen = ["en_US.UTF-8"]
    english = say()
    chosen[0] = "vi_VN.UTF-8"
    vietnamese = say()
    assert english != vietnamese
    assert list(left_in_english(english, vietnamese)) == []


def test_the_daemons_status_follows_lang(tmp_path):
    file = tmp_path / "kiosk.toml"
    file.write_text(
        f'seal = "off"\n[kiosk]\nid = "k1"\ncheckpoint = "cp"\ndata_dir = "{tmp_path}"\n'
        f'runtime_dir = "{tmp_path}/run"\n'
    )
    told = [
        CliRunner(env={"LANG": language}).invoke(sync, ["status", "--settings", str(file)]).output
        for language in ("C.UTF-8", "vi_VN.UTF-8")
    ]
    assert "no outbox yet" in told[0]
    assert "chưa có hộp gửi" in told[1]


def test_an_outbox_that_is_lost_is_said_in_vietnamese():
    error = OutboxError("/a/outbox.db: was moved or deleted under the running kiosk")
    assert_translated(lambda: [known(str(error))])


def test_days_and_sizes_are_said_alike():
    """A number is a number in both languages: nothing is lost on the way."""
    found = msgspec.structs.replace(STATUS, certificate_days=123.0, waiting=45678)
    english, vietnamese = both(lambda: status.in_words(found))
    numbers = [re.findall(r"\d+", " ".join(lines)) for lines in (english, vietnamese)]
    assert numbers[0] == numbers[1]
    assert "45678" in numbers[0]
