"""The alerts on what a real daemon tells: they fire, reach Alertmanager, and are over when it is mended."""

from checks.dashboard import questions
from lib.exporter import IN_A_CLUSTER
from lib.live import Live
from lib.tools import Wrong, folder, insist

WEB = {"environment": "staging", "resource_namespace": "staging", "resource": "web"}
KNOWN = {"$__rate_interval": "1m", "$__range": "5m", "$environment": ".*"}
# What a fleet that is well has no series of, or a demonstration cannot have.
MAY_BE_EMPTY = {
    "Late renewals", "Steps that failed", "Certificates issued", "Going to be deleted", "Rate limits of CAs", "How long the line is",
    "Spent budgets", "Decisions", "Certificates not ready", "Unwell",
}  # fmt: skip


def a_renewal_that_the_ca_does_not_answer_is_told_band_by_band_and_is_over_when_it_answers():
    with folder() as place, Live(place, "3d/s") as live:
        live.wait_firing("ClavigerWatchdog")
        live.rewrite("staging.yaml", r"http://127\.0\.0\.1:\d+/dir", "http://127.0.0.1:9/dir")
        late = live.wait_firing("ClavigerCertificateRenewalLate", **WEB)
        live.wait_firing("ClavigerCertificateRenewalOverdue", severity="critical", **WEB)
        silenced = [alert["status"]["inhibitedBy"] for alert in live.firing("ClavigerCertificateRenewalLate", **WEB)]
        live.wait_firing("ClavigerSyncStale", source="acme/staging/letsencrypt")
        others = [alert["labels"] for alert in live.firing("ClavigerCertificateRenewalLate") if alert["labels"]["environment"] == "test"]
        directory = read_directory(live)
        live.rewrite("staging.yaml", r"http://127\.0\.0\.1:9/dir", directory)
        live.wait_resolved("ClavigerCertificateRenewalOverdue")
        live.wait_resolved("ClavigerCertificateRenewalLate")
        live.wait_resolved("ClavigerSyncStale")
        holds = {
            "the text names the certificate": late["annotations"]["summary"] == "staging/web is renewed late.",
            "the worse band silences the other one": all(silenced),
            "the environment whose CA answers is not told of": not others,
        }
        insist([f"not so: {word}" for word, held in holds.items() if not held])


def read_directory(live: Live) -> str:
    """Where the simulated CA is: the other environment still says it."""
    text = (live.demo / "resources" / "test.yaml").read_text()
    return text.partition('directory: "')[2].partition('"')[0]


def what_waits_for_people_is_told_until_somebody_does_it():
    with folder() as place, Live(place, "1m/s") as live:
        told = live.wait_firing("ClavigerAttention", environment="test", kind="KmsKey", reason="RotationOff")
        live.wait_firing("ClavigerKeyNotReady", environment="test", resource="reports")
        live.call("renew", "kmskey/reports", "--namespace", "test", "--reason", "put back")
        live.wait_resolved("ClavigerAttention", reason="RotationOff")
        live.wait_resolved("ClavigerKeyNotReady", resource="reports")
        if told["annotations"]["summary"] != "KmsKey in test: RotationOff, and it is your turn.":
            raise Wrong(f"it says: {told['annotations']}")


def a_daemon_that_is_gone_is_told_until_it_is_back():
    with folder() as place, Live(place, "1m/s") as live:
        if live.firing("ClavigerDown"):
            raise Wrong("ClavigerDown fires while the daemon is scraped")
        live.daemon.end()
        live.wait_firing("ClavigerDown", severity="critical")
        live.start_daemon()
        live.wait_resolved("ClavigerDown")


def prometheus_finds_no_fault_in_any_rule_or_panel():
    with folder() as place, Live(place, "1h/s") as live:
        live.wait("every rule to be evaluated", lambda: all(rule["health"] != "unknown" for rule in rules(live)), live.prometheus)
        insist([f"{rule['name']}: {rule.get('lastError')}" for rule in rules(live) if rule["health"] != "ok"])
        for title, expression in questions():
            if title in MAY_BE_EMPTY or any(name in expression for name in IN_A_CLUSTER):
                live.api("query", query=concrete(expression))
            else:
                live.wait(
                    f"`{title}` to show something", lambda query=concrete(expression): live.api("query", query=query)["result"], live.prometheus
                )


def rules(live: Live) -> list[dict]:
    return [rule for group in live.api("rules")["groups"] for rule in group["rules"]]


def concrete(expression: str) -> str:
    for variable, value in KNOWN.items():
        expression = expression.replace(variable, value)
    return expression


CHECKS = [
    a_renewal_that_the_ca_does_not_answer_is_told_band_by_band_and_is_over_when_it_answers,
    what_waits_for_people_is_told_until_somebody_does_it,
    a_daemon_that_is_gone_is_told_until_it_is_back,
    prometheus_finds_no_fault_in_any_rule_or_panel,
]
