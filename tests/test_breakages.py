"""Tests prove that they can fail: each breakage, planted in a copy, is caught by the test it names.

A breakage is a plausible mistake, most often one line: what a hurried change would do.
"""

import atexit
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import Queue

import pytest

from tests.lengths import far

ROOT = Path(__file__).parent.parent
COPIED = (
    "checkin",
    "kiosk",
    "sync_daemon",
    "central",
    "provisioning",
    "demo",
    "bench",
    "tests",
    "docs",
)


@dataclass(frozen=True)
class Breakage:
    what: str
    file: str
    was: str
    becomes: str
    caught_by: str


LOGIC = "tests/logic/"
CARDS = "tests/contract/test_flash.py::"
DAYS = "tests/simulation/test_days_at_the_door.py::"
ANY_WEATHER = DAYS + "test_every_promise_holds_whatever_the_weather"

ENROLMENT = "tests/contract/test_enrolment.py::"

BREAKAGES = [
    Breakage(
        "a line of the status is said in English to everybody",
        "sync_daemon/status.py",
        '_("set by the network") if',
        '"set by the network" if',
        "tests/test_translations.py::test_status_speaks_vietnamese",
    ),
    Breakage(
        "a mistake in the list of doors is put together before it is looked up",
        "provisioning/columns.py",
        '_("write {name}").format(name=suggested)',
        '_(f"write {suggested}")',
        "tests/test_translations.py::test_what_is_marked_is_written_out_or_looked_up_in_a_table",
    ),
    Breakage(
        "a certificate is taken from who has not the token",
        "sync_daemon/claiming.py",
        "    if not proven:\n        return Ignored",
        "    if not found.nonce:\n        return Ignored",
        ENROLMENT + "test_an_answer_by_who_has_not_the_token_changes_nothing",
    ),
    Breakage(
        "what was asked for is forgotten with the power",
        "sync_daemon/identity.py",
        "        found = self._asked(file)\n",
        "        found = None\n",
        ENROLMENT + "test_any_order_of_cuts_answers_and_copies_ends_enrolled_once",
    ),
    Breakage(
        "a certificate for another key is put in place",
        "sync_daemon/identity.py",
        "        if not _fits(certificate, asked.key.encode()):\n",
        "        if not certificate:\n",
        ENROLMENT + "test_a_proven_answer_that_is_not_what_was_asked_for_changes_nothing",
    ),
    Breakage(
        "a key is used for two certificates",
        "sync_daemon/identity.py",
        "found.name == name and not self._is_answered(found)",
        "found.name == name",
        "tests/contract/test_renewal.py::"
        "test_a_cut_between_certificate_and_tidying_asks_with_a_new_key_next_time",
    ),
    Breakage(
        "a forgery is taken for an expired pass",
        "kiosk/logic/credentials/hc1.py",
        '    return "bad-signature"\n',
        '    return "expired"\n',
        LOGIC + "test_hc1.py::test_the_five_outcomes",
    ),
    Breakage(
        "a revoked pass is taken",
        "kiosk/logic/credentials/vaora_pass.py",
        "    if pass_id in here.trust.revoked:\n",
        "    if not pass_id:\n",
        LOGIC + "test_passes.py::test_a_revoked_pass_is_revoked_and_others_arent",
    ),
    Breakage(
        "a card is believed without being read back",
        "provisioning/flash.py",
        "        if disk.read_at(piece.begin, len(piece)) != content(piece):\n",
        "        if not disk.read_at(piece.begin, len(piece)):\n",
        CARDS + "test_a_card_with_one_bad_byte_is_found",
    ),
    Breakage(
        "the partition table is written first, and a half-written card boots",
        "provisioning/flash.py",
        "        for part in (rest, [head]):\n",
        "        for part in ([head], rest):\n",
        CARDS + "test_a_card_with_one_bad_byte_is_found",
    ),
    Breakage(
        "a disk that is mounted is written over",
        "provisioning/card.py",
        "    said = list(card.used_for)\n",
        "    said: list[str] = []\n",
        CARDS + "test_what_is_never_written_to",
    ),
    Breakage(
        "the OS grows root over the data partition",
        "provisioning/boot_partition.py",
        'GROWERS = ("resize",)\n',
        "GROWERS = ()\n",
        "tests/contract/test_image.py::test_nothing_grows_root_over_the_data",
    ),
    Breakage(
        "a download that was tampered with is used",
        "provisioning/official.py",
        "    if expected is not None and found != expected:\n",
        "    if expected is not None and len(found) != len(expected):\n",
        "tests/contract/test_image.py::test_a_damaged_download_is_refused_and_leaves_nothing",
    ),
    Breakage(
        "a pass of another checkpoint is taken",
        "kiosk/logic/policy.py",
        "return not shown.checkpoints or self.checkpoint in shown.checkpoints",
        "return True",
        LOGIC + "test_policy.py::test_a_pass_may_name_its_checkpoints",
    ),
    Breakage(
        "a bomb is unpacked",
        "checkin/cose.py",
        "unpacker.decompress(packed, LONGEST_TOKEN_BYTES)",
        "unpacker.decompress(packed)",
        LOGIC + "test_cose.py::test_a_bomb_ends_at_the_bound",
    ),
    Breakage(
        "an older trust list replaces a newer one",
        "kiosk/trusted.py",
        "found.version < known.version",
        "found.version < 0",
        "tests/contract/test_trusted.py::test_an_older_version_is_not_taken",
    ),
    Breakage(
        "a list that anybody signed is taken",
        "checkin/signed_list.py",
        "        if not cose.is_signed_by(signed, cose.ed25519_key(authority)):\n",
        "        if not signed.signature:\n",
        "tests/contract/test_trusted.py::test_a_list_that_cant_be_used_leaves_the_one_before",
    ),
    Breakage(
        "somebody who has left is laid under who comes",
        "kiosk/devices/decoder.py",
        "        if began - self._looked > LONGEST_GAP_S:\n",
        "        if began < 0:\n",
        "tests/contract/test_decoder.py::test_frames_of_another_moment_are_not_laid_under_this_one",
    ),
    Breakage(
        "a tag builds what it likes",
        "checkin/cose.py",
        "cbor2.loads(_untagged(raw))",
        "cbor2.loads(raw)",
        LOGIC + "test_hc1.py::test_a_tag_builds_nothing",
    ),
    Breakage(
        "one lucky bend is believed",
        "kiosk/devices/decoder.py",
        "WRINKLES_THAT_AGREE = 2",
        "WRINKLES_THAT_AGREE = 1",
        "tests/contract/test_decoder.py::test_what_only_one_bend_shows_is_not_believed",
    ),
    Breakage(
        "two engines may disagree",
        "kiosk/devices/decoder.py",
        "    return any(by != engine and other.payload != code.payload for by, other in there)\n",
        "    return False\n",
        "tests/contract/test_decoder.py::test_two_engines_that_disagree_in_one_place_are_a_misread",
    ),
    Breakage(
        "a refusal says who it was",
        "kiosk/loop.py",
        "            refused=refused.reason,\n",
        "            refused=refused.reason,\n            person=refused.credential.person(),\n",
        "tests/contract/test_kiosk_loop.py"
        "::test_a_refused_visitor_is_a_row_with_a_reason_and_nobody_in_it",
    ),
    Breakage(
        "green before disk",
        "kiosk/loop.py",
        "            if isinstance(verdict, Refused):\n",
        "            self._panel.play(feedback.pattern_for([verdict]) or feedback.REPEATED)\n"
        "            if isinstance(verdict, Refused):\n",
        DAYS + "test_a_full_disk_is_a_red_fault_and_the_visit_counts_once_it_has_room",
    ),
    Breakage(
        "a failed write is green all the same",
        "kiosk/loop.py",
        "            self._disk_failed(accepted.tag, id, error, now)\n            return False\n",
        "            self._disk_failed(accepted.tag, id, error, now)\n            return True\n",
        DAYS + "test_a_full_disk_is_a_red_fault_and_the_visit_counts_once_it_has_room",
    ),
    Breakage(
        "settled on the broker's word where the central's is asked",
        "sync_daemon/protocol.py",
        '        if self._terms.confirm == "central":\n            return []\n',
        "",
        LOGIC + "test_protocol.py::test_an_acknowledgement_alone_settles_nothing",
    ),
    Breakage(
        "confirmed before it is kept",
        "central/loop.py",
        "        try:\n            kept = self._store.keep(",
        "        for delivery in deliveries:\n            self._receiver.kept(delivery)\n"
        "        try:\n            kept = self._store.keep(",
        "tests/contract/test_central.py::test_what_could_not_be_kept_is_not_confirmed",
    ),
    Breakage(
        "a receipt for a check-in that the store refused",
        "central/loop.py",
        '            log.error("%s; nothing is confirmed, the kiosks will send it again", error)'
        "  # noqa: TRY400\n            return False\n",
        '            log.error("%s", error)\n            kept = deliveries\n',
        "tests/contract/test_central.py::test_what_could_not_be_kept_is_not_confirmed",
    ),
    Breakage(
        "the hold-off doesn't slide while the code is held",
        "kiosk/logic/hold_off.py",
        "        self.remember(tag, tick)\n        return Sight.HELD",
        "        return Sight.HELD",
        LOGIC + "test_hold_off.py::test_the_hold_off_counts_from_the_last_sight",
    ),
    Breakage(
        "a visitor remembered before the record",
        "kiosk/logic/station.py",
        "        if sight is Sight.NEW:\n",
        "        if sight is Sight.NEW:\n            self._visitors.remember(tag, tick)\n",
        LOGIC + "test_station.py::test_a_check_in_that_was_not_recorded_may_be_tried_again",
    ),
    Breakage(
        "nobody remembered across a restart",
        "kiosk/logic/station.py",
        "        self._visitors.restore((tag, at + shift) for tag, at in last_seen.items())\n",
        "",
        ANY_WEATHER,
    ),
    Breakage(
        "pure code asks the time",
        "kiosk/logic/station.py",
        "from collections import OrderedDict\n",
        "import time\nfrom collections import OrderedDict\n",
        "tests/test_architecture.py::test_every_rule_holds",
    ),
    Breakage(
        "the kiosk imports the daemon",
        "kiosk/loop.py",
        "import logging\n",
        "import logging\n\nimport sync_daemon.topics\n",
        "tests/test_architecture.py::test_every_rule_holds",
    ),
    Breakage(
        "a receipt may confirm what was never sent",
        "sync_daemon/protocol.py",
        "min(receipt.through, self._highest)",
        "receipt.through",
        LOGIC + "test_protocol.py::test_a_receipt_cannot_confirm_what_was_never_sent",
    ),
    Breakage(
        "a lost link forgets to begin again behind the watermark",
        "sync_daemon/protocol.py",
        "        self._again.clear()\n        self._sent = self._confirmed\n",
        "        self._again.clear()\n",
        ANY_WEATHER,
    ),
    Breakage(
        "the central doesn't ask for what it misses",
        "sync_daemon/protocol.py",
        "again=ledger.gaps())",
        "again=[])",
        LOGIC + "test_protocol.py::test_a_gap_is_asked_for",
    ),
    Breakage(
        "the outbox may lose the last check-ins at a power cut",
        "checkin/outbox.py",
        "pragma synchronous = full",
        "pragma synchronous = normal",
        "tests/contract/test_outbox.py::test_it_is_durable_as_the_promise_needs",
    ),
    Breakage(
        "pruning takes what isn't confirmed",
        "checkin/outbox.py",
        "                through, _ = self._marks()\n",
        "                _, through = self._marks()\n",
        "tests/contract/test_outbox.py"
        "::test_what_was_confirmed_under_an_unknown_clock_goes_only_when_room_is_needed",
    ),
    Breakage(
        "personal fields are written unsealed",
        "kiosk/loop.py",
        "return event.closed(data, self._seal) if self._seal is not None else data",
        "return data",
        ANY_WEATHER,
    ),
    Breakage(
        "a time that claims to be sure",
        "kiosk/loop.py",
        "synced=now.synced),\n            person=accepted",
        "synced=True),\n            person=accepted",
        ANY_WEATHER,
    ),
    Breakage(
        "the decoder guesses text",
        "kiosk/devices/zxing.py",
        "payload = bytes(barcode.bytes)",
        "payload = barcode.text.encode()",
        "tests/contract/test_decoder.py::test_any_bytes_come_out_as_they_are",
    ),
    Breakage(
        "a used token certifies another key",
        "provisioning/enrolling.py",
        '    return "" if same else "used"\n',
        '    return "" if used_for else "used"\n',
        LOGIC + "test_enrolling.py::test_a_used_token_gets_nothing_for_another_key",
    ),
    Breakage(
        "what a lost card holds reads what is sent to kiosks",
        "provisioning/broker/vaora.acl",
        "topic deny vaora/v1/trust\n",
        "",
        "tests/system/test_access.py::test_each_name_may_read_its_own_and_nothing_else[vaora-claim]",
    ),
    Breakage(
        "a retired kiosk is confirmed",
        "central/loop.py",
        "        if self._store.retired(kiosk) is None:\n",
        "        if True:\n",
        "tests/contract/test_report.py"
        "::test_of_a_retired_kiosk_nothing_is_kept_confirmed_or_refused",
    ),
    Breakage(
        "a refused message counts as delivered",
        "sync_daemon/broker.py",
        "        if reason.is_failure:\n            found = reasons",
        "        if False:\n            found = reasons",
        "tests/contract/test_broker.py"
        "::test_a_topic_that_is_not_allowed_is_turned_down_and_not_settled",
    ),
    Breakage(
        "a receipt that says nothing new puts off sending again",
        "sync_daemon/protocol.py",
        "        if receipt.through > self._confirmed or receipt.again:\n",
        "        if receipt.outbox:\n",
        LOGIC + "test_protocol.py::test_receipts_that_say_nothing_new_dont_put_off_sending_again",
    ),
    Breakage(
        "a time is corrected the wrong way",
        "central/times.py",
        "apart_s = checkin.data.clock.tick_s - anchor.tick_s",
        "apart_s = anchor.tick_s - checkin.data.clock.tick_s",
        LOGIC + "test_times.py::test_a_clock_that_was_set_later_corrects_what_was_before",
    ),
    Breakage(
        "a clock that was stepped is believed",
        "checkin/clock.py",
        "abs(ahead_s - last.ahead_s) < STEP_S",
        "abs(ahead_s - last.ahead_s) >= 0",
        LOGIC + "test_times.py"
        "::test_a_clock_that_is_stepped_counts_as_set_again_only_once_the_network_set_it",
    ),
    Breakage(
        "older signed settings replace newer ones",
        "kiosk/told.py",
        "self.version is not None and found.version <= self.version",
        "self.version is not None and found.version < 0",
        "tests/contract/test_told.py::test_what_is_wrong_changes_nothing_and_is_said",
    ),
    Breakage(
        "a receipt on a stick confirms what was never exported",
        "sync_daemon/__main__.py",
        "        if receipt.through > exported:\n",
        "        if receipt.through < 0:\n",
        "tests/contract/test_stick_and_recovery.py"
        "::test_a_receipt_confirms_nothing_that_was_never_exported",
    ),
    Breakage(
        "what damage changed is recovered as if it were whole",
        "checkin/recovery.py",
        "    if sure:\n",
        "    if body:\n",
        "tests/contract/test_stick_and_recovery.py"
        "::test_an_event_that_still_reads_but_was_changed_is_not_recovered",
    ),
    Breakage(
        "the central takes a clone for what it has",
        "central/store.py",
        "bodies_there[seq - there.first] == body",
        "bodies_there",
        "tests/contract/test_store.py::test_another_check_in_in_the_same_place_is_refused_and_said",
    ),
    Breakage(
        "a turn without a frame feeds the watchdog",
        "kiosk/__main__.py",
        "        if loop.turn():\n            supervisor.alive(clock.moment().tick)\n",
        "        loop.turn()\n        supervisor.alive(clock.moment().tick)\n",
        "tests/contract/test_supervisor.py::test_only_a_turn_with_a_frame_feeds_the_watchdog",
    ),
    Breakage(
        "the self-test cuts off a green",
        "kiosk/loop.py",
        "        self._show(feedback.after(feedback.SELF_TEST, result), now, is_green=False)\n",
        "        self._play(feedback.after(feedback.SELF_TEST, result), now)\n",
        "tests/contract/test_doctor.py::test_a_visitors_green_is_seen_whole_whoever_asks",
    ),
    Breakage(
        "a panel that is stuck is not noticed",
        "kiosk/devices/player.py",
        "        if since is not None and self._tick() - since > STUCK_S:\n",
        "        if since is None:\n            return\n        if since < 0:\n",
        "tests/contract/test_panel.py::test_a_pin_that_does_not_answer_is_noticed",
    ),
    Breakage(
        "a health file is written through a link",
        "checkin/health.py",
        "        Path(beside).replace(file)\n",
        "        file.write_bytes(content)\n",
        "tests/contract/test_doctor.py::test_a_link_in_a_shared_folder_leads_nobody_astray",
    ),
    Breakage(
        "a camera is stopped before what it owes is cancelled",
        "kiosk/devices/pi_camera.py",
        "            self._camera.cancel_all_and_flush()\n            self._camera.stop()\n",
        "            self._camera.stop()\n            self._camera.cancel_all_and_flush()\n",
        "tests/contract/test_pi_camera.py"
        "::test_frames_that_stop_are_a_camera_error_and_a_restart_brings_them_back",
    ),
    Breakage(
        "a renewed certificate is not taken up",
        "sync_daemon/loop.py",
        "if found != self._files_in_use and",
        "if found is None and",
        "tests/contract/test_certificate.py"
        "::test_a_renewed_certificate_is_taken_up_by_connecting_anew",
    ),
    Breakage(
        "a release is taken twice",
        "provisioning/updater.py",
        "release.version > self._ledger.number",
        "release.version >= self._ledger.number",
        "tests/contract/test_updater.py::test_what_isnt_signed_newer_and_whole_changes_nothing",
    ),
    Breakage(
        "a package is taken without a look at its hash",
        "provisioning/updater.py",
        "if left or source.read(1) or digest.hexdigest() != release.sha256:",
        "if left or source.read(1):",
        "tests/contract/test_updater.py::test_what_isnt_signed_newer_and_whole_changes_nothing",
    ),
    Breakage(
        "a version reaches the door without a rehearsal",
        "provisioning/updater.py",
        'self._rehearse(env / "bin")',
        "pass",
        "tests/contract/test_updater.py::test_a_rehearsal_that_fails_is_the_end_of_it",
    ),
    Breakage(
        "a package that the network spoilt is named whole",
        "sync_daemon/updates.py",
        "if _sha256(self._coming) != release.sha256:",
        "if not self._coming.exists():",
        "tests/contract/test_updates.py::test_parts_that_arent_what_was_signed_never_arrive",
    ),
    Breakage(
        "a signed document is in force that no restart finds again",
        "kiosk/told.py",
        "            whole.write(self._taken, raw)  #",
        "            #",
        "tests/contract/test_told.py"
        "::test_a_new_key_of_the_centrals_is_in_force_at_once_and_after_a_restart",
    ),
    Breakage(
        "settings are taken that this door can't start with",
        "kiosk/in_force.py",
        '        settings.check_together(effective, "with this kiosk\'s own settings")\n',
        "",
        "tests/contract/test_told.py::test_what_is_wrong_changes_nothing_and_is_said",
    ),
    Breakage(
        "whom a kiosk believes is changed from afar",
        "checkin/signed_list.py",
        "        kept = {key: getattr(loaded.policy, key) for key in LOCAL}\n",
        "        kept: dict[str, str] = {}\n",
        "tests/contract/test_told.py"
        "::test_tables_are_in_force_but_whom_the_kiosk_believes_stays_its_own",
    ),
    Breakage(
        "the network's older list takes the place of a newer file",
        "kiosk/trusted.py",
        "        return here if here.version > told.version else told\n",
        "        return told\n",
        "tests/contract/test_told.py::test_the_newer_of_file_and_network_counts",
    ),
    Breakage(
        "other settings cut off a green light",
        "kiosk/loop.py",
        "        if self._settings_changed and now.tick >= self._green_until:\n",
        "        if self._settings_changed:\n",
        "tests/contract/test_kiosk_loop.py"
        "::test_settings_that_were_taken_end_the_process_but_never_a_green_light",
    ),
    Breakage(
        "a list of passes that was lost pardons everybody",
        "provisioning/sending.py",
        "sorted({*revoked, *strange})",
        "sorted({*revoked})",
        "tests/contract/test_sending.py::test_a_list_of_passes_that_was_lost_pardons_nobody",
    ),
    Breakage(
        "a Wi-Fi's password is shown with what is wrong with it",
        "provisioning/comparing.py",
        "        secret = columns.BY_NAME[name].secret or not shown\n",
        "        secret = not shown\n",
        LOGIC + "test_inventory.py::test_passwords_are_shown_by_nobody",
    ),
    Breakage(
        "a key of the fleet gets onto a card",
        "provisioning/seed.py",
        """        if b"PRIVATE KEY" in content and name != "vaora/claim.pem":\n""",
        """        if b"PRIVATE KEY" in content and name not in files:\n""",
        "tests/contract/test_seed.py::test_a_seed_that_first_boot_could_not_use_is_not_given",
    ),
    Breakage(
        "two desks write the list of passes at once",
        "provisioning/passes_list.py",
        "        fcntl.flock(opened, fcntl.LOCK_EX)",
        "        fcntl.flock(opened, fcntl.LOCK_SH)",
        "tests/contract/test_passes_list.py::test_two_desks_at_once_lose_nothing",
    ),
    Breakage(
        "a pass is printed before it is on the list",
        "provisioning/commands/passes.py",
        "        passes_list.add(folder.passes, [one.row for one in made])\n"
        "        _write(sheets, made, target)\n",
        "        _write(sheets, made, target)\n"
        "        passes_list.add(folder.passes, [one.row for one in made])\n",
        "tests/contract/test_passes_and_labels.py::test_a_pass_is_on_the_list_before_it_is_printed",
    ),
    Breakage(
        "half a list of passes is made",
        "provisioning/wanted.py",
        "    passes_ = () if mistakes else tuple(",
        "    passes_ = tuple(",
        LOGIC + "test_wanted.py::test_all_mistakes_of_all_rows_are_said_at_once",
    ),
    Breakage(
        "a pass that was called back is forgotten by the kiosks' list too soon",
        "provisioning/passes_list.py",
        "at < self.ends + REVOKED_FOR",
        "at < self.ends",
        "tests/contract/test_passes_list.py::"
        "test_a_pass_that_is_called_back_is_told_to_kiosks_until_a_month_after_its_end",
    ),
    Breakage(
        "a pass's code has no quiet zone",
        "provisioning/pass_sheets.py",
        "QUIET_MM = 4.5\n",
        "QUIET_MM = 0.5\n",
        "tests/contract/test_paper.py::test_a_code_is_five_centimetres_wide_and_has_its_quiet_zone",
    ),
]


# Two cores are what the machines have that run this.
AT_ONCE = 2


@cache
def temporary():
    made = Path(tempfile.mkdtemp(prefix="planted-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def run(folder, *tests):
    # Hypothesis is half a second to load, and most of these tests don't use it.
    without = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    # No byte code is written: a breakage of the same length in the same second would find the last
    # one's. What is there goes by the source's hash.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    # Each start of a pytest closes the folder of all of them to mosquitto's user.
    # By a short name: a socket's has 107 bytes.
    # Where it is set pytest draws differences whole: for hours, where two values are long.
    environment.pop("CI", None)
    environment["PYTEST_DEBUG_TEMPROOT"] = str(temporary())
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *without, *tests],
        cwd=folder, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def planted(folder, breakage):
    """Run the test that catches `breakage` in the copy at `folder`, with it planted there."""
    file = folder / breakage.file
    sound = file.read_text(encoding="utf-8")
    assert sound.count(breakage.was) == 1, "the code has changed: plant it anew"
    file.write_text(sound.replace(breakage.was, breakage.becomes), encoding="utf-8")
    try:
        return run(folder, breakage.caught_by)
    finally:
        file.write_text(sound, encoding="utf-8")


def all_catchers(folder):
    """Run every test that catches one, with nothing planted."""
    return run(folder, *sorted({breakage.caught_by for breakage in BREAKAGES} - {ANY_WEATHER}))


def copied(folder):
    """A copy of the project in which mistakes may be made."""
    folder.mkdir()
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder


@pytest.fixture(scope="module")
def ran(request, tmp_path_factory):
    """What is planted to its run to come, `AT_ONCE`, each in a copy that no other has just then.

    None stands for nothing planted. Only what this session asks for is run.
    """
    folder = tmp_path_factory.mktemp("breakages")
    free = Queue()
    for number in range(AT_ONCE):
        free.put(copied(folder / f"project-{number}"))

    def in_a_copy(breakage):
        copy = free.get()
        try:
            return planted(copy, breakage) if breakage else all_catchers(copy)
        finally:
            free.put(copy)

    here = [item for item in request.session.items if item.path == request.path]
    asked = [
        item.callspec.params["breakage"] if hasattr(item, "callspec") else None for item in here
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {breakage: pool.submit(in_a_copy, breakage) for breakage in asked}
        pool.shutdown(cancel_futures=True)


# Every other one; `make long` plants them all.
PLANTED = BREAKAGES[:: far(2, 1)]


@pytest.mark.parametrize("breakage", PLANTED, ids=[b.what.replace(" ", "-") for b in PLANTED])
def test_a_planted_breakage_is_caught(ran, breakage):
    found = ran[breakage].result()
    if found.returncode == 0 and " passed" not in found.stdout:
        pytest.skip("the test that catches it is skipped here")
    assert found.returncode == 1, found.stdout[-2000:] + found.stderr[-2000:]
    assert " failed" in found.stdout or "error" in found.stdout


def test_the_copy_is_sound(ran):
    found = ran[None].result()
    assert found.returncode == 0, found.stdout[-3000:]
