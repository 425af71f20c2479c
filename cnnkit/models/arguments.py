"""Checks of the arguments of builders."""


def check_positive(**arguments: int) -> None:
    """Refuse an option that is not a whole number above 0.

    Raises:
        ValueError: naming the option.
    """
    for name, value in arguments.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` needs a whole number above 0. Received: {name}={value}.")
