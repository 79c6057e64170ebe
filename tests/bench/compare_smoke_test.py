#!/usr/bin/env python3
"""The comparison's program on the real programs, Postern alone and with the peers that are there: it
measures, voids nothing, writes all its reports, and says clearly what it does not understand.

    compare_smoke_test.py BIN_DIR
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN_DIR = ""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-B", ROOT / "bench/compare/run.py",
         *([] if "--bin-dir" in arguments else ["--bin-dir", BIN_DIR]), *arguments],
        capture_output=True, text=True, timeout=800, stdin=subprocess.DEVNULL)


class SmokeTest(unittest.TestCase):
    def setUp(self):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            self.skipTest("a comparison needs two cores")
        self.cores = ["--cores", f"{cores[0]},{cores[1]}"]

    def test_postern_alone(self):
        with tempfile.TemporaryDirectory(prefix="postern-compare-test-") as directory:
            results, page = pathlib.Path(directory, "r.json"), pathlib.Path(directory, "r.html")
            done = run("--quick", "--peers", "postern", "--only", "a,b,x,o", "--json", results,
                       "--html", page, *self.cores)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(results.read_text())
            self.assertEqual(list(report["scenarios"]), ["b", "a", "x", "o", "o-tls"])
            for scenario in report["scenarios"].values():
                for row in scenario["rows"].values():
                    for entry in row["rounds"]:
                        self.assertEqual(entry["void"], [])
                        self.assertEqual(entry["good"], entry["sessions"])
                        self.assertGreater(entry["cpu_us"], 0)
            refused = report["scenarios"]["x"]["rows"]["postern"]["rounds"][0]["refused"]
            self.assertGreater(refused, 0)
            self.assertGreater(report["floor"]["x25519_keygen_us"], 0)
            self.assertIn("Postern and its peers", page.read_text())
            self.assertNotIn("VOID", done.stdout)
            again = run("--from", results, *self.cores)
            self.assertEqual((again.returncode, again.stdout), (0, done.stdout))

    @unittest.skipUnless(shutil.which("nginx"), "nginx is the auth_http service")
    def test_auth_http(self):
        with tempfile.TemporaryDirectory(prefix="postern-compare-test-") as directory:
            results = pathlib.Path(directory, "r.json")
            done = run("--quick", "--peers", "postern", "--only", "h", "--json", results,
                       *self.cores)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = json.loads(results.read_text())["scenarios"]["h"]["rows"]
            self.assertEqual(list(rows), ["postern", "postern-remembers"])
            for row in rows.values():
                self.assertEqual([entry["void"] for entry in row["rounds"]], [[]])

    def test_peers(self):
        """Those that the tests' packages have, tiny counts: each is started as in the real run, and
        every session is proxied, routed and verified."""
        there = [name for name, program in (("haproxy", "haproxy"), ("nginx", "nginx"),
                                            ("dovecot", "dovecot")) if shutil.which(program)]
        if not there:
            self.skipTest("neither haproxy nor nginx nor dovecot is installed "
                          "(deploy/install-deps.sh test)")
        with tempfile.TemporaryDirectory(prefix="postern-compare-test-") as directory:
            results = pathlib.Path(directory, "r.json")
            done = run("--quick", "--no-install", "--peers", ",".join(["postern", *there]),
                       "--only", "b,g", "--json", results, *self.cores)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(results.read_text())
        rows = {(key, name): row for key, scenario in report["scenarios"].items()
                for name, row in scenario["rows"].items()}
        able = {row["peer"] for row in rows.values()}
        for name in there:
            if name not in able:
                self.assertIn(name, " ".join(report["conditions"]["left_out"]))
        self.assertGreater(len(able), 1, report["conditions"]["left_out"])
        for name, row in rows.items():
            self.assertEqual([entry["void"] for entry in row["rounds"]], [[]], name)
            self.assertEqual([entry["good"] for entry in row["rounds"]],
                             [entry["sessions"] for entry in row["rounds"]], name)

    def test_an_interruption_loses_nothing(self):
        with tempfile.TemporaryDirectory(prefix="postern-compare-test-") as directory:
            results = pathlib.Path(directory, "r.json")
            going = subprocess.Popen(
                [sys.executable, "-B", ROOT / "bench/compare/run.py", "--bin-dir", BIN_DIR, "--quick",
                 "--peers", "postern", "--json", results, *self.cores],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
            try:
                # The first round is over; many are left.
                while "[  1/" not in (line := going.stderr.readline()):
                    self.assertTrue(line, "it ended too early")
                going.send_signal(signal.SIGINT)
                out, errors = going.communicate(timeout=120)
            finally:
                going.kill()
            self.assertEqual(going.returncode, 1, errors)
            self.assertIn("interrupted; what was finished stands above", errors)
            self.assertIn("INTERRUPTED", out)
            self.assertIn("## b: ", out)
            report = json.loads(results.read_text())
            self.assertEqual(report["scenarios"]["b"]["rows"]["postern"]["rounds"][0]["void"], [])

    def test_mistakes(self):
        for arguments, words in ((["--only", "a,zz"], "no scenario is called 'zz'"),
                                 (["--peers", "exim"], "no peer is called 'exim'"),
                                 (["--cores", "0,0"], "two different cores"),
                                 (["--rounds", "0"], "--rounds is at least 1"),
                                 (["--from", "/nowhere.json"], "/nowhere.json"),
                                 (["--json", "/nowhere/r.json"], "/nowhere/r.json"),
                                 (["--html", "/nowhere/r.html"], "/nowhere/r.html"),
                                 (["--bin-dir", "/nowhere"], "/nowhere has no postern")):
            with self.subTest(arguments=arguments):
                cores = [] if "--cores" in arguments else self.cores
                done = run(*arguments, *cores)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)
                self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    BIN_DIR = sys.argv.pop(1)
    unittest.main(verbosity=2)
