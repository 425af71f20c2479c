"""LiteRT.js, fetched once from the npm registry that the user has set, verified, and kept.

Design choices:
- Versions are pinned, and the SHA-512 of each package is that which npm's registry publishes: what differs is not used.
- `npm pack` fetches, so a company's registry and proxy count. Without npm two files put into the cache by hand do.
- The package is kept as it came; what a page needs of it is unpacked each time, which takes half a second.
"""

import base64
import contextlib
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from cnnkit import files
from cnnkit.errors import CnnkitError
from cnnkit.reporter import Reporter

VERSION = "2.5.3"
PACKAGES = {  # name: SHA-512 of the tarball, as npm writes it
    "core": "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    "wasm-utils": "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
}
PARTS = {  # where a page has it: (package, member)
    "litert/core.js": ("core", "package/dist/index.js"),
    "litert/wasm-utils.js": ("wasm-utils", "package/dist/index.js"),
    "litert/litert.js": ("core", "package/wasm/litert_wasm_compat_internal.js"),
    "litert/litert_wasm_compat_internal.wasm": ("core", "package/wasm/litert_wasm_compat_internal.wasm"),
}
IMPORT, INSTEAD = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'  # a page has no package names
NOTICE = (
    f"LiteRT.js {VERSION} (the files in this folder) is by Google LLC, under the Apache License 2.0: "
    "https://www.apache.org/licenses/LICENSE-2.0. Source: https://github.com/google-ai-edge/LiteRT. "
    "core.js differs from the package in the name of the file that it imports.\n"
)
PATIENCE = 600  # seconds for a package


def runtime(tell: Reporter) -> dict[str, bytes]:
    """Return the files of LiteRT.js that a page needs, by their place beside it.

    Args:
        tell: hears that it is fetched.

    Raises:
        CnnkitError: it is not in the cache, and npm is missing or does not get it; or what came is another.
    """
    packages = {name: _package(name, tell) for name in PACKAGES}
    found = {}
    for place, (name, member) in PARTS.items():
        with tarfile.open(fileobj=io.BytesIO(packages[name]), mode="r:gz") as archive:
            part = archive.extractfile(member)
            assert part is not None, member  # the checksum says that it is there
            found[place] = part.read()
    assert found["litert/core.js"].count(IMPORT) == 1
    found["litert/core.js"] = found["litert/core.js"].replace(IMPORT, INSTEAD)
    return {**found, "litert/NOTICE.txt": NOTICE.encode()}


def folder() -> Path:
    """Return where the packages are kept."""
    return files.cache_folder() / "litertjs"


def _package(name: str, tell: Reporter) -> bytes:
    path = folder() / f"{name}-{VERSION}.tgz"
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if _is(content, name):
            return content
    content = _fetched(name, path, tell)
    if not _is(content, name):
        raise CnnkitError(
            f"What npm's registry gave as @litertjs/{name}@{VERSION} has another checksum than the one that was published, "
            "and is not used. Ask who runs the registry that `npm config get registry` names."
        )
    files.write_bytes(path, content)
    return content


def _is(content: bytes, name: str) -> bool:
    return base64.b64encode(hashlib.sha512(content).digest()).decode() == PACKAGES[name]


def _fetched(name: str, path: Path, tell: Reporter) -> bytes:
    by_hand = f"or put https://registry.npmjs.org/@litertjs/{name}/-/{name}-{VERSION}.tgz by hand where it is looked for: {path}"
    npm = shutil.which("npm")
    if npm is None:
        raise CnnkitError(
            f"The page needs LiteRT.js, and npm, which fetches it, is not installed. Install Node.js, {by_hand}."
        )
    tell.note(f"Fetching LiteRT.js {VERSION} from npm's registry, once: @litertjs/{name}.")
    with tempfile.TemporaryDirectory() as place:
        command = [npm, "pack", f"@litertjs/{name}@{VERSION}", "--pack-destination", place, "--ignore-scripts"]
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000"]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            said, code = done.stderr, done.returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            said, code = f"npm error {error}", 1
        made = sorted(Path(place).glob("*.tgz"))
        if code or len(made) != 1:
            raise CnnkitError(
                f"npm could not get @litertjs/{name}@{VERSION} ({_why(said)}). Mend the network, {by_hand}."
            )
        return made[0].read_bytes()


def _why(said: str) -> str:
    """Return what npm says went wrong, in a few words."""
    lines = [line.removeprefix("npm error ").removeprefix("npm ERR! ").strip() for line in said.splitlines()]
    told = [
        line
        for line in lines
        if line and not line.startswith(("code ", "errno ", "syscall ", "npm ", "A complete log"))
    ]
    return (told or ["it said nothing"])[0][:160].rstrip(".")
