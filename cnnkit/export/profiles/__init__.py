"""For whom a file is made: each profile says what its client needs, and how the file is scored as that client runs it."""

import importlib

from cnnkit.errors import ConfigError
from cnnkit.export.profiles.profile import Profile

LITERT = Profile.name
NAMES = (LITERT, "mediapipe", "micro", "ethos-u")


def profile_named(name: str) -> type[Profile]:
    """Return the profile of a name.

    Args:
        name: one of `NAMES`.

    Raises:
        ConfigError: there is no such profile.
    """
    if name not in NAMES:
        raise ConfigError(f"`profile` knows {', '.join(NAMES)}. Got {name!r}.")
    if name == LITERT:
        return Profile
    found: type[Profile] = importlib.import_module(f"cnnkit.export.profiles.{name.replace('-', '_')}").PROFILE
    return found
