"""The part of the safe coroutine subset that a text can show.

g++ 12 compiles these forms wrongly and says nothing; CONTRIBUTING.md, "Coroutines", has the whole
list and tests/toolchain runs each allowed form.
"""

import re

from cpp_text import closing_of, line_of, opening_of, word_before

_CONDITIONS = {"if", "while", "for", "switch"}
_MACROS = {"CO_RETURN_IF_ERROR", "CO_ASSIGN_OR_RETURN"}
_BLOCK_WORDS = {"else", "do", "try", "const", "override", "final", "noexcept", "mutable"}
_CAPTURING = re.compile(r"(?<![\w\])\[])\[(?!\[)\s*[^\]\s][^\]]*\]\s*[({]")


def check(code):
    """Yields (line, rule) for every forbidden await in blanked C++ text."""
    for match in re.finditer(r"\bco_await\b", code):
        # The definition of an awaitable's operator is no await.
        if word_before(code, match.start()) == "operator":
            continue
        rule = _problem(code, match.start())
        if rule:
            yield line_of(code, match.start()), rule


def _problem(code, offset):
    enclosing = _enclosing(code, offset)
    for bracket in enclosing:
        if code[bracket] == "{":
            if _is_lambda(code, bracket):
                return "co_await in a lambda; write a named function"
            continue
    for bracket in enclosing:
        if code[bracket] == "{":
            word = word_before(code, bracket)
            if word in ("=", ",", "(") or (word[0].isalnum() and word not in _BLOCK_WORDS):
                return "co_await in an initialiser list; name the value first"
            break
        word = word_before(code, bracket)
        if word == "constexpr" and code[bracket] == "(":
            word = "if"
        if word in _CONDITIONS:
            if word in ("if", "switch") and _before_semicolon(code, bracket, offset):
                break
            return "co_await in a condition; name the value first"
        if word in _MACROS:
            continue
        if word and (word[0].isalnum() or word[0] in "_)>]") and word not in ("co_return", "return"):
            return "co_await in an argument list; name the value first"
    start, end = _statement(code, offset)
    if _logical(code, start, offset) or _logical_after(code, offset, end):
        return "co_await next to ?, && or ||; name the value first"
    if _CAPTURING.search(code, offset, end):
        return "a lambda with captures in a statement that awaits; name a function"
    return None


def _enclosing(code, offset):
    """Offsets of the open brackets around `offset`, innermost first."""
    found = []
    depth = 0
    for i in range(offset - 1, -1, -1):
        if code[i] in ")]}":
            depth += 1
        elif code[i] in "([{":
            if depth > 0:
                depth -= 1
            else:
                found.append(i)
    return found


def _is_lambda(code, brace):
    head = code[:brace].rstrip()
    head = re.sub(r"->\s*[\w:<>,*&\s]+$", "", head).rstrip()
    head = re.sub(r"\b(mutable|noexcept|constexpr)$", "", head).rstrip()
    if head.endswith(")"):
        opening = opening_of(code, len(head) - 1)
        if opening < 0:
            return False
        head = code[:opening].rstrip()
    if not head.endswith("]") or head.endswith("]]"):
        return False
    opening = opening_of(code, len(head) - 1)
    return opening >= 0 and not re.search(r"[\w\])]\s*$", code[:opening].rstrip()[-1:] or " ")


def _before_semicolon(code, bracket, offset):
    closing = closing_of(code, bracket)
    depth = 0
    for i in range(offset, closing):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif code[i] == ";" and depth == 0:
            return True
    return False


def _statement(code, offset):
    start = max(code.rfind(mark, 0, offset) for mark in ";{}") + 1
    depth = 0
    for end in range(offset, len(code)):
        if code[end] in "([{":
            depth += 1
        elif code[end] in ")]}":
            depth -= 1
            if depth < 0:
                return start, end
        elif code[end] == ";" and depth == 0:
            return start, end
    return start, len(code)


def _logical(code, start, offset):
    return re.search(r"\?|&&|\|\|", code[start:offset]) is not None


def _logical_after(code, offset, end):
    depth = 0
    for i in range(offset, end):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and (code[i] == "?" or code[i : i + 2] in ("&&", "||")):
            return True
    return False
