"""Files are written whole or not at all."""

import contextlib
import errno
import hashlib
import os

import pytest

from cnnkit import files
from cnnkit.errors import CnnkitError


def test_content_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    files.write_text(path, "old")
    files.write_text(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_an_error_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    files.write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="midway"), files.atomic(path) as file:
        file.write(b"half of the ne")
        raise RuntimeError("midway")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("number", "text"), [(errno.ENOSPC, "No space left"), (errno.EACCES, "No permission"), (errno.EROFS, "read-only")]
)
def test_what_the_system_refuses_is_one_clear_line(tmp_path, monkeypatch, number, text):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CnnkitError, match=text) as caught:
        files.write_bytes(tmp_path / "file", b"content")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises((CnnkitError, FileExistsError)):
        files.write_text(tmp_path / "file" / "below", "text")


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_checksum_is_that_of_hashlib(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1000)
    assert files.sha256(path) == hashlib.sha256(b"abc" * 1000).hexdigest()


@pytest.mark.parametrize("letter", ["a", "ü", "漢"])
def test_names_as_long_as_a_system_takes_are_written(tmp_path, letter):
    name = files.shortened(letter * 300)
    assert 255 - 3 < len(name.encode()) <= 255
    files.write_text(tmp_path / name, "content")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert files.shortened("short.png") == "short.png"


@pytest.mark.parametrize("fails", [False, True])
def test_folders_that_nothing_came_into_go_again(tmp_path, fails):
    (tmp_path / "old").mkdir()
    new = files.make_folders(tmp_path / "old", tmp_path / "a" / "b", tmp_path / "c", None)

    def work():
        yield 1
        files.write_text(tmp_path / "c" / "x", "content")
        if fails:
            raise CnnkitError("no")
        yield 2

    with pytest.raises(CnnkitError) if fails else contextlib.nullcontext():
        assert list(files.none_empty(work(), new)) == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "old"]
