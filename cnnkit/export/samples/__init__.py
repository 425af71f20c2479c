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
from cnnkit.export.samples.filling import CPP, JAVASCRIPT, KOTLIN, PYTHON, SWIFT, Language, filled
from cnnkit.export.samples.golden import Golden
from cnnkit.files import write_bytes, write_json, write_text
from cnnkit.registry import DEVICE, input_of

CODE = "code"  # the folder
GOLDEN, NUMBERS, GUIDE = "golden.json", "golden.bin", "README.md"
DOES = {Shares: "classify", Boxes: "detect", Map: "segment", Numbers: "measure"}
LANGUAGES: Mapping[str, Mapping[Language, str]] = {  # by the name of a profile; of each, how far it was tried
    "litert": {
        PYTHON: "Run by our tests. `--check` holds it against the golden inputs.",
        JAVASCRIPT: "For LiteRT.js; all but the loading of the model is run by our tests.",
        KOTLIN: "For Android. Not compiled here.",
        SWIFT: "For iOS. Not compiled here.",
        CPP: "For the C API. Compiled with -Wall -Werror and run by our tests, with stand-ins for the functions that it calls.",
    },
    "mediapipe": {
        PYTHON: "Run by our tests. `--check` holds it against the golden inputs.",
        JAVASCRIPT: "For a browser. Read by Node in our tests, and not run.",
        KOTLIN: "For Android. Not compiled here.",
        SWIFT: "For iOS. Not compiled here.",
    },
}


def names(profile: Profile) -> list[str]:
    """Return what the files are called that a profile's code has; none where it has none."""
    if not _languages(profile):
        return []
    programs = [_named(profile, language) for language in _languages(profile)]
    return [*programs, *_beside(profile), GOLDEN, NUMBERS, GUIDE]


def _beside(profile: Profile) -> dict[str, str]:
    """Return what programs read or import, by name."""
    if profile.name != Profile.name:  # all is in its files
        return {}
    if isinstance(profile.given, Tokens):
        return {profile.given.file: profile.given.vocabulary} if profile.given.vocabulary else {}
    pixels = input_of(profile.trained, DEVICE, "The model").demo
    found = pixels / "pixels.js" if pixels and JAVASCRIPT in _languages(profile) else None
    return {"pixels.mjs": found.read_text(encoding="utf-8")} if found else {}


def _languages(profile: Profile) -> list[Language]:
    """Return what programs there are for a profile's files."""
    if profile.given is None or profile.answer is None:
        return []
    parts = isinstance(profile.given, Tokens) and profile.given.how["buckets"]  # C++ has no lower case of all letters
    return [language for language in LANGUAGES.get(profile.name, ()) if not (parts and language is CPP)]


def _named(profile: Profile, language: Language) -> str:
    does = DOES[type(profile.answer)]
    return (does.capitalize() if language in (KOTLIN, SWIFT) else does) + language.suffix


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
    golden = Golden(profile, files, held_out, private)
    values = _values(profile, files, golden)
    for language in _languages(profile):
        template = "sample" if profile.name == Profile.name else profile.name
        program = filled(language, f"{language.folder}/{template}.jinja", values)
        write_text(folder / CODE / _named(profile, language), program)
    for name, text in _beside(profile).items():
        write_text(folder / CODE / name, text)
    write_json(folder / CODE / GOLDEN, golden.document)
    write_bytes(folder / CODE / NUMBERS, golden.data)
    write_text(folder / CODE / GUIDE, filled(PYTHON, "guide.jinja", values))
    return made


def _values(profile: Profile, files: Mapping[str, Faced], golden: Golden) -> dict[str, Any]:
    """Return what templates are filled with."""
    metadata = profile.trained
    foreign = profile.name != Profile.name
    form = type(profile.given).__name__.lower()
    order = None  # in which labels that overlap are drawn
    if isinstance(profile.answer, Map) and not profile.answer.exclusive:
        order = list(profile.answer.how["order"] or range(1, len(profile.answer.thresholds) + 1))
    # By other clients inputs are not mirrored and spread, and pieces not left out: of pixels that may change.
    how = getattr(profile.answer, "how", {})
    other = any(how.get(name) for name in ("mirrors", "largest", "smallest")) or how.get("values") == "alike"
    runtimes = [(file.path.name, oldest_runtime(file.path.read_bytes())) for file in files.values()]
    return {
        "about": " ".join(str(metadata.get(name) or "") for name in ("app", "model", "data")),
        "files": [file.path.name for file in files.values()],
        "file": list(files.values())[-1].path.name,
        "runtimes": runtimes,
        "labels": list(profile.labels),
        "lines": profile.lines,
        "shape": list(profile.shape),
        "given": profile.given,
        "answer": profile.answer,
        "input_form": "sentences"
        if foreign and isinstance(profile.given, Tokens)
        else form,  # others make ids themselves
        "foreign": foreign,
        "order": order,
        "most": 1.0 if other else 0.03 if how.get("values") == "each" else 0.005,
        "answer_form": type(profile.answer).__name__.lower(),
        "does": DOES[type(profile.answer)],
        "golden": golden.document,
        "beside": list(_beside(profile)),
        "programs": [(_named(profile, one), one.name, LANGUAGES[profile.name][one]) for one in _languages(profile)],
    }
