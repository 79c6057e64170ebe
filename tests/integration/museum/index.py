"""Which test shows which bug: read from the ids in the tests' docstrings.

In tests/integration, `python3 -m museum.index` prints the table that stands in README.md.
"""

import ast
import pathlib
import re

HERE = pathlib.Path(__file__).parent
ROOMS = (HERE, HERE.parent / "faulty_upstream")
_ID = re.compile(r"\b([AFILMRTU])(\d\d)\b(?:-\1?(\d\d)\b)?")


def ids_in(text):
    """"M01, U02-U05" is M01, U02, U03, U04 and U05."""
    for letter, first, last in _ID.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{letter}{number:02}"


def tests():
    """(file, name, docstring) of every test of the rooms."""
    for room in ROOMS:
        for path in sorted(room.glob("test_*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield f"{room.name}/{path.name}", node.name, ast.get_docstring(node) or ""


def index():
    """{id: [(file, test), ...]}, sorted."""
    found = {}
    for file, name, docstring in tests():
        for bug in set(ids_in(docstring)):
            found.setdefault(bug, []).append((file, name))
    return dict(sorted(found.items()))


def table():
    rows = ["| id | tests |", "|---|---|"]
    for bug, shown_by in index().items():
        files = {}
        for file, name in shown_by:
            files.setdefault(file, []).append(f"`{name}`")
        cell = "; ".join(f"{file}: {', '.join(names)}" for file, names in files.items())
        rows.append(f"| {bug} | {cell} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
