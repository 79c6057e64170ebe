#!/usr/bin/env python3
"""Every example configuration is one that the program accepts."""

import glob
import os
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from configurations import ROOT_EXAMPLES, run_check  # noqa: E402


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
        with open(os.path.join(ROOT_EXAMPLES, "postern.toml"), encoding="utf-8") as file:
            backlog = int(re.search(r"^#backlog = (\d+)", file.read(), re.MULTILINE).group(1))
        self.assertGreaterEqual(int(settings["net.core.somaxconn"]), backlog)


if __name__ == "__main__":
    unittest.main(verbosity=2)
