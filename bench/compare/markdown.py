"""The tables of a report, for terminals and documents."""

from figures import limit, ratio, rounds_words, spread, values, void_rounds, with_spread

# figure -> (what it is, whether more is better)
FIGURES = {
    "cpu_us": ("CPU us per session", False),
    "per_second": ("sessions/s", True),
    "mb_per_cpu_s": ("MB per CPU second", True),
    "mb_per_s": ("MB/s reached", True),
    "rss_kb": ("KB RSS per session", False),
    "pss_kb": ("KB PSS per session", False),
    "p50_ms": ("p50 ms", False),
    "p90_ms": ("p90 ms", False),
    "p99_ms": ("p99 ms", False),
    "noop_p50_ms": ("NOOP p50, ms", False),
    "noop_p99_ms": ("NOOP p99, ms", False),
    "greeting_p50_ms": ("greeting p50, ms", False),
    "greeting_p99_ms": ("greeting p99, ms", False),
    "quit_p50_ms": ("QUIT p50, ms", False),
    "quit_p99_ms": ("QUIT p99, ms", False),
}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def scenario_table(scenario):
    figures = scenario["figures"]
    head = ["proxy"] + [FIGURES[figure][0] for figure in figures]
    ours = scenario["rows"].get("postern")
    if ours and len(scenario["rows"]) > 1:
        head.append("Postern's ratio to it")
    head.append("void")
    rows = []
    for name, row in scenario["rows"].items():
        cells = [row["title"]] + [with_spread(spread(values(row, figure))) for figure in figures]
        if ours and len(scenario["rows"]) > 1:
            same = name == "postern"
            cells.append("1" if same else with_spread(ratio(ours, row, figures[0])))
        cells.append(str(sum(1 for entry in row["rounds"] if entry.get("void")) or ""))
        rows.append(cells)
    return table(head, rows)


def goal_cells(goal):
    sign = "at least" if goal["at_least"] else "at most"
    unit = "" if goal["unit"] == "x" else f" {goal['unit']}"
    against = f" of the {goal['against']}" if goal["against"] else ""
    against = {"floor": " of the crypto floor", "best": " of the best peer's",
               "haproxy": " of HAProxy's", "nginx": " of nginx's", "dovecot": " of Dovecot's",
               "perdition": " of Perdition's"}.get(goal["against"], against)
    wanted = f"{sign} {limit(goal['limit'])}{unit}{against}"
    measured = "not measured" if goal["measured"] is None else with_spread(goal["measured"]) + unit
    reached = {True: "reached", False: "NOT reached", None: "-"}[goal["reached"]]
    return [f"{goal['what']} ({goal['scenario']})", wanted, measured, reached]


def goals_table(goals):
    return table(["figure", "goal", "measured: median (min-max)", ""],
                 [goal_cells(goal) for goal in goals])


def conditions_lines(report):
    at = report["conditions"]
    lines = [f"{at['date']}, {at['cpu']}, kernel {at['kernel']}, {at['openssl']}. Load average "
             f"{at['load_average'][0]:.1f} at the start, {at['load_average_after'][0]:.1f} at the "
             f"end."]
    if at.get("interrupted"):
        lines.append("INTERRUPTED: not everything was measured.")
    lines.append(", ".join(at["versions"].values()) + ".")
    lines += [f"Left out: {why}." for why in at["left_out"]]
    floor = report.get("floor")
    if floor:
        lines.append(
            f"Crypto floor of a full handshake: {floor['sum_us']:.1f} us (ECDSA P-256 sign "
            f"{floor['ecdsa_p256_sign_us']:.1f}, X25519 key generation "
            f"{floor['x25519_keygen_us']:.1f}, derive {floor['x25519_derive_us']:.1f}).")
    return lines


def markdown(report):
    lines = conditions_lines(report) + [""]
    for key, scenario in report["scenarios"].items():
        rounds = rounds_words(scenario, report["conditions"]["rounds"]).removeprefix(", ")
        lines += [f"## {key}: {scenario['title']}", "", scenario["about"]]
        lines += [f"This scenario had {rounds}."] if rounds else []
        if scenario["note"]:
            lines += ["", scenario["note"]]
        lines += [""] + scenario_table(scenario) + [""]
        lines += [f"VOID: {name}, round {at}: {reason}" for name, at, reason in
                  void_rounds(scenario)]
    lines += ["## Goals", ""] + goals_table(report["goals"])
    return "\n".join(lines)
