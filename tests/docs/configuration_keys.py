"""Which keys a configuration may have: what the program says, and what the manual page says.

A kind of table is named as in the program's messages: "[log]", "a backend", "health". The types of
[[lookup]] have keys of their own, so each is a kind: "[[lookup]] ldap".
"""

import os
import re
import subprocess
import tempfile
import tomllib

ROOT = os.environ["POSTERN_SOURCE_DIR"]
POSTERN = os.path.join(os.environ["POSTERN_BIN_DIR"], "postern")
NOBODYS = "zzzzzzzzzzzz"  # like no key, so that the program lists those it knows
TOP = "the top of the file"
LOOKUPS = ("auth_http", "postgresql", "mysql", "ldap", "redis")

# The tables, each with the header that makes it one. Those in {} have a line of their own.
HEADERS = {
    "[[listener]]": "[[listener]]",
    "an entry of server_names": "[[listener.server_names]]",
    "[tls]": "[tls]",
    "a certificate": "[[tls.certificates]]",
    "[auth]": "[auth]",
    "[timeouts]": "[timeouts]",
    "[limits]": "[limits]",
    "[guard]": "[guard]",
    "sessions": "[guard.sessions]",
    "connections": "[guard.connections]",
    "failures": "[guard.failures]",
    "policy": "[guard.policy]",
    "[users]": "[users]",
    "[log]": "[log]",
    "[admin]": "[admin]",
    "[[backend]]": "[[backend]]",
    "health": "[backend.health]",
    "agent": "[backend.agent]",
    "[[pool]]": "[[pool]]",
    "queue": "[pool.queue]",
    "eject": "[pool.eject]",
    "in_use": "[pool.in_use]",
    "a backend": "[[pool.backends]]",
    "[[route]]": "[[route]]",
    **{f"[[lookup]] {type}": f'[[lookup]]\ntype = "{type}"' for type in LOOKUPS},
    "cache": "[lookup.cache]",
}


def program_keys():
    """kind of table -> its keys, from what the program says about a key that it does not know."""
    text = f"{NOBODYS} = 1\n"
    lines = {1: TOP}
    for kind, header in HEADERS.items():
        text += f"{header}\n{NOBODYS} = 1\n"
        lines[text.count("\n")] = kind
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "keys.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        told = subprocess.run([POSTERN, "check", "--config", path], capture_output=True, text=True)
    found = re.findall(rf':(\d+):\d+: unknown key "{NOBODYS}" in (.*?); known are (.*)', told.stderr)
    keys = {}
    for line, where, known in found:
        kind = lines[int(line)]
        assert where == kind.split(" ")[0] or where == kind, (where, kind)
        keys[kind] = set(known.split(", "))
    return keys


def names_of_tables():
    """What the sources call the tables that they read."""
    names = set()
    folder = os.path.join(ROOT, "proxy", "config")
    for file_name in os.listdir(folder):
        if file_name.endswith(".cc"):
            with open(os.path.join(folder, file_name), encoding="utf-8") as file:
                for call in re.findall(r"\bTableReader \w+\(([^;]*)\);", file.read()):
                    names.update(re.findall(r'"([^"]+)"', call))
    return names


def tables_of(document):
    """(kind, table) of every table of a parsed document."""
    yield TOP, {key: value for key, value in document.items() if not is_table(value)}
    for name in ("tls", "auth", "timeouts", "limits", "guard", "users", "log", "admin"):
        if name in document:
            yield f"[{name}]", document[name]
    for certificate in document.get("tls", {}).get("certificates", []):
        yield "a certificate", certificate
    for name in ("sessions", "connections", "failures", "policy"):
        if name in document.get("guard", {}):
            yield name, document["guard"][name]
    for listener in document.get("listener", []):
        yield "[[listener]]", listener
        for name in listener.get("server_names", []):
            yield "an entry of server_names", name
    for backend in document.get("backend", []):
        yield from tables_of_upstream("[[backend]]", backend)
    for pool in document.get("pool", []):
        yield from tables_of_upstream("[[pool]]", pool)
        for backend in pool["backends"]:
            if isinstance(backend, dict):
                yield from tables_of_upstream("a backend", backend)
    for route in document.get("route", []):
        yield "[[route]]", route
    for lookup in document.get("lookup", []):
        yield f"[[lookup]] {lookup['type']}", lookup
        if "cache" in lookup:
            yield "cache", lookup["cache"]


def is_table(value):
    return isinstance(value, dict) or (
        isinstance(value, list) and len(value) > 0 and isinstance(value[0], dict))


def tables_of_upstream(kind, table):
    yield kind, table
    for name in ("health", "agent", "queue", "in_use", "eject"):
        if name in table:
            yield name, table[name]


# The sections of postern.toml(5), and the kinds of tables whose keys they list.
SECTIONS = {
    "TOP OF THE FILE": (TOP,),
    "[[listener]]": ("[[listener]]",),
    "[tls]": ("[tls]",),
    "[auth]": ("[auth]",),
    "[timeouts]": ("[timeouts]",),
    "[limits]": ("[limits]",),
    "[guard]": ("[guard]",),
    "Failed logins": ("failures",),
    "Policy service": ("policy",),
    "[users]": ("[users]",),
    "[[backend]]": ("[[backend]]", "a backend"),
    "Agent": ("agent",),
    "Health checks": ("health",),
    "[[pool]]": ("[[pool]]",),
    "Queue": ("queue",),
    "Maildrops in use": ("in_use",),
    "Ejection": ("eject",),
    "[[route]]": ("[[route]]",),
    "[[lookup]]": tuple(f"[[lookup]] {type}" for type in LOOKUPS),
    "auth_http": ("[[lookup]] auth_http",),
    "postgresql, mysql": ("[[lookup]] postgresql", "[[lookup]] mysql"),
    "ldap": ("[[lookup]] ldap",),
    "redis": ("[[lookup]] redis",),
    "[log]": ("[log]",),
    "[admin]": ("[admin]",),
}


# Kinds whose keys have no items of their own, but stand in the text of this one.
EXPLAINED_AT = {
    "a certificate": ("[tls]", "certificates"),
    "an entry of server_names": ("[[listener]]", "server_names"),
    "sessions": ("[guard]", "sessions"),
    "connections": ("[guard]", "connections"),
}


def kinds_of(item):
    if item[2] and item[2][0].startswith("PostgreSQL only"):
        return [kind for kind in item[0] if kind.endswith(" postgresql")]
    return item[0]


def manual_items():
    """(kinds, keys, text) of each item about keys, in the order of the page; text has no macros."""
    with open(os.path.join(ROOT, "deploy", "man", "postern.toml.5"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    kinds, depth, item = (), 0, None
    for line in lines + [".Sh END"]:
        heading = re.fullmatch(r"\.S[hs] (.*)", line)
        head = re.fullmatch(r"\.It Sy (.*)", line)
        if item is not None and (heading or line.startswith((".It ", ".El", ".Bl"))):
            yield kinds_of(item), item[1], "\n".join(item[2])
            item = None
        if heading:
            kinds = SECTIONS.get(heading[1], ())
        elif line.startswith(".Bl"):
            depth += 1
        elif line == ".El":
            depth -= 1
        elif head:
            # "a No = x , Sy b No = y" and "a , b No = x" both name two keys.
            keys = []
            for part in head[1].split(" , "):
                keys.append(re.sub(r"^Sy ", "", part).split(" ")[0])
            tail = head[1].partition(" No = ")[2]
            item = (kinds if depth == 1 else ("cache",), keys, [tail] if "{" in tail else [])
        elif item is not None:
            item[2].append(re.sub(r"^\.[A-Z][a-z] ", "", line).replace("\\(dq", '"'))


def manual_keys():
    """kind of table -> its keys, from the manual page."""
    keys = {}
    for kinds, names, _ in manual_items():
        for kind in kinds:
            keys.setdefault(kind, set()).update(names)
    return keys


def manual_shared_keys():
    """The keys of a backend that, as the page says, may stand at a pool."""
    keys = [key for kinds, names, _ in manual_items() if "[[backend]]" in kinds for key in names]
    return set(keys[keys.index("tls"):]) | {"max_sessions", "max_logins_in_flight"}


LITERAL = re.compile(r"-|[\d.]+(ms|s|m|h|B|KiB|MiB|:\d+)?|[A-Za-z][A-Za-z_-]*")
# Words of a default that is described.
DESCRIBED = {"none", "never", "anonymous", "nobody", "nothing"}


def manual_defaults():
    """(kind of table, key) -> how the page words its default."""
    defaults = {}
    for kinds, names, text in manual_items():
        found = re.search(r"\bDefault:\s(.*?) ?\.$", text, re.DOTALL | re.MULTILINE)
        if not found:
            continue
        words = found[1].replace("\n", " ")
        parts = re.split(r" and |, ", words)
        if len(parts) != len(names):
            parts = [words] * len(names)
        for name, part in zip(names, parts):
            for kind in kinds:
                defaults[kind, name] = part
    return defaults


def is_literal(default):
    """Whether a default is a value, and not a description of one."""
    return bool(LITERAL.fullmatch(default)) and default not in DESCRIBED


def in_words(value):
    """A value as the manual page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " and ".join(in_words(item) for item in value)
    return str(value)


def parse(text):
    return tomllib.loads(text)
