"""The report as one page that needs nothing else: no network, no script."""

import html

import svg
from figures import (good_rounds, number, ratio, rounds_of, rounds_words, spread, values,
                     void_rounds, with_spread)
from markdown import FIGURES, goal_cells
from peers import PEERS
from readme_block import LINES, cell
from report_words import CAVEATS, HOW, SETUPS

STYLE = """
:root { color-scheme: light dark; --ink: #1a1c1e; --soft: #56595e; --page: #ffffff; --card: #f4f5f7;
  --line: #d4d7db; --good: #006b3c; --bad: #a8200d; LIGHT }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --soft: #a5a9af; --page: #15171a;
  --card: #1f2226; --line: #3a3f46; --good: #5fd39a; --bad: #ff8f7d; DARK } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 58rem; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .4rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, li { max-width: 46rem; }
.soft, .key { color: var(--soft); }
.key { font: 600 .8rem ui-monospace, monospace; margin-right: .4rem; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td:first-child { min-width: 8.5rem; }
tr.us td:first-child { font-weight: 700; }
.yes { color: var(--good); font-weight: 700; white-space: nowrap; }
.no, .void { color: var(--bad); font-weight: 700; white-space: nowrap; }
.void { white-space: normal; }
.banner { border: 2px solid var(--bad); padding: .6rem 1rem; border-radius: 6px; }
code, pre { font: .87rem ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 13px; fill: var(--ink); font-family: inherit; }
svg .tick { fill: var(--soft); font-size: 12px; }
svg .value { font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; }
svg .curve { fill: none; stroke-width: 2.5; }
svg .leader { stroke: var(--line); fill: none; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 1rem 0; font-size: .92rem; }
a { color: var(--c0); }
"""


def escape(words):
    return html.escape(str(words))


def table(head, rows, classes=None):
    """`rows` hold cells that are HTML already."""
    out = ["<div class=\"wide\"><table><thead><tr>"]
    out += [f"<th>{escape(cell)}</th>" for cell in head]
    out.append("</tr></thead><tbody>")
    for number_, cells in enumerate(rows):
        cls = classes[number_] if classes else ""
        out.append(f'<tr class="{cls}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    out.append("</tbody></table></div>")
    return "".join(out)


def goals_section(report):
    rows = []
    for goal in report["goals"]:
        cells = [escape(cell) for cell in goal_cells(goal)]
        cls = {True: "yes", False: "no", None: "soft"}[goal["reached"]]
        sign = {True: "&#10003; ", False: "&#10007; ", None: ""}[goal["reached"]]
        cells[3] = f'<span class="{cls}">{sign}{cells[3]}</span>'
        rows.append(cells)
    measured = [goal for goal in report["goals"] if goal["reached"] is not None]
    reached = sum(goal["reached"] for goal in measured)
    return (f'<h2 id="goals">Goals</h2><p>What Postern wants to reach, and whether it did in this '
            f"run: {reached} of {len(measured)} that were measured. Ratios are Postern's figure "
            "divided by the other's, round by round; the median counts.</p>" +
            table(["figure", "goal", "measured: median (min-max)", ""], rows))


def colour_of(row):
    return PEERS[row["peer"]].colour if row["peer"] in PEERS else 0


def scenario_section(key, scenario):
    figure = scenario["figures"][0]
    name, higher = FIGURES[figure]
    bars = [(row["title"], spread(values(row, figure)), colour_of(row), row["variant"])
            for row in scenario["rows"].values()]
    out = [f'<h2 id="{key}"><span class="key">{key}</span>{escape(scenario["title"])}</h2>',
           f"<p>{escape(scenario['about'])}</p>",
           f'<p class="soft">{escape(name)}: {"more" if higher else "less"} is better. Bars are '
           f"medians of {rounds_of(scenario)} rounds, whiskers the least and the greatest.</p>",
           svg.bars(bars, name, f"{scenario['title']}: {name}")]
    if scenario["note"]:
        out.append(f'<p class="soft">{escape(scenario["note"])}</p>')
    out.append(figures_table(scenario))
    out += [f'<p class="void">Void: {escape(scenario["rows"][row]["title"])}, round {at}: '
            f"{escape(reason)}</p>" for row, at, reason in void_rounds(scenario)]
    return "".join(out)


def figures_table(scenario):
    figures = scenario["figures"]
    ours = scenario["rows"].get("postern")
    compare = ours is not None and len(scenario["rows"]) > 1
    head = ["proxy"] + [FIGURES[figure][0] for figure in figures]
    head += ["Postern's ratio to it"] if compare else []
    head += ["sessions that counted", "proxy's core busy"]
    rows, classes = [], []
    for name, row in scenario["rows"].items():
        cells = [row["title"]] + [with_spread(spread(values(row, figure))) for figure in figures]
        if compare:
            cells.append("1" if name == "postern" else with_spread(ratio(ours, row, figures[0])))
        counted = [entry for entry in good_rounds(row) if entry]
        cells.append(f"{sum(entry['sessions'] for entry in counted):,}")
        busy = spread([entry.get("proxy_busy") for entry in counted])
        cells.append(f"{busy['median'] * 100:.0f} %" if busy else "-")
        rows.append([escape(cell) for cell in cells])
        classes.append("us" if row["peer"] == "postern" else "")
    return table(head, rows, classes)


def latency_section(report):
    """Curves: percentiles at one rate, and the 99th over the rates."""
    groups = [scenario for scenario in report["scenarios"].values() if scenario["group"] == "l"]
    if not groups:
        return ""
    out = ['<h2 id="latency">Latency</h2><p>Full TLS 1.3 logins in an open loop: clients come '
           "whether or not the proxy is ready for them, as they do in life, and their time counts "
           "from the moment they meant to come. Each line is the median of the rounds; the scale "
           "is logarithmic.</p>"]
    percents = ("p50", "p90", "p99", "p99.9", "max")
    for scenario in groups:
        series = []
        for row in scenario["rows"].values():
            points = []
            for percent in percents:
                found = spread([entry["latency_ms"]["session"].get(percent) if entry else None
                                for entry in good_rounds(row)])
                points.append(found and found["median"])
            series.append((row["title"], points, colour_of(row)))
        out.append(f"<h3>{scenario['rate']:g} logins a second: how long the slow ones take</h3>")
        out.append(svg.lines(series, percents, "milliseconds, by share of the sessions",
                             f"Latency percentiles at {scenario['rate']:g} logins a second"))
    return "".join(out)


def rounds_sentence(report):
    at = report["conditions"]
    others = [f"{key} had {rounds_of(scenario)}" for key, scenario in report["scenarios"].items()
              if rounds_of(scenario) != at["rounds"]]
    return (f"{at['rounds']}, of about {at['seconds_per_run']:g} s for each proxy" +
            (f"; {', '.join(others)}" if others else ""))


def conditions_section(report):
    at = report["conditions"]
    rows = [("When", at["date"]), ("Processor", f"{at['cpu']}, {at['cpus']} CPUs"),
            ("Kernel", at["kernel"]), ("OpenSSL", at["openssl"]),
            ("Rounds", rounds_sentence(report)),
            ("Cores", f"the proxy alone on {at['proxy_core']}; load generator, stores and "
                      f"responders on {at['other_core']}"),
            ("Open files", f"at most {at['descriptors_max']:,} for a process: no more than "
                           f"{(at['descriptors_max'] - 200) // 2:,} sessions fit"),
            ("Load average", f"{at['load_average'][0]:.1f} at the start, "
                             f"{at['load_average_after'][0]:.1f} at the end")]
    rows += [(PEERS[name].title, text) for name, text in at["versions"].items()]
    rows += [("Left out", text) for text in at["left_out"]]
    floor = report.get("floor")
    if floor:
        rows.append(("Crypto floor", f"{floor['sum_us']:.1f} us for one full handshake: ECDSA P-256 "
                                     f"signature {floor['ecdsa_p256_sign_us']:.1f}, X25519 key "
                                     f"generation {floor['x25519_keygen_us']:.1f}, X25519 "
                                     f"derivation {floor['x25519_derive_us']:.1f}"))
    return ('<h2 id="conditions">Conditions</h2>' +
            table(["", ""], [[escape(cell) for cell in row] for row in rows]))


def words_section(identity, title, items):
    return (f'<h2 id="{identity}">{title}</h2><ul>' +
            "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")


def headline(report):
    """The first thing a reader sees: full TLS logins, in one sentence for each peer."""
    scenario = report["scenarios"].get("b")
    ours = scenario and scenario["rows"].get("postern")
    found = ours and spread(values(ours, "cpu_us"))
    if not found:
        return ""
    others = []
    for name, row in scenario["rows"].items():
        of = ratio(ours, row, "cpu_us")
        if name != "postern" and not row["variant"] and of:
            others.append(f"{of['median']:.2f} of {row['title']}'s")
    text = (f"A full TLS 1.3 login costs Postern {number(found['median'])} microseconds of CPU"
            + (": " + ", ".join(others) if others else "") + ".")
    return f"<p><strong>{escape(text)}</strong></p>"


def glance_section(report):
    """All main figures in one table."""
    others = [name for name in report["conditions"]["versions"] if name != "postern"]
    rows = []
    for key, figure, what in LINES:
        scenario = report["scenarios"].get(key)
        ours = scenario and "postern" in scenario["rows"] and spread(
            values(scenario["rows"]["postern"], figure))
        if ours:
            better = "more" if FIGURES[figure][1] else "less"
            rounds = rounds_words(scenario, report["conditions"]["rounds"])
            rows.append([f'<a href="#{key}">{escape(what)}</a><br/><span class="soft">{better} is '
                         f"better{rounds}</span>", escape(with_spread(ours))] +
                        [escape(cell(scenario, name, figure)) for name in others])
    if not rows:
        return ""
    return ('<h2 id="glance">At a glance</h2><p>Median of the rounds. Postern: with the least and '
            "the greatest round. The others: with Postern's ratio to them in parentheses.</p>" +
            table(["", "Postern"] + [PEERS[name].title for name in others], rows))


def page(report):
    light, dark = svg.css()
    style = STYLE.replace("LIGHT", light).replace("DARK", dark)
    at = report["conditions"]
    banner = ('<p class="banner">Tiny counts, one round: this run shows that the measurement works. '
              "Its numbers mean nothing.</p>" if at["quick"] else "")
    if at.get("interrupted"):
        banner += '<p class="banner">Interrupted: not everything was measured.</p>'
    sections = [scenario_section(key, scenario) for key, scenario in report["scenarios"].items()]
    links = [("goals", "Goals"), ("latency", "Latency"), ("how", "How"),
             ("conditions", "Conditions"), ("caveats", "Caveats")]
    nav = "".join(f'<a href="#{to}">{escape(words)}</a>' for to, words in links
                  if to != "latency" or latency_section(report))
    nav += "".join(f'<a href="#{key}">{escape(scenario["title"])}</a>'
                   for key, scenario in report["scenarios"].items())
    body = [
        "<h1>Postern and its peers, side by side</h1>",
        '<p class="soft">What it costs to stand between mail programs and POP3 servers. Postern is '
        "a POP3 proxy: it takes a client's connection, ends TLS, learns who the user is, logs in to "
        "the server that holds this user's mail, and passes bytes. HAProxy, nginx, Dovecot and "
        "Perdition can do the same, or a part of it, and were measured in the same way in the same "
        f"minutes. {escape(at['date'][:10])}.</p>",
        banner, headline(report), f"<nav>{nav}</nav>", glance_section(report),
        goals_section(report), *sections,
        latency_section(report), words_section("how", "How it was measured", HOW),
        words_section("setups", "How each proxy was set up", SETUPS), conditions_section(report),
        words_section("caveats", "Caveats", CAVEATS),
        '<h2 id="commands">Commands</h2><p>This run:</p>'
        f"<pre>{escape(at['command'])}</pre><p>Once more, on a quiet machine with two cores:</p>"
        "<pre>bench/compare/run.py --json report.json --html report.html</pre>",
    ]
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
            f"<title>Postern and its peers, side by side</title><style>{style}</style></head>\n"
            f"<body>{''.join(body)}</body></html>\n")
