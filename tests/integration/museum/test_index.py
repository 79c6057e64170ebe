"""The index in README.md is the truth."""

import pytest

from . import index

# What must have a test: the bugs of the field that touch what this proxy does.
REQUIRED = list(
    index.ids_in(
        "M01-M06, M10-M24, M30-M36, M40-M41, M50-M67, U01-U05, U10-U15, U17-U18, "
        "T01, T10, T12-T14, L01-L03, L10, R02, R04, R10, A21, F02-F13, F18, F36-F38, I03"
    )
)


def test_the_readme_has_the_index():
    readme = (index.HERE / "README.md").read_text(encoding="utf-8")
    assert index.table() in readme, "run `python3 -m museum.index` and put the table in README.md"


@pytest.mark.parametrize("bug", REQUIRED)
def test_every_bug_has_a_test(bug):
    assert bug in index.index()
