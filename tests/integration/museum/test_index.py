"""The index in README.md is the truth."""

import re

import pytest

from . import index

# What must have a test: the bugs of the field that touch what this proxy does.
REQUIRED = list(
    index.ids_in(
        "M01-M06, M10-M24, M30-M36, M40-M41, M50-M67, U01-U05, U10-U15, U17-U18, "
        "T01, T10-T15, L01-L03, L10, R01-R05, R10, A20, A21, F01-F13, F17, F18, F22-F24, F28-F31, "
        "F34, F36-F38, I01-I06, I09-I11, D01, P01-P03, T16, U16"
    )
)


def test_the_readme_has_the_index():
    readme = (index.HERE / "README.md").read_text(encoding="utf-8")
    assert index.tables() in readme, "run `python3 -m museum.index`, put the tables in README.md"


@pytest.mark.parametrize("bug", REQUIRED)
def test_every_bug_has_a_test(bug):
    assert bug in index.index() or bug in index.ELSEWHERE


@pytest.mark.parametrize("bug", index.ELSEWHERE)
def test_what_is_elsewhere_is_there(bug):
    for file, names in index.ELSEWHERE[bug].items():
        text = (index.TESTS / file).read_text(encoding="utf-8")
        for name in names:
            defined = rf"def {name}\(" if file.endswith(".py") else rf"\bTEST\w*\(\w+, {name}\)"
            assert re.search(defined, text), f"{file} has no test {name}"
