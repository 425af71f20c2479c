"""What the commands do: each takes plain arguments, tells a reporter what goes on, and returns what it found out.

Nothing here prints. `cnnkit.cli` prints what verbs return, as tables or as JSON; whoever calls them from Python has it as values.
"""
