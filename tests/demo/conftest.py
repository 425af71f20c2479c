"""A LiteRT.js that is none, and models that a page runs, untrained."""

import base64
import hashlib
import io
import tarfile

import numpy as np
import pytest

from cnnkit.demo import litertjs
from tests import toys


def tarball(members):
    """Return an npm package with these members."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture
def packages(monkeypatch):
    """Return two packages by name, whose checksums are the pinned ones."""
    found = {}
    for name in litertjs.PACKAGES:
        members = {member: f"// {member}".encode() for owner, member in litertjs.PARTS.values() if owner == name}
        if name == "core":
            members["package/dist/index.js"] = b"import { createWasmLib } " + litertjs.IMPORT + b";"
        found[name] = tarball(members)
    sums = {name: base64.b64encode(hashlib.sha512(data).digest()).decode() for name, data in found.items()}
    monkeypatch.setattr(litertjs, "PACKAGES", sums)
    return found


@pytest.fixture
def kept(packages, tmp_path, monkeypatch):
    """Put the packages where they are looked for."""
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    litertjs.folder().mkdir(parents=True)
    for name, content in packages.items():
        (litertjs.folder() / f"{name}-{litertjs.VERSION}.tgz").write_bytes(content)


def exported(folder, model, labels, precision="float32", **about):
    """Export a model as it is; returns the file."""
    from cnnkit.export.convert import convert

    about = {**toys.ABOUT, "labels": labels, **about}
    path = folder / f"{about['app']}-{precision}.tflite"
    some = np.random.default_rng(0).integers(0, 256, (8, *model.input_shape[1:])).astype(np.uint8)
    path.write_bytes(convert(model, precision, some, about))
    return path


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory):
    """Return a file for drawn digits, untrained."""
    from cnnkit.models.images import MODELS

    labels = [str(digit) for digit in range(10)]
    model = MODELS["default"]((28, 28, 1), 10)
    return exported(tmp_path_factory.mktemp("digits"), model, labels, app="digits", layout="mnist")


@pytest.fixture(scope="session")
def texts_file(tmp_path_factory):
    """Return what makes a file for texts, untrained, of one label or of several."""
    from cnnkit.export.convert import convert
    from cnnkit.models.text import kim
    from tests import toy_texts

    def made(make=toy_texts.rows, **decided):
        records = toy_texts.records(make(60))
        network = kim((records.tokenizer.length,), 3, **toy_texts.small(records.tokenizer))
        ids = records.tokenizer.batch(records.texts(np.arange(3)))
        path = tmp_path_factory.mktemp("texts") / "text-float32.tflite"
        path.write_bytes(convert(network, "float32", ids, toy_texts.artifact(network, records, **decided).metadata))
        return path

    return made
