"""Names that look alike are one person, until somebody says that they are not."""

import pytest

from pfes.base.errors import InputError
from pfes.base.names import alike, check_distinct, class_of, clean


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("anna\u200b", "anna"), ("\ufeffanna", "anna"), ("an\u00adna", "anna"), ("anna\u200e", "anna"),
        ("Zoe\u0308", "Zo\u00eb"), ("a\u00a0b", "a b"), ("  a \t b ", "a b"), ("\u5f20\u4f1f", "\u5f20\u4f1f"), ("", ""),
    ],
)  # fmt: skip
def test_a_clean_name(typed, name):
    assert clean(typed) == name
    assert clean(clean(typed)) == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("anna", "Anna"), ("1", "01"), ("1", "1.0"), ("s01", "S1"), ("sub-50772", "sub-0050772"), ("a b", "a_b"),
        ("anna", "\u0430nna"), ("\uff11", "1"), ("stra\u00dfe", "STRASSE"), ("anna", "anna\u200b"),
    ],
)  # fmt: skip
def test_names_that_look_alike(first, second):
    assert alike([first, "ben", second]) == [(first, second)]


@pytest.mark.parametrize(("first", "second"), [("1", "10"), ("s1", "s2"), ("anna", "hanna"), ("s1_1", "s11"), ("2.5", "25"), ("\u00e9va", "eva")])  # fmt: skip
def test_names_that_differ(first, second):
    assert alike([first, second, first]) == []


def test_what_is_refused_says_who_and_why():
    with pytest.raises(
        InputError, match=r"sheet.csv: subjects 'anna' and 'Anna' look alike; .*trained and tested on; .*or so"
    ):
        check_distinct(["anna", "ben", "Anna"], "sheet.csv", "or so")


@pytest.mark.parametrize(
    ("text", "name"),
    [("Macro", "macro"), ("MaE", "macro"), ("ME", "micro"), ("Micro - 1/2", "micro"), ("micro-expression\u200b", "micro"),
     ("Macro Expression", "macro"), ("1", None), ("macros", None), ("", None)],
)  # fmt: skip
def test_classes_as_people_write_them(text, name):
    assert class_of(text) == name
