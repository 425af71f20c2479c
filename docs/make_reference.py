"""Write docs/reference.md, the reference of all commands, from the commands themselves.

python docs/make_reference.py
"""

from pathlib import Path

import click

from cnnkit.files import write_text
from cnnkit_digits.cli import main as digits
from cnnkit_photos.cli import main as photos
from cnnkit_scans.cli import main as scans
from cnnkit_signs.cli import main as signs
from cnnkit_steering.cli import main as steering
from cnnkit_text.cli import main as text

PATH = Path(__file__).parent / "reference.md"


def pages(command: click.Command, context: click.Context) -> list[str]:
    """Return the help of a command and of those below it, as Markdown."""
    sections = [f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                sections += pages(
                    below,
                    click.Context(below, info_name=name, parent=context, max_content_width=100, terminal_width=100),
                )
    return sections


def reference() -> str:
    """Return the whole page."""
    sections = ["# Reference\n\nMade from the commands by `make docs`.\n"]
    for app in (photos.command_line, digits, scans, signs, steering.command_line, text):
        context = click.Context(
            app,
            info_name=f"cnnkit {app.name}",
            max_content_width=100,
            terminal_width=100,
            help_option_names=["-h", "--help"],
        )
        sections += pages(app, context)
    return "\n".join(sections)


if __name__ == "__main__":
    write_text(PATH, reference())
