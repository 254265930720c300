"""Files that are there whole or not at all."""

import stat

import pytest

from checkin import whole


def names(folder):
    return [file.name for file in folder.iterdir()]


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "it"
    whole.write(file, b"one")
    whole.write(file, b"two", 0o600)
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(tmp_path) == ["it"]


def test_a_link_under_the_name_is_replaced_and_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"stays")
    (tmp_path / "it").symlink_to(other)
    whole.write(tmp_path / "it", b"new")
    assert other.read_bytes() == b"stays"
    assert not (tmp_path / "it").is_symlink()


def test_a_new_file_is_never_written_over_another(tmp_path):
    file = tmp_path / "key"
    whole.write_new(file, b"one")
    with pytest.raises(FileExistsError):
        whole.write_new(file, b"two")
    assert file.read_bytes() == b"one"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(tmp_path) == ["key"]


def test_a_folder_that_isnt_there_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError):
        whole.write(tmp_path / "none" / "it", b"x")
    assert names(tmp_path) == []


def test_what_was_removed_may_have_been_gone_already(tmp_path):
    file = tmp_path / "it"
    whole.write(file, b"x")
    whole.remove(file)
    whole.remove(file)
    assert not file.exists()


def test_a_file_that_was_replaced_is_known_for_another(tmp_path):
    file = tmp_path / "it"
    assert whole.mark(file) is None
    whole.write(file, b"one")
    before = whole.mark(file)
    assert whole.mark(file) == before
    whole.write(file, b"two")  # of the same length, and perhaps within one tick of the disk's clock
    assert whole.mark(file) != before
