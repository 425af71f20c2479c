"""What the command line says of texts."""

import click

from cnnkit.commands import Commands, Number

TEXTS = Commands(
    kind="text",
    given=str,
    predicted="TEXT|FILE|-...",
    explained="TEXT...",
    predict="""Name what texts are: as arguments, in files of a text a line, in tables, or - for lines on standard input.

    A few texts make a table. Files and standard input make a line each: label, probability, sure or not sure, text, with
    tabs between them.
    """,
    top="How many labels to show for each text.",
    check="Look for what spoils training: copies across splits, empty texts, label typos, contradictions.",
    show="Show samples with their labels, and the words that the model knows.",
    options=[
        click.option(
            "--min-confidence",
            type=Number(0, 1),
            help="Say `not sure` where the answer is less probable.  [default: the model's]",
        ),
        click.option(
            "--threshold",
            "thresholds",
            metavar="[LABEL=]NUMBER",
            multiple=True,
            help="Of several labels: give a label from this probability on.  [default: the model's]",
        ),
        click.option(
            "--text",
            "column",
            metavar="COLUMN",
            help="Column or field of the texts of a table.  [default: found out, and said]",
        ),
        click.option("--encoding", help="Of files, such as gb18030 or cp1251.  [default: UTF-8]"),
    ],
    skips=False,
)
