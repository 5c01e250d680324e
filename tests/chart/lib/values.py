"""values.yaml with its comments, which a reader of YAML does not see, and the table in the chart's README.

The file is written in one style: a comment above each key, two spaces for each level, and `{ … }` for a value that is one thing."""

import re
from dataclasses import dataclass

from .tools import CHART

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
KEY = re.compile(r"^( *)([A-Za-z0-9_-]+):(?: +(.*))?$")


@dataclass
class Value:
    """One key: its path, its default as it is written (none for a section) and its comment."""

    path: list[str]
    default: str | None
    comment: str

    @property
    def key(self) -> str:
        return ".".join(self.path)


def written() -> list[Value]:
    """Every key of values.yaml."""
    found, above, comment = [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        match = KEY.match(line)
        if line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif match:
            above = [*above[: len(match[1]) // 2], match[2]]
            found.append(Value(above, match[3], " ".join(comment)))
            comment = []
        else:
            comment = []
    return found


def leaves() -> list[Value]:
    """The keys that have a value."""
    return [value for value in written() if value.default is not None]


def table() -> str:
    """The values as the README shows them."""
    rows = [f"| `{value.key}` | {cell(value.comment)} | `{value.default}` |" for value in leaves()]
    return "\n".join([BEGIN, "", "| value | what it is | default |", "| --- | --- | --- |", *rows, "", END])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def readme(now: str) -> str:
    """The README with the table of today."""
    before, _, rest = now.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table() + after
