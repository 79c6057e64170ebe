"""Numbers from rounds: what counts is the median of the rounds, and ratios within a round."""

import statistics


def good_rounds(row):
    """The rounds of a peer that count; None stands for one that does not."""
    return [None if entry.get("void") else entry for entry in row["rounds"]]


def values(row, figure):
    """One value for each round; None where the round is void or lacks it."""
    return [None if entry is None else entry.get(figure) for entry in good_rounds(row)]


def spread(numbers):
    """{"median", "min", "max", "count"} of those that are there, or None."""
    there = [number for number in numbers if number is not None]
    if not there:
        return None
    return {"median": statistics.median(there), "min": min(there), "max": max(there),
            "count": len(there)}


def ratio(row, base, figure):
    """The spread of row / base, round by round. Neighbours in time share the machine's mood."""
    pairs = zip(values(row, figure), values(base, figure))
    return spread([ours / theirs if ours is not None and theirs else None for ours, theirs in pairs])


def best_peer(scenario, figure, higher_is_better, name="postern"):
    """The peer whose median is best, and is not `name` and no variant; None without one."""
    best, best_median = None, None
    for peer, row in scenario["rows"].items():
        found = spread(values(row, figure))
        if peer == name or row.get("variant") or found is None:
            continue
        median = found["median"]
        if best is None or (median > best_median if higher_is_better else median < best_median):
            best, best_median = peer, median
    return best


def rounds_of(scenario):
    """How many rounds a scenario had."""
    return max((len(row["rounds"]) for row in scenario["rows"].values()), default=0)


def rounds_words(scenario, usual):
    """", 2 rounds" where it had another number than `usual`, otherwise ""."""
    rounds = rounds_of(scenario)
    if rounds == usual:
        return ""
    return f", {rounds} round" + ("" if rounds == 1 else "s")


def void_rounds(scenario):
    """[(row, round, reason)] of what does not count."""
    return [(name, number + 1, reason)
            for name, row in scenario["rows"].items()
            for number, entry in enumerate(row["rounds"])
            for reason in entry.get("void", [])]


def number(value, digits=3):
    """For people: three digits that say something, no exponent."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    size = abs(value)
    places = 0
    while size < 10 ** (digits - 1) and places < 4:
        size *= 10
        places += 1
    return f"{value:,.{places}f}"


def limit(value):
    """A constant as it was written."""
    return f"{value:g}"


def with_spread(found, digits=3):
    """"476 (440-505)"."""
    if found is None:
        return "-"
    between = " to " if found["min"] < 0 else "-"
    return (f"{number(found['median'], digits)} "
            f"({number(found['min'], digits)}{between}{number(found['max'], digits)})")
