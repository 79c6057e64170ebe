"""What Postern is to reach against its peers. All goals stand here and nowhere else."""

import dataclasses

from figures import best_peer, ratio, spread, values


@dataclasses.dataclass(frozen=True)
class Goal:
    scenario: str
    what: str
    figure: str
    against: str  # a peer, "best" (of the peers), "floor" or "" (nobody: the figure itself)
    limit: float
    at_least: bool = False  # otherwise: at most
    unit: str = "x"


GOALS = (
    Goal("b", "CPU of a full TLS 1.3 login", "cpu_us", "haproxy", 0.58),
    Goal("b", "CPU of a full TLS 1.3 login", "cpu_us", "nginx", 0.58),
    Goal("b", "CPU of a full TLS 1.3 login", "cpu_us", "dovecot", 0.38),
    Goal("b", "CPU of a full TLS 1.3 login", "cpu_us", "perdition", 0.15),
    Goal("b", "CPU of a full TLS 1.3 login", "cpu_us", "floor", 4.2),
    Goal("a", "CPU of a plain login", "cpu_us", "haproxy", 0.62),
    Goal("a", "CPU of a plain login", "cpu_us", "nginx", 0.55),
    Goal("c13", "CPU of a resumed TLS 1.3 login", "cpu_us", "best", 0.65),
    Goal("c12", "CPU of a resumed TLS 1.2 login", "cpu_us", "best", 0.65),
    Goal("e", "MB per CPU second, TLS fetch, Ethernet's segments", "mb_per_cpu_s", "best", 1.35,
         True),
    Goal("f", "MB per CPU second, TLS bulk", "mb_per_cpu_s", "best", 1.35, True),
    Goal("g", "MB per CPU second, plain bulk", "mb_per_cpu_s", "best", 2.0, True),
    Goal("h", "CPU of a plain login that asks an auth_http service", "cpu_us", "nginx", 1.0),
    Goal("o", "what all features of a farm add to the CPU of a plain login", "growth_percent", "", 3,
         unit="%"),
    Goal("o-tls", "what all features of a farm add to the CPU of a TLS 1.3 login", "growth_percent",
         "", 3, unit="%"),
    Goal("i", "resident memory per idle TLS session", "rss_kb", "", 16, unit="KB"),
    Goal("s", "growth of CPU per session from 1,000 sessions to the most", "growth_percent", "", 15,
         unit="%"),
    Goal("storm", "p99 of NOOP during a storm of handshakes", "noop_p99_ms", "", 20, unit="ms"),
    Goal("w", "p99 of the wait at QUIT", "quit_p99_ms", "", 5, unit="ms"),
)


def evaluate(goal, report):
    """{"what", "against", "limit", "measured": spread or None, "reached": bool or None}. None is
    "not measured"."""
    scenario = report["scenarios"].get(goal.scenario)
    result = {"scenario": goal.scenario, "what": goal.what, "against": goal.against,
              "limit": goal.limit, "at_least": goal.at_least, "unit": goal.unit, "measured": None,
              "reached": None}
    if not scenario:
        return result
    ours = scenario["rows"].get("postern", {"rounds": []})
    if goal.figure == "growth_percent":
        result["measured"] = growth_percent(scenario)
    elif goal.against == "":
        result["measured"] = spread(values(ours, goal.figure))
    elif goal.against == "floor":
        floor = report.get("floor", {}).get("sum_us")
        if floor:
            result["measured"] = spread([None if value is None else value / floor
                                         for value in values(ours, goal.figure)])
    else:
        peer = goal.against
        if peer == "best":
            peer = best_peer(scenario, goal.figure, goal.at_least)
            result["against"] = f"best peer's ({peer})" if peer else "best"
        if peer in scenario["rows"]:
            result["measured"] = ratio(ours, scenario["rows"][peer], goal.figure)
    if result["measured"]:
        median = result["measured"]["median"]
        result["reached"] = median >= goal.limit if goal.at_least else median <= goal.limit
    return result


def growth_percent(scenario):
    """From the first row to the last, round by round."""
    rows = list(scenario["rows"].values())
    if len(rows) < 2:
        return None
    found = ratio(rows[-1], rows[0], "cpu_us")
    return found and {key: found[key] if key == "count" else (found[key] - 1) * 100
                      for key in found}


def evaluate_all(report):
    return [evaluate(goal, report) for goal in GOALS]
