"""Silence for libraries that write to the standard streams past Python, or to a log."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

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
    with _one:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                stream.flush()
        saved = [(number, os.dup(number)) for number in (1, 2)]
        with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):  # noqa: PTH123
            for number, _ in saved:
                os.dup2(null.fileno(), number)
            try:
                yield
            finally:
                for number, descriptor in saved:
                    os.dup2(descriptor, number)
                    os.close(descriptor)
