"""A file that nothing vouches for is tried in a process of its own before it is opened in this one.

Libraries that read models are written in C++: a damaged file makes them abort, run out of memory or never end, and none of that
can be caught inside the process. What passed is remembered by its checksum in the cache, so a file is tried once.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from cnnkit.errors import CnnkitError
from cnnkit.files import cache_folder, write_bytes

SECONDS = 60.0  # what a trial may take, waiting included; those of sound files take less than one
MEMORY = 2 << 30  # bytes that a trial may use beside some times the size of the file
TIMES = 16
_VERSION = "1"  # of the checks; another one makes what passed earlier be tried again


def refusal(path: Path, content: bytes, check: str, seconds: int = int(SECONDS)) -> str | None:
    """Run a check of a file in a process of its own, unless the same content has passed it already.

    Args:
        path: of the file.
        content: of the file.
        check: "module:function"; the function takes the path, and raises where the file is no good.
        seconds: of processor time that the check may take; a machine that is busy with other things makes it no longer.

    Returns:
        Why the file is refused, without a full stop: the check failed, ended the process, or did not come to an end. None: it
        passed.
    """
    key = hashlib.sha256(f"{_VERSION} {check} ".encode() + hashlib.sha256(content).digest()).hexdigest()
    passed = cache_folder() / "tried" / key
    with contextlib.suppress(OSError):
        if passed.is_file():
            return None
    reason = _tried(path, check, seconds)
    if reason is not None:
        return reason.rstrip(".")
    # a cache that cannot be written only costs the time of another trial
    with contextlib.suppress(OSError, CnnkitError):
        write_bytes(passed, b"")
    return None


def python(code: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of a process that runs Python code with what can be imported here."""
    folders = os.pathsep.join(folder for folder in sys.path if folder)
    environment = {**os.environ, "PYTHONPATH": folders, "PYTHONIOENCODING": "utf-8", "PYTHONSAFEPATH": "1"}
    return [sys.executable, "-c", code, *words], environment


def _tried(path: Path, check: str, seconds: int) -> str | None:
    """Return what the check says against a file; None: nothing."""
    import signal
    import subprocess  # takes as long to load as most files to be compared with their checksum

    line, environment = python("from cnnkit.trials import main; main()", check, str(path.absolute()), str(seconds))
    try:
        done = subprocess.run(line, capture_output=True, timeout=SECONDS, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return f"reading it does not come to an end in {SECONDS:.0f} s"
    except OSError as error:
        return f"it cannot be tried ({error.strerror or error})"
    try:
        return json.loads(done.stdout.splitlines()[-1])["refused"]
    except (IndexError, ValueError, KeyError, TypeError):
        pass
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return f"reading it does not come to an end in {seconds} s"
    if done.returncode < 0:
        with contextlib.suppress(ValueError):
            return f"reading it ends the process ({signal.Signals(-done.returncode).name})"
    return "reading it ends the process, or needs more memory than such a file may"


def main() -> None:
    """Run the check that the command line names, and write its result as a last line of JSON."""
    import importlib

    check, name, seconds = sys.argv[1:]
    module, function = check.split(":")
    run = getattr(importlib.import_module(module), function)
    path = Path(name)
    _limit(MEMORY + TIMES * path.stat().st_size, int(seconds))
    reason = None
    try:
        run(path)
    except Exception as error:  # whatever a damaged file makes a reader raise is why it is refused
        reason = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
    sys.stdout.flush()
    os.write(1, f"\n{json.dumps({'refused': reason})}\n".encode())
    os._exit(0)  # what is damaged may also end in an abort when it is taken down


def _limit(more: int, seconds: int) -> None:
    """Let this process take so many bytes and seconds more, and leave no core dump, where the system can see to it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        spent = seconds + int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 1))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
