"""Whatever a label holds, it stays a label in a program."""

import ast

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
