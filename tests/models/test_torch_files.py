"""Files of PyTorch: their tensors are read as they are, and nothing that they ask for is ever run."""

import struct
import sys

import numpy as np
import pytest

from cnnkit.errors import ArtifactError
from cnnkit.models import torch_files

# The steps of a pickle, by hand -----------------------------------------------------------------------------------------


def pickled(content):
    return b"\x80\x02" + content + b"."


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value):
    return b"J" + struct.pack("<i", value)


def several(*items):
    return b"(" + b"".join(items) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


EMPTY = name("collections", "OrderedDict") + b")R"


def storage(key, count, kind="FloatStorage", module="torch"):
    return several(text("storage"), name(module, kind), text(key), text("cpu"), whole(count), b"N") + b"Q"


def tensor(held, shape, strides, first=0, hooks=EMPTY):
    sides, steps = several(*map(whole, shape)), several(*map(whole, strides))
    return name("torch._utils", "_rebuild_tensor_v2") + several(held, whole(first), sides, steps, b"\x89", hooks) + b"R"


def table(**entries):
    return EMPTY + b"(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def written(content, storages=(), keys=None, magic=torch_files.MAGIC, endian=b"\x88"):
    """Put a file together: `content` is the pickle that makes the dictionary."""
    head = pickled(b"\x8a\x0a" + magic.to_bytes(10, "little")) + pickled(b"M" + struct.pack("<H", torch_files.PROTOCOL))
    system = pickled(b"}(" + text("little_endian") + endian + b"u")
    names = pickled(b"](" + b"".join(text(key) for key in (keys or [key for key, _ in storages])) + b"e")
    numbers = b"".join(struct.pack("<q", row.size) + row.tobytes() for _, row in storages)
    return head + system + pickled(content) + names + numbers


SIX = ("1", np.arange(6, dtype="<f4"))


def read(content, tmp_path):
    return torch_files.read(content, tmp_path / "x.pth")


def test_tensors_come_back_with_their_strides_offsets_and_kinds(tmp_path):
    held, counts = storage("1", 6), ("2", np.array([7], "<i8"))
    content = table(
        b=tensor(held, (3, 1), (1, 3)),
        a=tensor(held, (2,), (2,), first=1),
        n=tensor(storage("2", 1, "LongStorage"), (), ()),
    )
    found = read(written(content, (SIX, counts)), tmp_path)
    assert list(found) == ["b", "a", "n"]
    assert found["b"].tolist() == [[0], [1], [2]] and found["a"].tolist() == [1, 3] and found["n"] == 7
    assert found["b"].dtype == np.float32 and found["n"].dtype == np.int64 and found["b"].flags.writeable


def test_strides_in_any_order_give_what_numpy_gives(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("<f4")
    content = table(x=tensor(storage("k", 24), (4, 2, 3), (1, 12, 4)))
    found = read(written(content, [("k", values.reshape(-1))]), tmp_path)["x"]
    np.testing.assert_array_equal(found, values.transpose(2, 0, 1))


def planted(monkeypatch, tmp_path):
    """Put a module in reach whose import leaves a mark."""
    mark = tmp_path / "mark"
    (tmp_path / "planted_module.py").write_text(f"open({str(mark)!r}, 'w')\ndef call(*_): open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return mark


HELD = storage("1", 6)
RUN = text("touch mark")
BAD = {
    "a call of the system": name("os", "system") + several(RUN) + b"R",
    "a call of the system in an entry": table(x=name("posix", "system") + several(RUN) + b"R"),
    "a name alone": table(x=name("planted_module", "call")),
    "a call of what a module has": table(x=name("planted_module", "call") + b")R"),
    "eval": name("builtins", "eval") + several(text("open('mark', 'w')")) + b"R",
    "a name from the stack": text("os") + text("system") + b"\x93",
    "an instance": b"(" + RUN + b"ios\nsystem\n",
    "an object": b"(" + name("os", "system") + RUN + b"o",
    "a new object": name("planted_module", "call") + b")\x81",
    "an extension": b"\x82\x01",
    "a protocol of later": b"\x95" + struct.pack("<Q", 4) + b"N0N0",
    "a known name called otherwise": name("collections", "OrderedDict") + several(RUN) + b"R",
    "a storage called": name("torch", "FloatStorage") + several(whole(3)) + b"R",
    "a storage of another module": table(x=tensor(storage("1", 6, module="planted_module"), (6,), (1,))),
    "a storage of another kind": table(x=tensor(storage("1", 6, "DoubleStorage"), (6,), (1,))),
    "a state that is set": EMPTY + b"}(" + text("__class__") + EMPTY + b"ub",
    "hooks": table(x=tensor(HELD, (6,), (1,), hooks=table(hook=b"N"))),
    "a shape beyond the storage": table(x=tensor(HELD, (7,), (1,))),
    "a stride beyond the storage": table(x=tensor(HELD, (2, 2), (1, 5))),
    "a start beyond the storage": table(x=tensor(HELD, (1,), (1,), first=6)),
    "a start before it": table(x=tensor(HELD, (1,), (1,), first=-1)),
    "a stride backwards": table(x=tensor(HELD, (2,), (-1,), first=3)),
    "numbers repeated without end": table(x=tensor(HELD, (1 << 30, 1 << 30), (0, 0))),
    "numbers repeated": table(**{f"x{i}": tensor(HELD, (6,), (1,)) for i in range(3)}),
    "more strides than sides": table(x=tensor(HELD, (2,), (1, 1))),
    "too many axes": table(x=tensor(HELD, (1,) * 40, (1,) * 40)),
    "a count beyond the file": table(x=tensor(storage("1", 2**31 - 1), (6,), (1,))),
    "a count below none": table(x=tensor(storage("1", -1), (0,), (1,))),
    "another count than the numbers'": table(x=tensor(storage("1", 5), (5,), (1,))),
    "a storage that is not there": table(x=tensor(storage("2", 6), (6,), (1,))),
    "a storage of two kinds": table(x=tensor(HELD, (3,), (1,)), y=tensor(storage("1", 6, "LongStorage"), (3,), (1,))),
    "a text": text("x"),
    "a table of texts": table(x=text("y")),
    "two of one name": EMPTY + b"(" + (text("x") + tensor(HELD, (3,), (1,))) * 2 + b"u",
    "an entry without a value": EMPTY + b"(" + text("x") + b"u",
    "a key that is no name": EMPTY + b"(" + whole(1) + tensor(HELD, (6,), (1,)) + b"u",
    "a table in itself": EMPTY + b"q\x00(" + text("x") + b"h\x00u",
    "a memo that is not there": b"h\x07",
    "an end of nothing": b"",
    "a mark that is not there": b"t",
    "a mark alone": b"(",
    "nothing to take": b"R",
    "two results": EMPTY + EMPTY,
    "a long name": table(**{"x" * 2000: tensor(HELD, (6,), (1,))}),
    "a text beyond the file": b"X\xff\xff\xff\x7fabc",
    "a step that is none": b"\xff",
    "a whole number of many bytes": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"1",
}


@pytest.mark.parametrize("what", BAD)
def test_whatever_is_not_a_tensor_is_refused_and_nothing_runs(what, tmp_path, monkeypatch):
    mark = planted(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError) as caught:
        read(written(BAD[what], [SIX]), tmp_path)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'x.pth'} is not a file of weights that cnnkit reads (") and "\n" not in line
    assert not mark.exists() and "planted_module" not in sys.modules


GOOD = written(table(x=tensor(HELD, (6,), (1,))), [SIX])


@pytest.mark.parametrize("length", sorted({0, 1, 14, 60, *range(0, len(GOOD), 23), len(GOOD) - 1}))
def test_a_file_that_is_cut_is_refused(length, tmp_path):
    assert read(GOOD, tmp_path)["x"].tolist() == list(range(6))
    with pytest.raises(ArtifactError, match="is not a file of weights that cnnkit reads"):
        read(GOOD[:length], tmp_path)


def test_any_byte_that_differs_gives_tensors_or_one_line(tmp_path):
    for place in range(len(GOOD)):
        for value in (0, 0x2E, 0x52, 0x63, 0xFF):
            changed = bytearray(GOOD)
            changed[place] = value
            try:
                found = read(bytes(changed), tmp_path)
            except ArtifactError:
                continue
            assert all(isinstance(array, np.ndarray) and array.size <= 6 for array in found.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD + b"\x00", "something follows"),
        (b"PK\x03\x04" + GOOD, "an archive, as newer PyTorch"),
        (written(table(), magic=1), "does not begin as a file of PyTorch"),
        (written(table(), endian=b"\x89"), "not little endian"),
        (written(table(x=tensor(HELD, (6,), (1,))), [SIX], keys=["1", "1"]), "not those that its tensors need"),
    ],
)
def test_other_files_are_refused_with_the_reason(content, reason, tmp_path):
    with pytest.raises(ArtifactError, match=reason):
        read(content, tmp_path)


def test_a_pickle_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "MOST_STEPS", 100)
    with pytest.raises(ArtifactError, match="more than 100 steps"):
        read(written(b"N" * 200), tmp_path)
