"""The sections of a report on a network of texts: beside its baseline, its errors word by word, what its filters read.

Design choices:
- Network and baseline answered the same texts, so the page says how many only one of them had right, and what McNemar's p means
  in a sentence; a p alone is read wrong by most.
- Errors are shown as text, not as numbers: a person sees at once a joke, a wrong label, a word misread.
- Colour never stands alone: what speaks against an answer is underlined too, and each word's points are in its title.
- Texts are untrusted, may be megabytes long and hold anything: they are shortened around the strongest words, what cannot be
  printed is replaced, and the template escapes the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.excerpts import excerpt, printable
from cnnkit.metrics import CHANCE
from cnnkit.report import blocks
from cnnkit.report.sections import named
from cnnkit.score import headline

WEAK = 0.1  # of the strongest influence in a text: below it a word has no colour
LEAST = 1e-5  # a probability; of a smaller influence little is left in float32
LONGEST = 600  # characters of a text on the page
NONE = "\u2013"


def sections(
    scores: Mapping[str, Any],
    worst: Sequence[Mapping[str, Any]] = (),
    explanations: Sequence[Any] = (),
    ngrams: Sequence[Any] = (),
) -> list[blocks.Section | None]:
    """Return the sections of texts; None where its data is not there.

    Args:
        scores: as `TextClassification.score` or `TextTagging.score` return them, with `baseline`.
        worst: entries as `TextClassification.worst` returns them.
        explanations: as `explain.texts.explain` returns them; those of texts in `worst` colour their words, the others get a
            section of their own.
        ngrams: as `explain.texts.ngrams` returns them.
    """
    known = {entry["text"] for entry in worst}
    others = [entry for entry in explanations if entry.text not in known]
    return [
        beside(scores),
        errors(worst, explanations),
        decided(others),
        filters(ngrams),
    ]


def beside(scores: Mapping[str, Any]) -> blocks.Section | None:
    """Network and baseline on the same texts."""
    baseline, score = scores.get("baseline") or {}, headline(scores)
    if score is None or score.name not in baseline:
        return None
    keys = [name for name in scores if isinstance(scores[name], float) and name in baseline]
    rows = [
        ["network", *(blocks.percent(scores[name]) for name in keys)],
        ["baseline", *(blocks.percent(baseline[name]) for name in keys)],
        ["difference, points", *(blocks.points(100 * (scores[name] - baseline[name])) for name in keys)],
    ]
    content: list[blocks.Block] = [
        blocks.Table(["", *(named(name) for name in keys)], rows, numbers=range(1, len(keys) + 1))
    ]
    text = f"The baseline is {baseline['name']}: it counts words and pairs of neighbours, and knows nothing else of their order. "
    against = baseline.get("against")
    if against:
        won, lost = against["only_model"], against["only_baseline"]
        facts = {"Only the network right": f"{won:,}", "Only the baseline right": f"{lost:,}"}
        if "count" in scores:
            facts["Both right, or both wrong"] = f"{scores['count'] - won - lost:,}"
        facts["By chance alone"] = f"{_odds(against['p'])} (McNemar's exact test, p = {_p(against['p'])})"
        content.append(blocks.Facts("On the same texts", facts))
        text += verdict(won, lost, against["p"])
    else:
        text += "Where the intervals at the top of this page overlap much, it stays open which of the two is better."
    return blocks.Section("Beside the baseline", text, content)


def verdict(won: int, lost: int, p: float) -> str:
    """Say what McNemar's test says, in plain words.

    Args:
        won, lost: texts that only the network, only the baseline had right.
        p: two-sided, in [0, 1].
    """
    if not won + lost:
        return "Both answer every text alike."
    if won == lost:
        return f"Each had {won:,} texts right that the other had wrong: these texts do not tell which of the two is better."
    seen = (
        f"The network alone had {won:,} {_texts(won)} right, the baseline alone {lost:,}. If both were equally good, a "
        f"difference as large as this or larger would come about by chance {_odds(p)}; "
    )
    if p >= CHANCE:
        return seen + "so these texts do not tell which of the two is better."
    return seen + f"so it is hardly chance that the {'network' if won > lost else 'baseline'} does better."


def errors(entries: Sequence[Mapping[str, Any]], explanations: Sequence[Any] = ()) -> blocks.Section | None:
    """The most confident errors as text, their words coloured where there is an explanation."""
    shown = [entry for entry in entries if "text" in entry]
    if not shown:
        return None
    by_text: dict[str, list[Any]] = {}
    for explanation in explanations:
        by_text.setdefault(explanation.text, []).append(explanation)
    passages = []
    for entry in shown:
        true, predicted = printable(str(entry["true"])), printable(str(entry["predicted"]))
        labels = (str(entry["predicted"]).removeprefix("not "), str(entry["predicted"]), str(entry["true"]))
        found = by_text.get(entry["text"], [])
        found = sorted(found, key=lambda one: labels.index(one.label) if one.label in labels else len(labels))
        note = f"{blocks.percent(entry['confidence'], 1)} sure"
        if found and found[0].label != entry["predicted"]:
            note += f"; coloured: what speaks for {printable(found[0].label)}"
        if found and found[0].unread:
            note += f"; {found[0].unread:,} more words were not read"
        pieces = coloured(entry["text"], found[0].marked if found else ())
        title = f"{true} read as {predicted}"
        if predicted == f"not {true}":  # of several labels a text
            title = f"{true} missed"
        elif true == f"not {predicted}":
            title = f"{predicted} given, and wrong"
        passages.append(blocks.Passage(pieces, title, note, "bad"))
    text = (
        "The errors of which the model was most sure, worst first: what the text is, what it was taken for, how sure the model "
        "was. Some show a gap in the data, some a label that people would dispute."
    )
    if by_text:
        text += f" {COLOURS}"
    return blocks.Section("Worst errors", text, [blocks.Passages(passages)])


COLOURS = (
    "Green words speak for the answer, red and underlined ones against it: without the word, an unknown one in its place, the "
    "answer would be less probable, or more. The strongest word of each text has the full colour; a pointer on a word shows "
    "the change in points."
)


def decided(explanations: Sequence[Any]) -> blocks.Section | None:
    """Which words decided, in other texts than the errors."""
    if not explanations:
        return None
    passages = []
    for entry in explanations:
        note = f"{blocks.percent(entry.probability, 1)} sure"
        if entry.unread:
            note += f"; {entry.unread:,} more words were not read"
        passages.append(blocks.Passage(coloured(entry.text, entry.marked), printable(entry.label), note))
    return blocks.Section(
        "Words that decide", f"What the answers to some texts rest on. {COLOURS}", [blocks.Passages(passages)]
    )


def filters(found: Sequence[Any]) -> blocks.Section | None:
    """What the filters fire on."""
    if not found:
        return None
    weighed = any(entry.label is not None for entry in found)
    rows: list[list[blocks.Cell | str]] = []
    for entry in found:
        listed = "  \u00b7  ".join(f"{printable(ngram.text)} ({ngram.activation:.2f})" for ngram in entry.ngrams)
        row: list[blocks.Cell | str] = [f"{entry.layer} {entry.number}", str(entry.size)]
        if weighed:
            side = "" if entry.weight is None or entry.weight > 0 else "not "
            row.append(NONE if entry.label is None else f"{side}{printable(entry.label)}")
        rows.append([*row, blocks.Cell(listed, tone="words")])
    text = (
        "A filter reads a few neighbours at a time and fires on those it has learnt to look for. These are the filters that "
        "matter most, "
    )
    if weighed:
        text += "by their weight in the last layer times how much they vary, with the label they speak for; "
    else:
        text += "by how much they vary from text to text; "
    text += "and what each fired on most in the data, with the value it then puts out."
    head = ["filter", "reads", *(["speaks for"] if weighed else []), "fires on"]
    return blocks.Section("What the filters read", text, [blocks.Table(head, rows, numbers=(1,))], wide=True)


def coloured(text: str, marked: Sequence[tuple[int, int, float]] = (), most: int = LONGEST) -> list[blocks.Piece]:
    """Return a text in pieces, its words coloured by their influence.

    Args:
        text: any.
        marked: places of words (start, end, influence), as `Explanation.marked`.
        most: characters shown, about; a longer text is shortened around its strongest words.
    """
    strongest = max((abs(value) for *_, value in marked), default=0.0)
    pieces: list[blocks.Piece] = []
    for part, value in excerpt(text, marked, most):
        if value is None or strongest < LEAST or abs(value) < WEAK * strongest:
            pieces.append(blocks.Piece(part))
        else:
            written = (
                blocks.points(100 * value) if abs(value) >= 5e-4 else f"{100 * value:+.1g}".replace("-", blocks.MINUS)
            )
            pieces.append(blocks.Piece(part, value / strongest, f"{written} points"))
    return pieces or [blocks.Piece("(an empty text)")]


def _odds(p: float) -> str:
    """Write a probability as people say it."""
    if p >= 0.095:
        return f"about {round(10 * p)} {'time' if round(10 * p) == 1 else 'times'} in 10"
    if p >= 0.0095:
        return f"about {round(100 * p)} {'time' if round(100 * p) == 1 else 'times'} in 100"
    return "less than once in 1,000 times" if p < 0.001 else f"about {max(1, round(1000 * p))} in 1,000 times"


def _p(p: float) -> str:
    return "below 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _texts(count: int) -> str:
    return "text" if count == 1 else "texts"
