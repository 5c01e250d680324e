"""The dashboard: what Grafana needs to show it, and that it asks for what there is."""

import json
import re

from lib.chart import full, of
from lib.exporter import families
from lib.names import faults
from lib.promql import read
from lib.tools import CHART, Wrong, call, folder, insist

FILE = CHART / "files" / "dashboard.json"


def board() -> dict:
    return json.loads(FILE.read_text())


def panels() -> list[dict]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def questions() -> list[tuple[str, str]]:
    """Every expression with the title of its panel."""
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


def every_series_label_and_value_is_exported():
    insist([f"{title}: {fault}" for title, expression in questions() for fault in faults(expression)])


def promtool_can_read_every_expression():
    known = {"$__rate_interval": "5m", "$__range": "1d", "$environment": "production"}
    rules = []
    for at, (_, expression) in enumerate(questions()):
        for variable, value in known.items():
            expression = expression.replace(variable, value)
        rules.append({"record": f"panel:{at}", "expr": expression})
    with folder() as place:
        (place / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        ran = call("PROMTOOL", "check", "rules", "--lint=none", place / "rules.json")
        if ran.returncode:
            raise Wrong(ran.stdout + ran.stderr)


def rates_follow_the_interval_of_the_scrape():
    fixed = [f"{title}: {expression}" for title, expression in questions() if re.search(r"\[\d", expression)]
    insist([f"write $__rate_interval: {text}" for text in fixed])


def every_panel_can_be_told_apart_and_says_what_it_shows():
    ids = [panel["id"] for panel in board()["panels"]]
    faults_ = [f"the id {number} stands twice" for number in set(ids) if ids.count(number) > 1]
    titles = [panel["title"] for panel in panels()]
    faults_ += [f"the title `{title}` stands twice" for title in set(titles) if titles.count(title) > 1]
    faults_ += [f"{panel['title']}: no sentence says what it shows" for panel in panels() if not panel.get("description", "").endswith(".")]
    faults_ += [f"{panel['title']}: no unit" for panel in panels() if "unit" not in json.dumps(panel["fieldConfig"])]
    insist(faults_)


def panels_lie_beside_each_other_and_not_upon_each_other():
    taken, twice = {}, []
    for panel in board()["panels"]:
        place = panel["gridPos"]
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            if cell in taken or cell[0] > 23:
                twice.append(f"{panel['title']} lies upon {taken.get(cell, 'the edge')}")
            taken[cell] = panel["title"]
    insist(sorted(set(twice)))


def the_data_source_is_the_readers_choice():
    fixed = [source for source in sources(board()) if source not in ("${datasource}", "-- Grafana --")]
    if fixed or "__inputs" in board():
        raise Wrong(f"data sources are fixed: {fixed}")
    names = {variable["name"] for variable in board()["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", FILE.read_text()))
    insist([f"no variable `{name}`" for name in used - names] + [f"nobody uses the variable `{name}`" for name in names - used])


def sources(node: object) -> list[str]:
    """The uid of each data source."""
    if isinstance(node, list):
        return [uid for inner in node for uid in sources(inner)]
    if not isinstance(node, dict):
        return []
    own = [node["datasource"]["uid"]] if isinstance(node.get("datasource"), dict) else []
    return own + [uid for inner in node.values() for uid in sources(inner)]


def all_that_is_asked_of_environments_follows_the_choice_of_one():
    lost = []
    for title, expression in questions():
        for series in read(expression).series:
            has = "environment" in families().get(series.name, set())
            if has and ("environment", "=~", "$environment") not in series.matchers:
                lost.append(f"{title}: {series.name} is not limited to $environment")
    insist(lost)


def every_family_is_shown_or_known_to_be_of_no_use_here():
    left = {"claviger_certificate_info", "claviger_certificate_not_before_timestamp_seconds", "claviger_certificate_ready"}
    left |= {"claviger_key_created_timestamp_seconds", "claviger_key_last_rotation_timestamp_seconds", "claviger_key_ready"}
    shown = {series.name for _, expression in questions() for series in read(expression).series}
    bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    every = {re.sub(r"_(bucket|count|sum)$", "", name) for name in families()}
    insist([f"{name} is exported and not shown" for name in sorted(every - bare - left)] + [f"{name} is shown" for name in left & bare])


def the_config_map_has_it_unchanged_where_the_sidecar_looks():
    found = [item for item in of("ConfigMap", full()) if "claviger.json" in item.get("data", {})]
    if json.loads(found[0]["data"]["claviger.json"]) != board() or found[0]["metadata"]["labels"].get("grafana_dashboard") != "1":
        raise Wrong("the ConfigMap holds another dashboard, or lacks the label grafana_dashboard")


CHECKS = [
    every_series_label_and_value_is_exported,
    promtool_can_read_every_expression,
    rates_follow_the_interval_of_the_scrape,
    every_panel_can_be_told_apart_and_says_what_it_shows,
    panels_lie_beside_each_other_and_not_upon_each_other,
    the_data_source_is_the_readers_choice,
    all_that_is_asked_of_environments_follows_the_choice_of_one,
    every_family_is_shown_or_known_to_be_of_no_use_here,
    the_config_map_has_it_unchanged_where_the_sidecar_looks,
]
