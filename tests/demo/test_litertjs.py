"""LiteRT.js comes once, by npm, and is what was published; or a line says what to do."""

import os
import stat

import pytest

from cnnkit import files
from cnnkit.demo import litertjs
from cnnkit.errors import CnnkitError
from cnnkit.reporter import SILENT


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Return what puts an npm on the path that does as a script says; the script sees `$place`."""

    def made(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "npm"
        lines = [
            "#!/bin/sh",
            f'echo "$@" >> {tmp_path}/asked',
            "while [ $1 != --pack-destination ]; do shift; done",
            "place=$2",
            script,
        ]
        program.write_text("\n".join(lines), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return made


def test_it_is_fetched_once_by_npm_and_then_kept(packages, npm, tmp_path):
    for name, content in packages.items():
        (tmp_path / f"{name}.tgz").write_bytes(content)
    npm(
        f"if grep -q core {tmp_path}/asked && ! grep -q utils {tmp_path}/asked; then cp {tmp_path}/core.tgz $place/x.tgz; "
        f"else cp {tmp_path}/wasm-utils.tgz $place/x.tgz; fi"
    )
    found = litertjs.runtime(SILENT)
    assert set(found) == {*litertjs.PARTS, "litert/NOTICE.txt"}
    assert found["litert/core.js"] == b'import { createWasmLib } from "./wasm-utils.js";'
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert [line.split()[:2] for line in asked.splitlines()] == [
        ["pack", f"@litertjs/{name}@{litertjs.VERSION}"] for name in ("core", "wasm-utils")
    ]
    npm("exit 1")
    assert litertjs.runtime(SILENT) == found and (tmp_path / "asked").read_text(encoding="utf-8") == asked


def test_what_has_another_checksum_is_not_used_and_not_kept(packages, npm, tmp_path):
    npm("echo another > $place/x.tgz")
    with pytest.raises(CnnkitError, match="another checksum"):
        litertjs.runtime(SILENT)
    assert not list(files.cache_folder().rglob("*.tgz"))


def test_a_damaged_file_in_the_cache_is_fetched_again(packages, kept, npm, tmp_path):
    path = litertjs.folder() / f"core-{litertjs.VERSION}.tgz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    (tmp_path / "core.tgz").write_bytes(whole)
    npm(f"cp {tmp_path}/core.tgz $place/x.tgz")
    assert litertjs.runtime(SILENT) and path.read_bytes() == whole


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'npm error code ENOTFOUND\nnpm error network request to https://x failed' >&2; exit 1",
            "network request to https://x failed",
        ),
        ("exit 1", "it said nothing"),
        ("exit 0", "it said nothing"),
    ],
)
def test_without_a_network_a_line_says_what_npm_says_and_what_to_do(packages, npm, script, said):
    npm(script)
    with pytest.raises(CnnkitError) as caught:
        litertjs.runtime(SILENT)
    text = str(caught.value)
    assert f"npm could not get @litertjs/core@{litertjs.VERSION} ({said}). Mend the network, or put https://" in text
    assert text.endswith(f"core-{litertjs.VERSION}.tgz.") and "\n" not in text


def test_without_npm_a_line_says_what_to_install_and_what_else_does(packages, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CnnkitError, match=r"npm, which fetches it, is not installed. Install Node.js, or put https://\S+ by hand"
    ):
        litertjs.runtime(SILENT)
