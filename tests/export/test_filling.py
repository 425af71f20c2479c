"""Whatever a label holds, it stays a label in a program."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.export.samples import filling
from cnnkit.export.samples.filling import Plain, comment

ANY = st.text(st.characters(), max_size=20)
NASTY = [
    '"',
    "\\",
    '\\"',
    "$x ${x}",
    "\\(x)",
    "{{ x }}",
    "'''",
    '"""',
    "*/",
    "//",
    "#",
    "??/",
    "\n\r\t\0",
    "\u2028\u202e",
    "👍🏽",
]


@given(st.one_of(ANY, st.sampled_from(NASTY)))
def test_a_text_is_itself_in_python(text):
    literal = filling.PYTHON.literal(text)
    assert ast.literal_eval(literal) == text and literal.isprintable()


@given(st.lists(ANY, max_size=30))
def test_a_list_is_itself_and_its_lines_are_not_too_long_for_a_reader(texts):
    literal = filling.PYTHON.literal(texts)
    assert ast.literal_eval(literal) == texts
    assert "\n" in literal or len(literal) <= filling.WIDTH + 2


@given(ANY)
def test_a_comment_is_one_line_that_goes_nowhere(text):
    found = comment(text)
    assert found.isprintable() and "\\" not in found and isinstance(found, Plain)


@pytest.mark.parametrize(
    ("value", "literal"), [(None, "None"), (True, "True"), (3, "3"), (0.5, "0.5"), ((1, "a"), '[1, "a"]')]
)
def test_values_are_those_of_the_language(value, literal):
    assert filling.PYTHON.literal(value) == literal


def test_what_is_not_plain_is_refused():
    with pytest.raises(TypeError, match="needs to be plain"):
        filling.PYTHON.literal({"a": 1})


# What a language makes of a text between quotes, read here ------------------------------------------------------------

ESCAPES = {
    filling.JAVASCRIPT: r"\\(u[0-9a-f]{4}|.)",
    filling.KOTLIN: r"\\(u[0-9a-f]{4}|.)",
    filling.SWIFT: r"\\(u\{[0-9a-f]+\}|.)",
    filling.CPP: r"\\([0-7]{3}|.)",
}


def read_back(language, literal):
    """Return the text that a literal stands for, by the rules of its language."""
    body = literal.removesuffix(language.ends)
    assert body[0] == body[-1] == '"' and '"' not in re.sub(r"\\.", "", body[1:-1])
    found = b""
    place = 1
    for escape in re.finditer(ESCAPES[language], body[1:-1]):
        found += body[place : escape.start() + 1].encode("utf-16-be", "surrogatepass")
        code = escape[1]
        place = escape.end() + 1
        if len(code) == 1:
            found += code.encode("utf-16-be")
        elif language is filling.CPP:
            found += b"\0" + bytes([int(code, 8)])  # a byte, below
        else:
            found += chr(int(code.strip("u{}"), 16)).encode("utf-16-be", "surrogatepass")
    found += body[place:-1].encode("utf-16-be", "surrogatepass")
    return found.decode("utf-16-be", "surrogatepass")


@pytest.mark.parametrize("language", ESCAPES, ids=lambda language: language.name)
@given(text=st.one_of(ANY, st.sampled_from(NASTY)))
def test_a_text_is_itself_in_every_language(language, text):
    literal = language.literal(text)
    assert literal.isprintable()
    if language in (filling.KOTLIN,):
        assert "$" not in re.sub(r"\\.", "", literal), "it would be filled in when the program runs"
    if language is filling.SWIFT:
        text = "".join("\ufffd" if "\ud800" <= character < "\ue000" else character for character in text)
    if language is filling.CPP:
        assert "?" not in re.sub(r"\\.", "", literal), "three of them would be something else"
        shown = "".join(c if c.isprintable() else c.encode("utf-8", "replace").decode("latin-1") for c in text)
        assert read_back(language, literal) == shown
        return
    assert read_back(language, literal) == text
