"""A C++ file as the rules see it: comments and literals blanked, line numbers kept."""

import re

_TOKEN = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Za-z_])'(?:[^'\\\n]|\\.)*'",
    re.DOTALL,
)


def blank(text):
    """Replaces comments and literals by spaces; newlines stay."""

    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return _TOKEN.sub(spaces, text)


def without_literals(text):
    """Comments kept, literals emptied: what a line would be had its literals no length."""

    def empty(match):
        token = match.group(0)
        return token if token.startswith("/") else "\n" * token.count("\n")

    return _TOKEN.sub(empty, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def opening_of(code, closing):
    """The offset of the bracket that `code[closing]` closes, or -1."""
    pairs = {")": "(", "]": "[", "}": "{"}
    depth = 0
    want = pairs[code[closing]]
    for i in range(closing, -1, -1):
        if code[i] == code[closing]:
            depth += 1
        elif code[i] == want:
            depth -= 1
            if depth == 0:
                return i
    return -1


def closing_of(code, opening):
    """The offset of the bracket that closes `code[opening]`, or the end."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    depth = 0
    for i in range(opening, len(code)):
        if code[i] == code[opening]:
            depth += 1
        elif code[i] == pairs[code[opening]]:
            depth -= 1
            if depth == 0:
                return i
    return len(code)


def word_before(code, offset):
    """The identifier that ends right before `offset`, spaces skipped; or the character there."""
    i = offset - 1
    while i >= 0 and code[i].isspace():
        i -= 1
    if i < 0:
        return ""
    end = i + 1
    while i >= 0 and (code[i].isalnum() or code[i] == "_"):
        i -= 1
    return code[i + 1 : end] or code[end - 1]
