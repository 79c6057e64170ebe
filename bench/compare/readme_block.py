"""The table in README.md, between its two marks: written from a report, never by hand."""

import re

from figures import number, ratio, rounds_words, spread, values, with_spread
from markdown import FIGURES, table

BEGIN = "<!-- measured: begin; written by bench/compare/run.py --from FILE --readme -->"
END = "<!-- measured: end -->"
# (scenario, figure, what it is called here)
LINES = (
    ("b", "cpu_us", "full TLS 1.3 login, ECDSA: CPU us"),
    ("a", "cpu_us", "plain login: CPU us"),
    ("b-rsa", "cpu_us", "full TLS 1.3 login, RSA: CPU us"),
    ("c13", "cpu_us", "resumed TLS 1.3 login: CPU us"),
    ("c12", "cpu_us", "resumed TLS 1.2 login: CPU us"),
    ("e", "mb_per_cpu_s", "TLS fetch, segments of 1448 bytes: MB per CPU second"),
    ("f", "mb_per_cpu_s", "TLS bulk: MB per CPU second"),
    ("g", "mb_per_cpu_s", "plain bulk: MB per CPU second"),
    ("i", "pss_kb", "idle TLS session: KB resident (PSS)"),
    ("l-250", "p99_ms", "TLS login at 250 a second: p99 ms"),
    ("w", "quit_p99_ms", "a single client's wait at QUIT: p99 ms"),
)
PEERS = ("haproxy", "nginx", "dovecot", "perdition")


class BlockError(Exception):
    """The block is not as it must be; the text says how."""


def cell(scenario, name, figure):
    """"648 (0.71)": the median, and Postern's ratio to it."""
    row = scenario["rows"].get(name)
    found = row and spread(values(row, figure))
    if not found:
        return "-"
    of = ratio(scenario["rows"]["postern"], row, figure)
    return f"{number(found['median'])} ({number(of['median'], 2)})" if of else (
        number(found["median"]))


def block(report):
    """The lines between the marks, and the marks."""
    rows = []
    for key, figure, what in LINES:
        scenario = report["scenarios"].get(key)
        ours = scenario and spread(values(scenario["rows"].get("postern", {"rounds": []}), figure))
        if not ours:
            continue
        better = "more" if FIGURES[figure][1] else "less"
        rounds = rounds_words(scenario, report["conditions"]["rounds"])
        rows.append([f"{what} ({better} is better{rounds})", with_spread(ours)] +
                    [cell(scenario, name, figure) for name in PEERS])
    at = report["conditions"]
    versions = ", ".join(text for name, text in at["versions"].items() if name != "postern")
    differ = any("round" in one[0] for one in rows)
    exception = " unless a line has another number" if differ else ""
    lines = [BEGIN,
             f"{at['date'][:10]}, {at['cpu']}, Linux {at['kernel'].split('-')[0]}, "
             f"{' '.join(at['openssl'].split()[:2])}. {versions}.", "",
             f"Median of {at['rounds']} interleaved rounds{exception}. Postern: with the least and "
             "the greatest round. The others: with Postern's ratio to them within the rounds.", ""]
    lines += table(["", "Postern", "HAProxy", "nginx", "Dovecot", "Perdition"], rows)
    return "\n".join(lines + [END])


def find(text):
    """(begin, end) of the block in a document."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise BlockError(f"there must be one pair of lines, {BEGIN} and {END}")
    return begin, end + len(END)


def parse(text):
    """{what: [cells]} of the block in a document; BlockError when it was not written by `block`."""
    begin, end = find(text)
    known = [what for _, _, what in LINES]
    rows = {}
    lines = [line for line in text[begin:end].splitlines() if line.startswith("|")]
    if lines[:1] != ["|  | Postern | HAProxy | nginx | Dovecot | Perdition |"]:
        raise BlockError("the table's heading is another")
    for line in lines[2:]:
        cells = [part.strip() for part in line.strip("|").split("|")]
        what = re.sub(r" \((more|less) is better(, \d+ rounds?)?\)$", "", cells[0])
        if len(cells) != 6 or what not in known or what in rows:
            raise BlockError(f"not a line of this table: {line}")
        if not re.fullmatch(r"[\d.,]+ \([\d.,]+-[\d.,]+\)", cells[1]):
            raise BlockError(f"Postern's figure is not median (least-greatest): {line}")
        for one in cells[2:]:
            if not re.fullmatch(r"-|[\d.,]+( \([\d.,]+\))?", one):
                raise BlockError(f"{one!r} is no figure of a peer: {line}")
        rows[what] = cells[1:]
    if not rows:
        raise BlockError("the table is empty")
    return rows


def rewrite(path, report):
    text = path.read_text()
    begin, end = find(text)
    path.write_text(text[:begin] + block(report) + text[end:])
