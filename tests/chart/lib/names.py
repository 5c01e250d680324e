"""Whether every series, label and value that an expression names is one that claviger exports."""

import re

from .exporter import SCRAPE, families, strict, words
from .promql import Expression, Series, contains, read


def faults(expression: str) -> list[str]:
    """What an expression names and claviger does not export."""
    found = read(expression)
    return [fault for series in found.series for fault in unexported(series)] + ungrouped(found)


def unexported(series: Series) -> list[str]:
    if series.name not in families():
        return [f"{series.name}: no such metric in tests/golden/metrics.txt"]
    own = families()[series.name] | SCRAPE
    lack = [f"{series.name}: no label `{label}`, it has {sorted(own - SCRAPE)}" for label, _, _ in series.matchers if label not in own]
    return lack + [fault for label, _, value in series.matchers for fault in unspoken(series, label, value)]


def unspoken(series: Series, label: str, value: str) -> list[str]:
    """Values that no code says; variables of a dashboard are anything."""
    accepted = strict(label) or words()
    said = [part for part in re.split(r"\|", value.strip("()")) if part and not part.startswith("$")]
    return [f"{series.name}: `{label}` is never `{part}`" for part in said if part not in accepted]


def ungrouped(found: Expression) -> list[str]:
    """Labels that are grouped by and that what is grouped does not have."""
    lack = []
    for grouping in found.groupings:
        inside = [series for series in found.series if grouping.begin < series.at < grouping.end]
        for series in inside:
            own = families().get(series.name, set()) | SCRAPE
            lack += [f"{series.name}: grouped by `{label}`, which it does not have" for label in grouping.labels if label not in own]
        inner = [other for other in found.groupings if contains(grouping, other)]
        lack += [f"grouped by `{label}`, which is lost inside" for other in inner for label in grouping.labels if label not in other.labels]
    return lack


def given(expression: str) -> set[str]:
    """The labels that every result surely has."""
    outermost = read(expression).outermost()
    return set.intersection(*(set(grouping.labels) for grouping in outermost)) if outermost else set()
