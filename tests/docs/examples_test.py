#!/usr/bin/env python3
"""Every example configuration is one that the program accepts, and one of them has every key.

deploy/examples/postern.toml marks what it does not use: "#key = value" is a default, and lines
behind "# " that are a key or the header of a table are examples. Both are tried here: all defaults
together, and each run of examples without a line of prose or an empty line between by itself.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import configuration_keys as known  # noqa: E402
from configurations import POSTERN, ROOT_EXAMPLES, provide_files, run_check  # noqa: E402

COMPLETE = os.path.join(ROOT_EXAMPLES, "postern.toml")
DEFAULT = re.compile(r"^#(?=[a-z0-9_]+ = )", re.MULTILINE)
EXAMPLE_LINE = re.compile(r"# ([a-z0-9_]+ = |\[\[?[a-z_.]+\]\]?$)")
UPSTREAM = ("[[pool]]", "[[backend]]", "a backend")


def complete_text():
    with open(COMPLETE, encoding="utf-8") as file:
        return file.read()


def with_defaults(text):
    return DEFAULT.sub("", text)


def variants(text):
    """(name, text) with one run of examples in use, for each."""
    lines = text.split("\n")
    begin = 0
    while begin < len(lines):
        end = begin
        while EXAMPLE_LINE.match(lines[end]):
            end += 1
        if end > begin:
            used = [line[2:] for line in lines[begin:end]]
            yield f"line {begin + 1}", "\n".join(lines[:begin] + used + lines[end:])
        begin = end + 1


def shown_tables(text):
    """(kind, table) of every table that the file shows, in use or not."""
    texts = [text, with_defaults(text)] + [variant for _, variant in variants(text)]
    return [pair for each in texts for pair in known.tables_of(known.parse(each))]


def missing_keys(text, program):
    """What the file does not show of `program`, the keys of each kind of table."""
    shown = {}
    for kind, table in shown_tables(text):
        shown.setdefault(kind, set()).update(table)
    # Said for a pool or for a backend; in one lookup or another.
    upstream = set().union(*(shown[kind] for kind in UPSTREAM))
    lookups = [f"[[lookup]] {type}" for type in known.LOOKUPS]
    every_type = set.intersection(*(program[kind] for kind in lookups))
    of_lookups = set().union(*(shown.get(kind, set()) for kind in lookups)) & every_type
    tables = {re.sub(r"\W", "", kind).split(" ")[0] for kind in program if kind.startswith("[")}
    missing = []
    for kind, keys in program.items():
        here = set(shown.get(kind, set()))
        if kind in UPSTREAM:
            here |= upstream
        elif kind in lookups:
            here |= of_lookups
        elif kind == known.TOP:
            keys = {key for key in keys if key not in known.parse(text)} - here
        missing += [f"{kind}: {key}" for key in sorted(keys - here)]
    return missing


class ExamplesTest(unittest.TestCase):
    def test_examples_are_good(self):
        names = sorted(glob.glob(os.path.join(ROOT_EXAMPLES, "*.toml")))
        self.assertGreaterEqual(len(names), 2)
        for name in names:
            with self.subTest(name=name), tempfile.TemporaryDirectory() as directory:
                with open(name, encoding="utf-8") as file:
                    done = run_check(file.read(), directory)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("certificate", done.stdout)
                self.assertNotIn("warning", done.stdout)

    def test_a_mistake_is_found(self):
        with open(os.path.join(ROOT_EXAMPLES, "isp-two-dovecots.toml"), encoding="utf-8") as file:
            text = file.read().replace('pool = "dovecot"', 'pool = "dovecto"')
        with tempfile.TemporaryDirectory() as directory:
            done = run_check(text, directory)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(re.search(r"postern\.toml:\d+:\d+: .*dovecto", done.stderr), done.stderr)

    def test_kernel_settings(self):
        path = os.path.join(os.path.dirname(ROOT_EXAMPLES), "sysctl", "90-postern.conf")
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        settings = {}
        for line in lines:
            match = re.fullmatch(r"(-?)([a-z0-9_.]+) = ([0-9 ]+)", line)
            self.assertIsNotNone(match, line)
            settings[match[2]] = match[3]
            exists = os.path.exists("/proc/sys/" + match[2].replace(".", "/"))
            self.assertTrue(exists or match[1], f"{match[2]} is no key of this kernel")
        backlog = int(re.search(r"^#backlog = (\d+)", complete_text(), re.MULTILINE).group(1))
        self.assertGreaterEqual(int(settings["net.core.somaxconn"]), backlog)


class CompleteExampleTest(unittest.TestCase):
    """The file that has every key."""

    @classmethod
    def setUpClass(cls):
        cls.program = known.program_keys()
        cls.defaults = known.manual_defaults()
        cls.text = complete_text()

    def test_what_is_marked_can_be_used(self):
        marked = list(variants(self.text))
        self.assertGreater(len(marked), 30)
        marked.append(("defaults", with_defaults(self.text)))
        with tempfile.TemporaryDirectory() as directory:
            # All files at once: a certificate for each variant would take its time.
            everything = provide_files(self.text, directory)
            moved = dict(variants(everything), defaults=with_defaults(everything))
            for name, _ in marked:
                with self.subTest(name=name):
                    path = os.path.join(directory, "postern.toml")
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(moved[name])
                    done = subprocess.run([POSTERN, "check", "--config", path],
                                          capture_output=True, text=True)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_key_is_there(self):
        self.assertEqual(missing_keys(self.text, self.program), [])

    def test_a_missing_key_is_found(self):
        for kind, line in [("[[pool]]: slow_start", 'slow_start = "60s"'),
                           ("agent: timeout", ', timeout = "2s"'),
                           ("[timeouts]: hold", '#hold = "30s"'),
                           ("cache: stale", '#stale = "10m"'),
                           ("[[lookup]] ldap: scope", '#scope = "sub"'),
                           ("the top of the file: io", '#io = "auto"'),
                           ("[[route]]: cdb", '# cdb = "/etc/postern/users.cdb"')]:
            self.assertEqual(self.text.count(line), 1, line)
            self.assertEqual(missing_keys(self.text.replace(line, ""), self.program), [kind])

    def test_defaults_are_those_of_the_manual_page(self):
        plain = list(known.tables_of(known.parse(self.text)))
        filled = list(known.tables_of(known.parse(with_defaults(self.text))))
        self.assertEqual([kind for kind, _ in plain], [kind for kind, _ in filled])
        count = 0
        for (kind, table), (_, more) in zip(plain, filled):
            for key in more.keys() - table.keys():
                stated = self.defaults.get((kind, key))
                if stated is None and kind in UPSTREAM:
                    stated = self.defaults.get(("[[backend]]", key))
                self.assertIsNotNone(stated, f"{kind}: the manual page has no default of {key}")
                value = known.in_words(more[key])
                # "true for auth_http, ..."
                self.assertTrue(stated == value.rstrip(".") or stated.startswith(value + " "),
                                f"{kind}: {key} = {value}, not {stated}")
                count += 1
        self.assertEqual(count, len(DEFAULT.findall(self.text)))
        self.assertGreater(count, 70)

    def test_defaults_of_the_manual_page_are_shown(self):
        shown = {}
        for kind, table in shown_tables(self.text):
            kind = "upstream" if kind in UPSTREAM else kind.split("]] ")[0]
            for key, value in table.items():
                shown.setdefault((kind, key), set()).add(known.in_words(value))
        count = 0
        for (kind, key), default in self.defaults.items():
            if not known.is_literal(default):
                continue
            kind = "upstream" if kind in UPSTREAM else kind.split("]] ")[0]
            self.assertIn(default, shown.get((kind, key), set()), f"{kind}: {key}")
            count += 1
        self.assertGreater(count, 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
