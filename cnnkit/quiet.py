"""Silence for libraries that write to the standard streams past Python, or to a log."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import IO

_one = (
    threading.RLock()
)  # the streams belong to the process: two threads that redirect them would restore each other's silence


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop everything written to standard output and standard error inside the block, from Python and from C++ alike.

    TensorFlow is first imported in such a block. Its log then shows errors alone: its advice on retracing is not for users.
    """
    import logging  # `predict` of an exported file starts sooner without

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with open(os.devnull, "w") as null, _into(null):  # noqa: PTH123
        yield


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Keep what `quiet` drops: the list has the lines once the block has ended."""
    import tempfile

    lines: list[str] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        with _into(file):
            yield lines
        file.seek(0)
        lines += file.read().splitlines()


@contextlib.contextmanager
def _into(file: IO[str]) -> Iterator[None]:
    with _one:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                stream.flush()
        saved = [(number, os.dup(number)) for number in (1, 2)]
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            for number, _ in saved:
                os.dup2(file.fileno(), number)
            try:
                yield
            finally:
                file.flush()
                for number, descriptor in saved:
                    os.dup2(descriptor, number)
                    os.close(descriptor)
