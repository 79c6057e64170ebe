"""Plots as inline SVG. Colours are CSS variables, so that they follow the page's light or dark."""

import html
import math

# Okabe and Ito's colours, told apart with every kind of colour vision; darker or lighter for the
# page's two modes. By a peer's `colour`.
PALETTE = (
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#f0894a"),
    ("#007f5f", "#2cc79b"),
    ("#a6468a", "#dd8fbf"),
    ("#7a6a00", "#d8c64a"),
)


def css():
    light = "".join(f"--c{number}: {pair[0]}; " for number, pair in enumerate(PALETTE))
    dark = "".join(f"--c{number}: {pair[1]}; " for number, pair in enumerate(PALETTE))
    return light, dark


def text(x, y, words, cls="", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">'
            f"{html.escape(str(words))}</text>")


def nice_step(most, parts=5):
    """A step of 1, 2 or 5 times a power of ten, so that about `parts` of them reach `most`."""
    if most <= 0:
        return 1.0
    raw = most / parts
    power = 10 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5, 10):
        if raw <= factor * power:
            return factor * power
    return 10 * power


def axis_label(value):
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def bars(rows, unit, title):
    """Horizontal bars with whiskers. `rows`: [(label, spread or None, colour, faint)]."""
    left, width, height, bar = 210, 860, 30, 18
    shown = [found["max"] for _, found, _, _ in rows if found]
    most = max(shown, default=1) or 1
    scale = (width - left - 130) / most
    bottom = len(rows) * height + 8
    parts = []
    step = nice_step(most)
    tick = 0.0
    while tick <= most * 1.0001:
        x = left + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
        parts.append(text(x, bottom + 16, axis_label(tick), "tick", "middle"))
        tick += step
    for number, (label, found, colour, faint) in enumerate(rows):
        y = 8 + number * height
        middle = y + bar / 2
        parts.append(text(left - 10, middle + 4, label, "label", "end"))
        if not found:
            parts.append(text(left + 6, middle + 4, "does not count: void", "tick"))
            continue
        size = max(1.0, found["median"] * scale)
        parts.append(f'<rect x="{left}" y="{y}" width="{size:.1f}" height="{bar}" rx="2" '
                     f'fill="var(--c{colour})" fill-opacity="{0.5 if faint else 1}"/>')
        low, high = left + found["min"] * scale, left + found["max"] * scale
        parts.append(f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {y + 4}v{bar - 8}'
                     f'M{high:.1f} {y + 4}v{bar - 8}" class="whisker"/>')
        parts.append(text(max(left + size, high) + 8, middle + 4, axis_value(found["median"]),
                          "value"))
    parts.append(text(left, bottom + 34, unit, "tick"))
    return svg(width, bottom + 42, title, parts)


def axis_value(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def svg(width, height, title, parts):
    return (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">'
            f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>")


def lines(series, x_labels, unit, title, y_log=True):
    """Curves over named places. `series`: [(label, [value or None], colour)]."""
    left, right, top, width, height = 70, 170, 12, 860, 300
    values = [value for _, points, _ in series for value in points if value]
    if not values:
        return ""
    low, high = min(values), max(values)
    if y_log:
        bottom_power = math.floor(math.log10(low))
        top_power = math.ceil(math.log10(high * 1.001))
        ticks = [base * 10.0 ** power for power in range(bottom_power, top_power + 1)
                 for base in (1, 2, 5)]
        ticks = [tick for tick in ticks if low * 0.7 <= tick <= high * 1.4]
        first, last = math.log(low * 0.75), math.log(high * 1.3)

        def place(value):
            return top + (last - math.log(value)) / (last - first) * (height - top)
    else:
        step = nice_step(high)
        ticks = [step * number for number in range(int(high * 1.05 / step) + 1)]

        def place(value):
            return top + (1 - value / (high * 1.05)) * (height - top)
    gap = (width - left - right) / max(1, len(x_labels) - 1)
    parts = []
    for tick in ticks:
        y = place(tick)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" '
                     'class="grid"/>')
        parts.append(text(left - 8, y + 4, f"{tick:g}", "tick", "end"))
    for number, label in enumerate(x_labels):
        parts.append(text(left + number * gap, height + 20, label, "tick", "middle"))
    ends = []
    for number, (label, points, colour) in enumerate(series):
        at = [(left + place_x * gap, place(value))
              for place_x, value in enumerate(points) if value]
        if not at:
            continue
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path d="{path}" class="curve" stroke="var(--c{colour})" '
                     f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="var(--c{colour})"/>'
                  for x, y in at]
        ends.append([at[-1][1], at[-1], label, colour])
    parts += end_labels(ends, width - right)
    parts.append(text(left, height + 40, unit, "tick"))
    return svg(width, height + 48, title, parts)


# Not by colour alone.
DASHES = ("none", "8 3", "3 3", "10 3 2 3", "1 3")


def end_labels(ends, x):
    """The names behind the curves, moved apart where curves end close to each other."""
    parts = []
    y = -math.inf
    for end in sorted(ends, key=lambda one: one[0]):
        y = max(end[0], y + 16)
        (at_x, at_y), label, colour = end[1], end[2], end[3]
        parts.append(f'<path d="M{at_x + 5:.1f} {at_y:.1f}L{x + 12} {y:.1f}" class="leader"/>')
        parts.append(f'<text x="{x + 16}" y="{y + 4:.1f}" class="label" '
                     f'fill="var(--c{colour})">{html.escape(label)}</text>')
    return parts
