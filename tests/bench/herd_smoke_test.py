#!/usr/bin/env python3
"""herd_smoke_test.py BIN_DIR: a small herd, so that bench/faults/herd.py does not rot.

What it measures here means nothing, so its verdict on the promises is not asked for; that every client
is accounted for is."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERD = os.path.join(os.path.dirname(__file__), "..", "..", "bench", "faults", "herd.py")
BIN_DIR = ""


class HerdTest(unittest.TestCase):
    def test_every_client_is_accounted_for(self):
        with tempfile.TemporaryDirectory() as directory:
            report = os.path.join(directory, "report.json")
            done = subprocess.run(
                [sys.executable, "-B", HERD, "--times", "2", "--seconds", "1", "--peak-seconds", "0.5",
                 "--json", report, "--bin-dir", BIN_DIR],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)  # fmt: skip
            self.assertIn(done.returncode, (0, 1), done.stderr)
            self.assertEqual(done.stderr, "")
            with open(report, encoding="utf-8") as file:
                (row,) = json.load(file)
        self.assertEqual(row["good"] + row["refused"], row["sessions"])
        self.assertGreater(row["good"], 0)
        self.assertGreater(row["peak_per_s"], 0)
        self.assertIn(f"| {row['sessions']:,} | {row['good']:,} |", done.stdout)
        # Slowness may break the promises; a refusal in other words, or a wrong count, may not.
        self.assertEqual([why for why in row["wrong"] if " x " in why or "counts" in why], [])


if __name__ == "__main__":
    BIN_DIR = sys.argv.pop()
    unittest.main()
