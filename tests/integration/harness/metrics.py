"""Prometheus text, parsed."""

import re

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics(dict):
    """{(name, ((label, value), ...)): number}, labels sorted."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = _LINE.match(line)
            assert match, f"not a metric line: {line!r}"
            name, labels, value = match.groups()
            pairs = tuple(sorted(_LABEL.findall(labels or "")))
            assert (name, pairs) not in self, f"series stands twice: {line}"
            self[(name, pairs)] = float(value)

    def get(self, name, **labels):
        """The sum of all series of `name` that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, pairs), v in self.items() if n == name and wanted <= set(pairs))

    def labels(self, name, label):
        """{value of `label`: sum} over the series of `name`, without zeros."""
        sums = {}
        for (n, pairs), value in self.items():
            if n == name and value:
                key = dict(pairs).get(label, "")
                sums[key] = sums.get(key, 0) + value
        return sums
