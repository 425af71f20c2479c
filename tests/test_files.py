"""Files are written whole or not at all."""

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
