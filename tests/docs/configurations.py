"""Tries configurations from documents: with every file they name, made on the spot."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["POSTERN_SOURCE_DIR"], "tests", "integration"))

from harness import Certificates  # noqa: E402

POSTERN = os.path.join(os.environ["POSTERN_BIN_DIR"], "postern")
ROOT_EXAMPLES = os.path.join(os.environ["POSTERN_SOURCE_DIR"], "deploy", "examples")
NAMED_FILE = re.compile(r'"(/(?:etc|var|run)/[^"]+)"')


def provide_files(text, directory):
    """`text` with its absolute paths moved into `directory`, where the files now are."""
    certificates = Certificates(os.path.join(directory, "made"))
    leaf = certificates.leaf(("pop.example.net",))
    for path in set(NAMED_FILE.findall(text)):
        if path.startswith("/run/"):
            continue
        here = os.path.join(directory, path.lstrip("/"))
        os.makedirs(os.path.dirname(here), exist_ok=True)
        if path.endswith("chain.pem"):
            shutil.copy(leaf.chain, here)
        elif path.endswith("key.pem"):
            shutil.copy(leaf.key, here)
        elif path.endswith("ca.pem"):
            shutil.copy(leaf.ca, here)
        elif path.endswith((".map", ".rules")):
            backend = re.search(r'^  \{ name = "([^"]+)"', text, re.MULTILINE).group(1)
            with open(here, "w", encoding="utf-8") as file:
                file.write(f"moved@example.org\t{backend}\n")
        elif path.endswith(".cdb"):
            backend = re.search(r'^  \{ name = "([^"]+)"', text, re.MULTILINE).group(1)
            record = f"+17,{len(backend)}:moved@example.org->{backend}\n\n"
            subprocess.run(["cdb", "-c", here], input=record, text=True, check=True)
        elif path.endswith(("/allow", "/deny")):
            with open(here, "w", encoding="utf-8") as file:
                file.write("192.0.2.0/24\n")
        elif not path.startswith(("/var/log/", "/var/lib/")):
            with open(here, "w", encoding="utf-8") as file:
                file.write("alice@example.org:secret\n")
            os.chmod(here, 0o600)
        text = text.replace(f'"{path}"', f'"{here}"')
    return text


def run_check(text, directory):
    """`postern check`; the result has returncode, stdout and stderr."""
    file = os.path.join(directory, "postern.toml")
    with open(file, "w", encoding="utf-8") as target:
        target.write(provide_files(text, directory))
    return subprocess.run([POSTERN, "check", "--config", file], capture_output=True, text=True)
