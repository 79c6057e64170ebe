#!/usr/bin/env python3
"""The README: its commands run, its configurations are accepted, its tables are complete.

    readme_test.py PRINTER      PRINTER prints the table of metrics

Every line of a block fenced as "sh" runs, but for the commands named in ELSEWHERE. They run in one
directory, in the order of the page, with the page's configuration as postern.toml; only ports and
paths differ, so that nothing of the machine is needed or touched. `postern serve` is left running
for what follows and must end well at SIGTERM.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from configurations import provide_files, run_check  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.processes import Process  # noqa: E402
from harness.waiting import wait_until  # noqa: E402

ROOT = os.environ["POSTERN_SOURCE_DIR"]
PRINTER = ""
LINES_MAX = 320

# Commands of the README that other tests run.
ELSEWHERE = {
    "deploy/quickstart.sh": "runs until Ctrl-C; docs/quickstart runs it with --smoke",
    "deploy/quickstart.sh --smoke": "docs/quickstart",
    "tests/run.sh": "runs this test",
}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


README = read("README.md")


def blocks(language):
    # All of them, so that the end of one is never taken for the beginning of another.
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [block for its_language, block in found if its_language == language]


def first_column(heading, page="deploy/SESSION_LOG.md"):
    """The words in backticks in the first column of that page's table with this heading."""
    page = read(page)
    table = page[page.index(heading):].split("\n\n")[0].splitlines()[2:]
    return [word for row in table for word in re.findall(r"`(\w+)`", row.split("|")[1])]


def commands():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line).strip() for line in lines if line.strip()]


class TablesTest(unittest.TestCase):
    def test_metrics(self):
        printed = subprocess.run([PRINTER], capture_output=True, text=True, check=True).stdout
        region = re.search(r"<!-- metrics: begin.*?-->\n(.*?)<!-- metrics: end -->",
                           read("deploy/prometheus/METRICS.md"), re.DOTALL)
        self.assertIsNotNone(region)
        self.maxDiff = None
        self.assertEqual(region.group(1), printed, f"paste the output of {PRINTER}")

    def test_metrics_of_this_page_exist(self):
        names = set(re.findall(r"`(postern_\w+)`", README))
        self.assertGreater(len(names), 5)
        self.assertLessEqual(names, set(re.findall(r"`(postern_\w+)`",
                                                   read("deploy/prometheus/METRICS.md"))))

    def test_fields_of_the_session_log(self):
        source = read("proxy/session_log.cc")
        written = re.findall(r'Add\w+\(&fields, "(\w+)"|push_back\(\{"(\w+)"', source)
        names = {one or other for one, other in written}
        self.assertGreater(len(names), 20)
        self.assertEqual(set(first_column("| Field | Meaning |")), names)
        sample = next(block for block in blocks("") if block.startswith("time="))
        used = re.findall(r'(\w+)=(?:"[^"]*"|\S+)', sample)
        self.assertGreater(len(used), 15)
        self.assertLessEqual(set(used), names)

    def test_reasons(self):
        source = read("proxy/base/close_reason.cc")
        array = re.search(r"kReasonNames = \{(.*?)\}", source, re.DOTALL).group(1)
        names = re.findall(r'"(\w+)"', array)
        self.assertIn("quit", names)
        names.remove("none")
        self.assertEqual(sorted(first_column("| `reason` | What")), sorted(names))

    def test_reasons_and_results_of_metrics(self):
        source = read("metrics/worker_stats.cc")

        def names(array):
            return re.findall(r'"(\w+)"', re.search(rf"{array}\[\] = {{(.*?)}}", source, re.DOTALL).group(1))

        self.assertIn("full", names("kUpstreamErrorNames"))
        self.assertEqual(sorted(first_column("| `reason` of backend errors", "deploy/prometheus/METRICS.md")),
                         sorted(names("kUpstreamErrorNames")))
        sentence = re.search(r"`result` of logins is (.*?)\. `reason`", read("deploy/prometheus/METRICS.md"),
                             re.DOTALL).group(1)
        self.assertEqual(sorted(re.findall(r"`(\w+)`", sentence)), sorted(names("kLoginResultNames")))
        row = next(line for line in README.splitlines() if line.startswith("| `postern_listener_logins_total`"))
        self.assertEqual(set(re.findall(r"`(\w+)`", row)) - {"postern_listener_logins_total", "result"},
                         set(names("kLoginResultNames")))


class CommandsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="postern-readme-")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.directory])
        self.ports = {}
        self.server = None
        bin_directory = os.environ["POSTERN_BIN_DIR"]
        self.environment = dict(os.environ, PATH=f"{bin_directory}:{os.environ['PATH']}")

    def with_free_ports(self, text):
        """Ports to listen on and to connect to; those of backends stay."""
        def other(match):
            return f"{match[1]}:{self.ports.setdefault(match[2], free_port())}"

        return re.sub(r"(\[::\]|127\.0\.0\.1):(\d+)", other, text)

    def test_configurations(self):
        self.assertGreater(len(blocks("toml")), 0)
        for block in blocks("toml"):
            with tempfile.TemporaryDirectory() as directory:
                done = run_check(block, directory)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_commands(self):
        left = [command for command in commands() if command not in ELSEWHERE]
        self.assertEqual(len(commands()) - len(left), len(ELSEWHERE), "a command is gone")
        text = provide_files(self.with_free_ports(blocks("toml")[0]), self.directory)
        os.makedirs(os.path.join(self.directory, "var/log/postern"), exist_ok=True)
        with open(os.path.join(self.directory, "postern.toml"), "w", encoding="utf-8") as file:
            file.write(text)
        for command in left:
            with self.subTest(command=command):
                if command.startswith("postern serve"):
                    self.serve(command)
                else:
                    self.run_one(command)
        self.assertIsNotNone(self.server, "nothing serves")
        self.server.signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(60), 0, self.server.log())

    def run_one(self, command):
        done = subprocess.run(
            ["bash", "-c", self.with_free_ports(command)], cwd=self.directory,
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotEqual(done.stdout, "")

    def serve(self, command):
        self.server = Process(command.split(), os.path.join(self.directory, "log"),
                              env=self.environment, cwd=self.directory)
        self.addCleanup(self.server.kill)

        def ready():
            self.assertTrue(self.server.alive(), self.server.log())
            return "is ready" in self.server.log()

        wait_until(ready, 60, self.server.log)


class PageTest(unittest.TestCase):
    def test_links_lead_somewhere(self):
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
        self.assertGreater(len(links), 0)
        for link in links:
            if "://" not in link:
                self.assertTrue(os.path.exists(os.path.join(ROOT, link)), link)

    def test_length(self):
        self.assertLessEqual(len(README.splitlines()), LINES_MAX)

    def test_version(self):
        version = re.search(r'kVersion\[\] = "([\d.]+)"', read("proxy/version.h")).group(1)
        self.assertIn(f"Version {version}.", README)


if __name__ == "__main__":
    PRINTER = sys.argv.pop(1)
    unittest.main(verbosity=2, warnings="ignore")
