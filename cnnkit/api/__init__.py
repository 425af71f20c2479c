"""The toolkit from Python: what the commands do, as functions that return values and print nothing.

`cnnkit` shows these names; `docs/python.md` shows them at work. Errors are those of the command line (`cnnkit.errors`).
"""
