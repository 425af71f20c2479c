"""Public names of a package that are imported when they are first asked for.

Without annotations, which would need `typing`: `import cnnkit` is to cost nothing.
"""


def getter(module, where, what):
    """Return the `__getattr__` of a module.

    Args:
        module: its name.
        where: the module of each name that it offers; of a module below it that of itself.
        what: a name is called, for the error.
    """

    def found(name):
        if name not in where:
            import difflib

            near = difflib.get_close_matches(name, where, 1)
            meant = f" Is {near[0]!r} meant?" if near else ""
            raise AttributeError(f"module {module!r} has no {what} {name!r}.{meant}")
        import importlib
        import sys

        value = importlib.import_module(where[name])
        value = value if where[name] == f"{module}.{name}" else getattr(value, name)
        setattr(sys.modules[module], name, value)
        return value

    return found
