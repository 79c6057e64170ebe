#!/usr/bin/env python3
"""The manual pages: they render without a warning, and say what the program says of itself."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.environ["POSTERN_SOURCE_DIR"]
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import configuration_keys as known  # noqa: E402
from harness import Proxy  # noqa: E402

POSTERN = os.path.join(os.environ["POSTERN_BIN_DIR"], "postern")
PAGES = sorted(glob.glob(os.path.join(ROOT, "deploy", "man", "*.[1-9]")))


def render(page):
    """(text, warnings)"""
    done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-rLL=100n", "-ww", "-P-cbou", page],
                          capture_output=True, encoding="utf-8", errors="replace")
    return done.stdout, done.stderr


class ManTest(unittest.TestCase):
    def test_pages_are_there(self):
        self.assertEqual([os.path.basename(page) for page in PAGES],
                         ["postern-load.1", "postern-maildrop.1", "postern.1", "postern.toml.5"])

    def test_no_warnings(self):
        linter = shutil.which("mandoc")
        if linter is None and shutil.which("groff") is None:
            self.skipTest("neither mandoc nor groff")
        for page in PAGES:
            with self.subTest(page=page):
                if linter is not None:
                    done = subprocess.run([linter, "-Tlint", "-Wwarning", page],
                                          capture_output=True, text=True)
                    self.assertEqual((done.returncode, done.stdout), (0, ""))
                if shutil.which("groff") is not None:
                    text, warnings = render(page)
                    self.assertEqual(warnings, "")
                    self.assertIn("DESCRIPTION", text)

    def test_every_verb_and_option_is_explained(self):
        with open(os.path.join(ROOT, "deploy", "man", "postern.1"), encoding="utf-8") as file:
            page = file.read()
        told = subprocess.run([POSTERN, "--help"], capture_output=True, text=True).stdout
        verbs = re.findall(r"^  ([a-z]+) ", told[told.index("Subcommands:"):], re.MULTILINE)
        self.assertIn("serve", verbs)
        for verb in verbs:
            self.assertIn(f".It Cm {verb}\n", page)
            own = subprocess.run([POSTERN, verb, "--help"], capture_output=True, text=True).stdout
            for option in re.findall(r"--([a-z-]+)", own):
                self.assertIn(f"Fl Fl {option}", page, f"{verb} --{option}")
        self.assertEqual(sorted(re.findall(r"^\.It Cm ([a-z]+)$", page, re.MULTILINE)),
                         sorted(verbs))

    def test_every_place_of_the_http_api_is_explained(self):
        with open(os.path.join(ROOT, "deploy", "man", "postern.1"), encoding="utf-8") as file:
            section = file.read().partition("\n.Sh HTTP\n")[2].partition("\n.Sh ")[0]
        folder = os.path.join(ROOT, "proxy", "admin")
        served = set()
        for source in glob.glob(os.path.join(folder, "*.cc")):
            with open(source, encoding="utf-8") as file:
                found = re.findall(r'router(?:->|_\.)(Get|Post)\(\s*(?:R"\((.*)\)"|"(.*?)")[,)]', file.read())
            for method, pattern, path in found:
                # Groups are names, but for the last one of backends, whose words are told beside it.
                path = re.sub(r"\(\[.*?\)(?=/|$)", "*", path or pattern)
                first, _, others = path.partition("(")
                served.add(f"{method.upper()} {first + others.split('|')[0]}")
                for word in others.rstrip(")").split("|")[1:]:
                    self.assertIn(word, section)
        self.assertIn("POST /api/v1/backends/*/drain", served)
        self.assertIn("GET /metrics", served)
        items = re.findall(r"^\.It Li (.*)$", section, re.MULTILINE)
        told = {re.sub(r" Ns Ar \w+(?: Ns Li )?", "*", item) for line in items for item in line.split(" , ")}
        self.assertEqual(told, served)

    def test_every_key_is_explained_and_no_other(self):
        program = known.program_keys()
        self.assertEqual(program.keys(), {known.TOP, *known.HEADERS})
        manual = known.manual_keys()
        items = {(kind, key): text for kinds, keys, text in known.manual_items()
                 for kind in kinds for key in keys}
        for kind, keys in program.items():
            if kind == known.TOP:
                keys = keys - {re.sub(r"\W", "", name) for name in known.names_of_tables()}
            if kind in known.EXPLAINED_AT:
                for key in keys:  # in the words of one item
                    self.assertRegex(items[known.EXPLAINED_AT[kind]], rf"\b{key}\b", kind)
                continue
            if kind == "[[pool]]":
                keys = keys - known.manual_shared_keys()
            self.assertEqual(manual.get(kind), keys, kind)

    def test_no_table_is_forgotten(self):
        kinds = {re.sub(r"(?<=\]\]) .*", "", kind) for kind in (known.TOP, *known.HEADERS)}
        self.assertEqual(known.names_of_tables(), kinds)

    def test_every_option_of_the_bench_programs_is_explained(self):
        for program in ["postern-load", "postern-maildrop"]:
            path = os.path.join(os.environ["POSTERN_BIN_DIR"], program)
            if not os.path.exists(path):
                continue  # built without POSTERN_BENCH
            with open(os.path.join(ROOT, "deploy", "man", f"{program}.1"), encoding="utf-8") as file:
                page = file.read()
            told = subprocess.run([path, "--help"], capture_output=True, text=True).stdout
            options = re.findall(r"^  (?:-[a-z],)?--([a-z-]+)", told, re.MULTILINE)
            self.assertIn("threads", options)
            for option in options:
                self.assertIn(f"Fl Fl {option}", page, f"{program} --{option}")
            items = " ".join(re.findall(r"^\.It (.*Fl Fl .*)$", page, re.MULTILINE))
            explained = re.findall(r"Fl Fl ([a-z-]+)", items)
            self.assertEqual(sorted(explained), sorted(options))

    def test_results_of_the_load_generator_are_explained(self):
        with open(os.path.join(ROOT, "deploy", "man", "postern-load.1"), encoding="utf-8") as file:
            results = file.read().partition("\n.Sh RESULTS\n")[2]
        words = " ".join(re.findall(r"^\.(?:It )?Cm (.*)$", results, re.MULTILINE)).split()
        load = os.path.join(ROOT, "bench", "load")
        for source in ("report.cc", "capacity_report.cc"):
            with open(os.path.join(load, source), encoding="utf-8") as file:
                keys = re.findall(r'(?:json\[|\{)"([a-z0-9_]+)"', file.read())
            self.assertIn("target" if source == "report.cc" else "capacity", keys)
            for key in keys:
                self.assertIn(key, words, source)
        with open(os.path.join(load, "results.cc"), encoding="utf-8") as file:
            names = re.findall(r'"([a-z_]+)"', file.read())
        self.assertIn("no_socket", names)
        for name in names:
            if name != "good":
                self.assertIn(name, words)

    def test_keys_that_need_a_restart(self):
        with open(os.path.join(ROOT, "proxy", "since_start.cc"), encoding="utf-8") as file:
            warned = re.findall(r'compare\([^;]*?,\s+"([a-z_.]+)', file.read())
        self.assertIn("workers", warned)
        self.assertIn("limits.receive_buffers", warned)
        with open(os.path.join(ROOT, "deploy", "man", "postern.1"), encoding="utf-8") as file:
            sentence = re.search(r"disconnected\.\n(.*?)take effect", file.read(), re.DOTALL).group(1)
        told = re.findall(r"[a-z_.]+", sentence)
        for key in warned:
            if key != "limits.receive_buffers":  # "the receive buffers"
                self.assertIn(key, told)

    def test_reload_takes_the_log_level(self):
        config = {
            "listener": [{"tls": "off", "plaintext_logins": True}],
            "backend": [{"name": "mail1", "address": "127.0.0.1:9"}],
            "route": [{"users": "*", "backend": "mail1"}],
            "log": {"level": "error"},
        }
        with tempfile.TemporaryDirectory() as directory, Proxy(config, directory) as proxy:
            self.assertNotIn("is ready", proxy.log())
            proxy.write_config(dict(config, log={"level": "info"}))
            self.assertIn("new configuration is in use", proxy.reload())


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
