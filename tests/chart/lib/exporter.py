"""What claviger really exports: names, types and labels from the golden file of the exposition, words from the Rust sources."""

import re
from functools import cache

from .tools import ROOT

# What a scrape adds.
SCRAPE = {"instance", "job", "namespace", "pod", "service", "container", "endpoint"}
# What is told in a cluster only, and so does not stand in the golden file.
IN_A_CLUSTER = {
    "claviger_leader": set(),
    "claviger_discovered_certificates": {"environment", "state"},
    "claviger_discovered_certificate_earliest_not_after_timestamp_seconds": {"environment"},
}
SUFFIXES = {"histogram": {"_bucket": {"le"}, "_count": set(), "_sum": set()}}


@cache
def families() -> dict[str, set[str]]:
    """The labels of each series by its name, those of a scrape left out."""
    found = {}
    for line in (ROOT / "tests/golden/metrics.txt").read_text().splitlines():
        name, kind, labels = re.fullmatch(r"(\S+) (\S+) \{(.*)\}", line).groups()
        own = set(filter(None, labels.split(",")))
        for suffix, more in SUFFIXES.get(kind, {"": set()}).items():
            found[name + suffix] = own | more
    sources = "".join(path.read_text() for path in (ROOT / "daemon/src/sight").rglob("*.rs"))
    return found | {name: labels for name, labels in IN_A_CLUSTER.items() if f'"{name}"' in sources}


@cache
def reasons() -> dict[str, str]:
    """Every reason with whose turn it is."""
    source = (ROOT / "config/src/reason.rs").read_text()
    rows = re.findall(r"(?m)^    (\w+), +(\w+), +\"", source)
    assert len(rows) > 50, "config/src/reason.rs has another form than this script reads"
    return dict(rows)


@cache
def words() -> set[str]:
    """Every string that stands in the sources of the daemon and of its words, and every reason."""
    sources = [path for part in ("config/src", "daemon/core/src", "daemon/src") for path in (ROOT / part).rglob("*.rs")]
    strings = {text for path in sources for text in re.findall(r'"([\w./-]+)"', path.read_text())}
    return strings | set(reasons())


def strict(label: str) -> set[str] | None:
    """The closed list of a label's values, where there is one."""
    lists = {"reason": set(reasons()), "turn": set(reasons().values())}
    return lists.get(label)
