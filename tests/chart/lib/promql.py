"""Reads expressions as far as a check of names needs it: series with their matchers, and what is grouped by what. promtool parses the rest."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<name>[A-Za-z_:][\w:]*)|(?P<number>[0-9][\w.]*|\.[0-9]+)|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],:@$]))""",
    re.X,
)
AGGREGATIONS = {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values"}


@dataclass
class Series:
    """One selector."""

    name: str
    matchers: list[tuple[str, str, str]]
    at: int


@dataclass
class Grouping:
    """One `by (labels)` and the tokens that it spans."""

    labels: list[str]
    begin: int
    end: int


@dataclass
class Expression:
    """What an expression names."""

    series: list[Series] = field(default_factory=list)
    groupings: list[Grouping] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)

    def outermost(self) -> list[Grouping]:
        """The groupings that no other one contains."""
        return [inner for inner in self.groupings if not any(contains(outer, inner) for outer in self.groupings)]


def contains(outer: Grouping, inner: Grouping) -> bool:
    return outer is not inner and outer.begin < inner.begin and inner.end <= outer.end


def read(expression: str) -> Expression:
    """Takes an expression apart."""
    tokens, found = tokenize(expression), Expression()
    for at, (kind, text) in enumerate(tokens):
        if kind == "name" and text.startswith("claviger_"):
            found.series.append(Series(text, matchers(tokens, at + 1), at))
        elif kind == "name" and text in ("on", "ignoring", "group_left", "group_right"):
            found.matched += names(tokens, at + 1)[0]
        elif kind == "name" and text in ("by", "without"):
            found.groupings.append(grouping(tokens, at))
    return found


def tokenize(expression: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    expression = re.sub(r"(?m)#.*$", "", expression).strip()
    while at < len(expression):
        match = TOKEN.match(expression, at)
        assert match, f"cannot read `{expression[at : at + 20]}` of `{expression}`"
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


def matchers(tokens: list, at: int) -> list[tuple[str, str, str]]:
    if at >= len(tokens) or tokens[at][1] != "{":
        return []
    found, at = [], at + 1
    while tokens[at][1] != "}":
        if tokens[at][1] != ",":
            found.append((tokens[at][1], tokens[at + 1][1], tokens[at + 2][1][1:-1]))
            at += 2
        at += 1
    return found


def names(tokens: list, at: int) -> tuple[list[str], int]:
    """The names between the parentheses that begin here, and where they end."""
    end = closing(tokens, at)
    return [text for kind, text in tokens[at:end] if kind == "name"], end


def closing(tokens: list, at: int) -> int:
    assert tokens[at][1] == "(", f"`(` is missing before {tokens[at:]}"
    depth = 0
    for place in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[place][1], 0)
        if depth == 0:
            return place
    raise AssertionError(f"`)` is missing in {tokens}")


def grouping(tokens: list, at: int) -> Grouping:
    """`sum by (labels) (…)`; the other order is not our style."""
    assert tokens[at][1] == "by" and tokens[at - 1][1] in AGGREGATIONS, f"write `sum by (…) (…)`: {tokens[at - 1 : at + 1]}"
    labels, end = names(tokens, at + 1)
    return Grouping(labels, at, closing(tokens, end + 1))
