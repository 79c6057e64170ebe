#!/usr/bin/env python3
"""Guards what a compiler does not: layers, size, names, the safe coroutine subset.

    tidy_test.py [ROOT]      prints "file:line: rule" for each problem; exit status 1 if there is one

A file over the length limit says why in a comment: "tidy: long file, because ...".
"""

import glob
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True

import coroutine_rules  # noqa: E402
from cpp_text import blank, line_of, without_literals  # noqa: E402

LINES_MAX = 600
COLUMNS_MAX = 100

# What the files of a folder may include of ours, besides their own folder and proxy/base.
# The longest matching prefix decides.
LAYERS = {
    "proxy/base/": (),
    "proxy/coro/": (),
    "proxy/io/": (),
    "proxy/pop3/": (),
    "tls/": (),
    "routing/": (),
    "metrics/": (),
    "proxy/guard/": (),
    "proxy/config/": ("proxy/guard/", "proxy/pop3/", "tls/", "routing/", "metrics/"),
    "proxy/": ("proxy/", "tls/", "routing/", "metrics/"),
}

# Which files may include a library's headers.
LIBRARIES = {
    "liburing.h": re.compile(r"proxy/io/[^/]*\.cc$"),
    "liburing/": re.compile(r"proxy/io/[^/]*\.cc$"),
    "openssl/": re.compile(r"(tls|tests)/"),
    "gsasl.h": re.compile(r"proxy/digest_md5\.cc$"),
    "ares.h": re.compile(r"proxy/name_client\.cc$"),
    "cdb.h": re.compile(r"(routing/cdb_map\.cc$|tests/)"),
    "re2/": re.compile(r"routing/user_rules\.cc$"),
    "libpq-fe.h": re.compile(r"routing/lookup/postgresql_source\.cc$"),
    "openldap.h": re.compile(r"routing/lookup/ldap_source\.cc$"),
    "mysql.h": re.compile(r"routing/lookup/mysql_source\.cc$"),
    "ldap.h": re.compile(r"routing/lookup/ldap_source\.cc$"),
    "hiredis/": re.compile(r"routing/lookup/redis_source\.cc$"),
    "prometheus/": re.compile(r"(metrics|tests)/"),
    "httplib.h": re.compile(r"(proxy/admin|tests)/"),
    "curl/": re.compile(r"(routing/lookup|tests)/"),
    "CLI/": re.compile(r"(proxy/admin|bench|tests)/"),
}

FORBIDDEN_WORDS = [
    (re.compile(r"\bstd::string_view\b|#include <string_view>"), "use absl::string_view"),
    (re.compile(r"\babsl::optional\b"), "use std::optional"),
]
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")

CODE = (".h", ".cc")
TEXT = CODE + (".py", ".sh", ".md", ".cmake", ".toml", ".yml", ".yaml", "CMakeLists.txt")
TOP_FOLDERS = ("proxy", "tls", "routing", "metrics", "bench", "deploy", "tests")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def tree_files(root):
    """The paths of the tree, relative to `root`, build output excluded."""
    try:
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            capture_output=True, check=True, text=True).stdout.split("\0")
        paths = [path for path in listed if path]
    except (OSError, subprocess.CalledProcessError):
        paths = []
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if f not in ("build", ".git", ".cache", "__pycache__")]
            paths += [os.path.relpath(os.path.join(folder, file), root) for file in files]
    return sorted(path for path in set(paths) if os.path.isfile(os.path.join(root, path)))


def read_tree(root):
    """path -> text; None for what is no text of ours."""
    tree = {}
    for path in tree_files(root):
        tree[path] = None
        if path.endswith(TEXT) and "/corpus/" not in path and "/testdata/" not in path:
            with open(os.path.join(root, path), encoding="utf-8", errors="replace",
                      newline="") as file:
                tree[path] = file.read()
    return tree


def check_lines(path, text):
    code = path.endswith(CODE)
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield number, "tab"
        if line != line.rstrip():
            yield number, "trailing whitespace"
        if UNFINISHED.search(line):
            yield number, "unfinished work; finish it or leave it out"
    if code:
        # A literal, or an address in a comment, that fits on no line is nobody's fault.
        for number, line in enumerate(without_literals(text).split("\n"), 1):
            if len(line) > COLUMNS_MAX and "://" not in line:
                yield number, f"longer than {COLUMNS_MAX} columns"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if code and len(lines) - 1 > LINES_MAX and "tidy: long file, because" not in text:
        yield len(lines), f"longer than {LINES_MAX} lines"


def check_guard(path, text):
    guard = "POSTERN_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"
    for form in (f"#ifndef {guard}\n", f"#define {guard}\n", f"#endif  // {guard}\n"):
        if form not in text:
            yield 1, f"header guard: want '{form.strip()}'"


def check_words(code):
    for pattern, rule in FORBIDDEN_WORDS:
        for match in pattern.finditer(code):
            yield line_of(code, match.start()), rule


def check_includes(path, text, code):
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', text, re.MULTILINE):
        if code[match.start() : match.end()].strip() == "":
            continue  # inside a comment or a literal
        number = line_of(text, match.start(1))
        name = match.group(2)
        for prefix, allowed in LIBRARIES.items():
            if name.startswith(prefix) and not allowed.match(path):
                yield number, f"{name} may not be included here"
        if match.group(1) == '"':
            yield from ((number, rule) for rule in check_layer(path, name))


def check_layer(path, name):
    if not name.startswith(tuple(folder + "/" for folder in TOP_FOLDERS)):
        if "/" not in name or name.startswith("."):
            yield f"include {name} by its path from the root"
        return
    prefixes = [prefix for prefix in LAYERS if path.startswith(prefix)]
    if not prefixes:
        return  # programs and tests stand above every layer
    layer = max(prefixes, key=len)
    if not name.startswith((layer, "proxy/base/") + LAYERS[layer]):
        yield f"{layer} may not include {name}"


def check_tests_are_built(tree):
    rules = tree.get("tests/CMakeLists.txt") or ""
    for path in tree:
        match = re.match(r"tests/([^/]+)/(?:.*/)?([^/]+_test)\.cc$", path)
        if not match:
            continue
        folder, stem = match.groups()
        own = tree.get(f"tests/{folder}/CMakeLists.txt")
        built = f"postern_test({folder} " in rules
        if own is not None:
            named = re.search(r"foreach\(part ([^)]*)\)", rules)
            listed = named is not None and folder in named.group(1).split()
            built |= (listed or f"add_subdirectory({folder})" in rules) and (
                "GLOB" in own or stem in own or "${" in own)
        if not built:
            yield path, 1, "no CMakeLists.txt builds this test"


def check_document(path, text, exists):
    pattern = re.compile(r"(?<![\w./<-])(?:%s)/[\w./*{},-]*" % "|".join(TOP_FOLDERS))
    for match in pattern.finditer(text):
        name = match.group(0).rstrip(".,-")
        if name.count("{") != name.count("}"):
            continue
        for each in expand(name):
            if not exists(each):
                yield line_of(text, match.start()), f"{each} does not exist"


def expand(name):
    """'io/a.{h,cc}' -> 'io/a.h', 'io/a.cc'"""
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [result for choice in match.group(1).split(",")
            for result in expand(name[: match.start()] + choice + name[match.end() :])]


def existence(root, tree):
    """A path, a folder, a pattern, or a file named without its ending."""
    folders = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"}

    def exists(name):
        name = name.rstrip("/")
        if name in tree or name in folders:
            return True
        if any(path.startswith(name + ".") for path in tree):
            return True
        return "*" in name and root is not None and bool(glob.glob(os.path.join(root, name)))

    return exists


def check_tree(tree, root=None):
    """Every problem as (path, line, rule)."""
    problems = []
    exists = existence(root, tree)
    for path, text in tree.items():
        if text is None:
            continue
        found = list(check_lines(path, text))
        if path.endswith(CODE):
            code = blank(text)
            found += check_words(code)
            found += check_includes(path, text, code)
            found += coroutine_rules.check(code)
        if path.endswith(".h"):
            found += check_guard(path, text)
        if path in DOCUMENTS:
            found += check_document(path, text, exists)
        problems += [(path, line, rule) for line, rule in found]
    problems += check_tests_are_built(tree)
    return sorted(problems)


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                           os.path.join(os.path.dirname(__file__), "..", ".."))
    problems = check_tree(read_tree(root), root)
    for path, line, rule in problems:
        print(f"{path}:{line}: {rule}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
