#!/usr/bin/env python3
"""bench/micro/check.py against programs that print made-up times."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/micro/check.py")


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def program(self, name, **times):
        """A postern_micro that always takes these microseconds."""
        path = os.path.join(self.directory.name, name)
        results = [{"name": key, "cpu_time": value, "time_unit": "us"}
                   for key, value in times.items()]
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncat <<'END'\n{json.dumps({'benchmarks': results})}\nEND\n")
        os.chmod(path, 0o700)
        return path

    def check(self, *arguments):
        done = subprocess.run([sys.executable, "-B", CHECK, "--rounds", "3", *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_the_same_is_not_slower(self):
        same = self.program("same", Route=1, Pick=2)
        status, out, _ = self.check("--baseline", same, "--program", same)
        self.assertEqual(status, 0, out)
        self.assertNotIn("SLOWER", out)

    def test_one_that_is_slower_is_named(self):
        before = self.program("before", Route=1, Pick=2, Gone=1)
        now = self.program("now", Route=1.2, Pick=1, New=9)
        status, out, _ = self.check("--baseline", before, "--program", now)
        self.assertEqual(status, 1, out)
        self.assertRegex(out, r"Route +1 us +1\.2 us +1\.20 +1\.20-1\.20  SLOWER")
        self.assertRegex(out, r"Pick +2 us +1 us +0\.50 +0\.50-0\.50  faster")
        self.assertNotIn("New", out)
        status, out, _ = self.check("--baseline", before, "--program", now, "--threshold", "1.3")
        self.assertEqual(status, 0, out)

    def test_a_slower_hour_is_not_a_regression_but_one_that_falls_behind_is(self):
        kept = os.path.join(self.directory.name, "kept.json")
        before = self.program("before", A=1, B=2, C=3)
        self.assertEqual(self.check("--record", kept, "--program", before)[0], 0)
        status, out, _ = self.check("--recorded", kept, "--program",
                                    self.program("hour", A=3, B=6, C=9))
        self.assertEqual(status, 0, out)
        self.assertIn("3.00 times the recorded times", out)
        status, out, _ = self.check("--recorded", kept, "--program",
                                    self.program("worse", A=1, B=2, C=6))
        self.assertEqual(status, 1, out)
        self.assertRegex(out, r"C +3 us +6 us +2\.00 .*SLOWER")

    def test_what_cannot_be_told_is_said(self):
        good = self.program("good", A=1)
        status, _, error = self.check("--baseline", "/nonexistent/postern_micro", "--program", good)
        self.assertEqual(status, 2)
        self.assertIn("/nonexistent/postern_micro did not run", error)
        status, _, error = self.check("--baseline", good, "--program", self.program("other", B=1))
        self.assertEqual(status, 2)
        self.assertIn("no benchmark in common", error)
        self.assertEqual(self.check("--recorded", "/nonexistent", "--program", good)[0], 2)


if __name__ == "__main__":
    unittest.main()
