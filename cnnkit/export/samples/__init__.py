"""Code to take along: programs that run an exported model, filled in with its names, labels and sizes, and golden inputs.

Design choices:
- A program is made of the form of the input and of the answer (`cnnkit.export.forms`), and knows no kind. A model without a
  form has none.
- It needs nothing of ours: what `predict` does is written out in it, in its own language, and `--check` holds it against what
  ours answered.
- They lie in a folder beside the files that they run, and go when no file passes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.data.records import Records
from cnnkit.export.forms import Boxes, Map, Numbers, Shares, Tokens
from cnnkit.export.graph import oldest_runtime
from cnnkit.export.profiles.profile import Faced, Profile
from cnnkit.export.samples.filling import PYTHON, Language, filled
from cnnkit.export.samples.golden import Golden
from cnnkit.files import write_bytes, write_json, write_text

CODE = "code"  # the folder
GOLDEN, NUMBERS, GUIDE = "golden.json", "golden.bin", "README.md"
DOES = {Shares: "classify", Boxes: "detect", Map: "segment", Numbers: "measure"}
RUN = {
    PYTHON: "Run by the tests of cnnkit. Says on top what it needs and how to call it; `--check` holds it against the rest."
}
LANGUAGES: Mapping[str, tuple[Language, ...]] = {"litert": (PYTHON,)}  # by the name of a profile


def names(profile: Profile) -> list[str]:
    """Return what the files are called that a profile's code has; none where it has none."""
    languages = LANGUAGES.get(profile.name, ())
    if profile.given is None or profile.answer is None or not languages:
        return []
    more = [profile.given.file] if isinstance(profile.given, Tokens) else []
    return [*(_named(profile, language) for language in languages), *more, GOLDEN, NUMBERS, GUIDE]


def _named(profile: Profile, language: Language) -> str:
    return DOES[type(profile.answer)] + language.suffix


def write(folder: Path, profile: Profile, held_out: Records, private: bool, files: Mapping[str, Faced]) -> list[Path]:
    """Write the code of files that passed the gate, or take away that of earlier ones where none did.

    Args:
        folder: of the files; the code is in `code` below it.
        profile: for whom they are.
        held_out: records that nothing was trained on.
        private: whether these may be of a person.
        files: those that passed, by precision.

    Returns:
        what was written.
    """
    made = [folder / CODE / name for name in names(profile)]
    if not files:
        for path in made:
            path.unlink(missing_ok=True)
        if made and made[0].parent.is_dir() and not any(made[0].parent.iterdir()):
            made[0].parent.rmdir()
        return []
    if not made:
        return []
    made[0].parent.mkdir(parents=True, exist_ok=True)
    golden = Golden(profile, files, held_out, private)
    values = _values(profile, files, golden)
    for language in LANGUAGES[profile.name]:
        program = filled(language, f"{language.name.lower()}/sample.jinja", values)
        write_text(folder / CODE / _named(profile, language), program)
    if isinstance(profile.given, Tokens):
        write_text(folder / CODE / profile.given.file, profile.given.vocabulary)
    write_json(folder / CODE / GOLDEN, golden.document)
    write_bytes(folder / CODE / NUMBERS, golden.data)
    write_text(folder / CODE / GUIDE, filled(PYTHON, "guide.jinja", values))
    return made


def _values(profile: Profile, files: Mapping[str, Faced], golden: Golden) -> dict[str, Any]:
    """Return what templates are filled with."""
    metadata = profile.trained
    runtimes = [(file.path.name, oldest_runtime(file.path.read_bytes())) for file in files.values()]
    return {
        "about": " ".join(str(metadata.get(name) or "") for name in ("app", "model", "data")),
        "files": [file.path.name for file in files.values()],
        "file": list(files.values())[-1].path.name,
        "runtimes": runtimes,
        "labels": list(profile.labels),
        "shape": list(profile.shape),
        "given": profile.given,
        "answer": profile.answer,
        "input_form": type(profile.given).__name__.lower(),
        "answer_form": type(profile.answer).__name__.lower(),
        "does": DOES[type(profile.answer)],
        "golden": golden.document,
        "programs": [(_named(profile, one), one.name, RUN[one]) for one in LANGUAGES[profile.name]],
    }
