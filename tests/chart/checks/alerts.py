"""The alerts: their names, their texts and how they behave."""

import json
import re

from lib.chart import full, objects, of
from lib.exporter import reasons
from lib.fleets import healthy, late
from lib.names import faults, given
from lib.tools import CHART, HERE, Wrong, call, done, folder, insist
from lib.values import written
from lib.yaml import read

RULES = CHART / "files" / "rules.yaml"
TESTS = sorted((HERE / "alerts").glob("*.yaml"))


def alerts() -> dict[str, dict]:
    """Every alert by its name."""
    return {rule["alert"]: rule for group in read(RULES)["groups"] for rule in group["rules"]}


def promtool_accepts_the_rules():
    done("PROMTOOL", "check", "rules", "--lint=all", "--lint-fatal", RULES)


def every_alert_fires_stays_silent_and_stands_at_its_boundary():
    ran = call("PROMTOOL", "test", "rules", *TESTS)
    if ran.returncode:
        raise Wrong(ran.stdout + ran.stderr)


def every_alert_has_tests_of_all_three_kinds():
    tested = {path.stem: read(path) for path in TESTS}
    lack = [f"tests/chart/alerts/{name}.yaml is missing" for name in alerts() if name not in tested]
    lack += [f"tests/chart/alerts/{name}.yaml tests no alert" for name in tested if name not in alerts()]
    for name, document in tested.items():
        kinds = {group["name"].partition(":")[0] for group in document["tests"]}
        lack += [f"{name}: no test begins with `{kind}:`" for kind in ("fires", "silent", "boundary") if kind not in kinds]
        lack += [f"{name}: {group['name']}: {fault}" for group in document["tests"] for fault in idle(name, group)]
    insist(lack)


def idle(name: str, group: dict) -> list[str]:
    """A test that does not do what its name says."""
    expected = [bool(test["exp_alerts"]) for test in group["alert_rule_test"]]
    kind = group["name"].partition(":")[0]
    good = {"fires": all(expected), "silent": not any(expected) or name == "ClavigerWatchdog", "boundary": True}[kind]
    others = {test["alertname"] for test in group["alert_rule_test"]} - {name}
    return ([] if good else ["it does not expect what it says"]) + [f"tests {other} too" for other in others]


def every_series_label_and_value_in_the_rules_is_exported():
    insist([f"{name}: {fault}" for name, rule in alerts().items() for fault in faults(rule["expr"])])


def every_text_names_labels_that_the_alert_has():
    lost = []
    for name, rule in alerts().items():
        has = given(rule["expr"]) | set(rule["labels"])
        for field, text in rule["annotations"].items():
            lost += [f"{name}: {field} names `{label}`, it has {sorted(has)}" for label in re.findall(r"\$labels\.(\w+)", text) if label not in has]
    insist(lost)


def every_alert_says_what_it_is_and_where_help_is():
    wrong = []
    base = "https://github.com/claviger/claviger/blob/main/charts/claviger/runbooks"
    for name, rule in alerts().items():
        notes = rule["annotations"]
        holds = {
            "summary is one sentence": notes["summary"].endswith(".") and len(notes["summary"]) < 120,
            "description is there": notes["description"].endswith("."),
            "runbook_url is the runbook's": notes["runbook_url"] == f"{base}/{name}.md",
            "severity is known": rule["labels"]["severity"] in ("critical", "warning", "info", "none"),
            "values stand in no label": "$value" not in json.dumps(rule["labels"]),
            "`for` is said": "for" in rule,
            "a name of ours": name.startswith("Claviger"),
        }
        wrong += [f"{name}: not so: {word}" for word, held in holds.items() if not held]
    insist(wrong)


def no_alert_counts_days_that_are_left():
    """What is planned decides: an instant is compared with now, or with the instant that was planned, never minus so many days."""
    early = [
        name
        for name, rule in alerts().items()
        if re.search(r"not_after_timestamp_seconds[^<>]*-\s*time\(\)|expiring\{[^}]*within=\"[1-9]", rule["expr"])
    ]
    insist([f"{name}: fires by days that are left" for name in early])


def the_stages_of_a_stuck_host_name_are_those_that_we_or_cloudflare_can_end():
    listed = re.search(r'stage=~"([^"]+)"', alerts()["ClavigerHostnameStuck"]["expr"])[1].split("|")
    wanted = sorted(word for word, turn in reasons().items() if turn in ("Claviger", "Cloudflare") and word != "BudgetSpent")
    if listed != wanted:
        raise Wrong(f'config/src/reason.rs has other reasons: write stage=~"{"|".join(wanted)}" into ClavigerHostnameStuck')


def values_list_every_alert_as_the_rules_have_it():
    prefix = "prometheusRule.alerts."
    defaults = read(CHART / "values.yaml")["prometheusRule"]["alerts"]
    listed = [value.key.removeprefix(prefix) for value in written() if value.key.startswith(prefix)]
    wrong = [] if listed == list(in_order()) else [f"values.yaml lists {listed}, the rules {list(in_order())}"]
    for name, rule in alerts().items():
        told = defaults.get(name, {})
        if (told.get("for"), told.get("severity")) != (rule["for"], rule["labels"]["severity"]):
            wrong.append(f"{name}: values.yaml has {told}, the rules {rule['for']} and {rule['labels']['severity']}")
    insist(wrong)


def in_order() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def what_helm_makes_of_the_rules_by_default_are_the_rules_that_were_tested():
    rendered = of("PrometheusRule", objects(HERE / "values/pods.yaml"))[0]["spec"]["groups"]
    off = {name for name, value in read(CHART / "values.yaml")["prometheusRule"]["alerts"].items() if not value["enabled"]}
    tested = [{**group, "rules": [rule for rule in group["rules"] if rule["alert"] not in off]} for group in read(RULES)["groups"]]
    if rendered != tested or off != {"ClavigerHostnameAwaitsCustomer"}:
        raise Wrong(f"Helm renders other rules, or others are off than one: {off}")


def values_change_single_alerts():
    rules = {rule["alert"]: rule for group in of("PrometheusRule", full())[0]["spec"]["groups"] for rule in group["rules"]}
    holds = {
        "enabled: false leaves it out": "ClavigerWatchdog" not in rules,
        "for": rules["ClavigerHostnameAwaitsCustomer"]["for"] == "2h",
        "severity": rules["ClavigerCertificateRenewalLate"]["labels"] == {"severity": "critical", "team": "itops"},
        "what is not said stays": rules["ClavigerCertificateRenewalLate"]["for"] == "15m",
        "runbook_url": rules["ClavigerDown"]["annotations"]["runbook_url"] == "https://runbooks.example.com/claviger/ClavigerDown.md",
        "dashboard_url": rules["ClavigerDown"]["annotations"]["dashboard_url"] == "https://grafana.example.com/d/claviger",
    }
    insist([f"not so: {word}" for word, held in holds.items() if not held])


def healthy_fleets_of_six_forty_seven_and_ninety_days_are_silent():
    run_fleet(read(RULES), healthy(list(alerts())))


def a_renewal_that_stops_is_told_by_lateness_at_every_lifetime():
    certificates = [group for group in read(RULES)["groups"] if group["name"] == "claviger-certificates"]
    run_fleet({"groups": certificates}, late(alerts()))


def run_fleet(rules: dict, test: str):
    with folder() as place:
        (place / "rules.yaml").write_text(json.dumps(rules))
        (place / "fleet.yaml").write_text(test)
        ran = call("PROMTOOL", "test", "rules", place / "fleet.yaml")
        if ran.returncode:
            raise Wrong((ran.stdout + ran.stderr)[:20_000])


CHECKS = [
    promtool_accepts_the_rules,
    every_alert_fires_stays_silent_and_stands_at_its_boundary,
    every_alert_has_tests_of_all_three_kinds,
    every_series_label_and_value_in_the_rules_is_exported,
    every_text_names_labels_that_the_alert_has,
    every_alert_says_what_it_is_and_where_help_is,
    no_alert_counts_days_that_are_left,
    the_stages_of_a_stuck_host_name_are_those_that_we_or_cloudflare_can_end,
    values_list_every_alert_as_the_rules_have_it,
    what_helm_makes_of_the_rules_by_default_are_the_rules_that_were_tested,
    values_change_single_alerts,
    healthy_fleets_of_six_forty_seven_and_ninety_days_are_silent,
    a_renewal_that_stops_is_told_by_lateness_at_every_lifetime,
]
