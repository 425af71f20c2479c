"""The error tree.

A `CnnkitError` is bad input or a bad environment, not a bug: its message is one line that says what is wrong, where, and
what to do. The command line prints it and exits with `exit_code`; it never shows a traceback for one. Programmer errors
are plain `ValueError`s. Where Python has a name for what is wrong, the class is that too, so that `except ValueError` does what
a caller expects.
"""

from typing import Any


class CnnkitError(Exception):
    """Something the user can mend. The message is one clear line.

    It names settings in backticks, as `image_size` or `limit=100`; the command line puts its options there.

    Attributes:
        exit_code: of the command.
        of_file: whether the names are those of a file, which stay as the file has them.
    """

    exit_code = 1
    of_file = False


class DataError(CnnkitError, ValueError):
    """A file, folder, card, download or array that cannot be used."""


class DataNotFound(DataError, FileNotFoundError):
    """Data that is not there."""


class ArtifactError(CnnkitError):
    """A run folder, `.keras` or `.tflite` that cannot be used."""


class ArtifactNotFound(ArtifactError, FileNotFoundError):
    """A run folder, `.keras` or `.tflite` that is not there."""


class ConfigError(CnnkitError, ValueError):
    """A setting that does not exist or does not fit."""


class FileSettingError(ConfigError):
    """The same of a setting in a file."""

    of_file = True


class MissingExtra(CnnkitError, ImportError):
    """Work that needs an optional dependency, or an app, that is not installed."""


class GateRefused(CnnkitError):
    """The exported model does not score as the trained one.

    Attributes:
        document: as `gate.json` has it, where there is one.
    """

    exit_code = 3
    document: dict[str, Any] | None = None


_EXTRAS = {
    "train": ("tensorflow", "keras", "sklearn", "matplotlib", "jinja2", "tf_keras", "pycocotools", "yaml"),
    "scans": ("SimpleITK",),
    "jax": ("jax",),
}


def missing(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return the error that names the extra which a missing module belongs to; None: it belongs to none."""
    for extra, modules in _EXTRAS.items():
        if (error.name or "").split(".")[0] in modules:
            return MissingExtra(
                f'This command needs {error.name}, which is not installed: pip install "cnnkit[{extra}]".'
            )
    return None


def reason(error: Exception) -> str:
    """Return what an error of other code says, on one line without a full stop."""
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
