"""The example for Alertmanager: who hears of what, by amtool, and what silences what, by Alertmanager itself."""

from checks.alerts import alerts
from lib.alertmanager import Running
from lib.tools import CHART, Wrong, done, insist

FILE = CHART / "examples" / "alertmanager.yaml"
RECEIVERS = {"critical": "pager", "warning": "tickets", "info": "notes", "none": "dead-man"}

WEB = {"environment": "staging", "resource_namespace": "staging", "resource": "web"}
KEY = {"environment": "staging", "resource_namespace": "staging", "resource": "data"}

# What is firing, and which of it is not told. An alert is its name and labels.
CASES = [
    (
        "nothing renews: what is late because of it is no news",
        [("ClavigerSchedulerStopped", {}), ("ClavigerCertificateRenewalLate", WEB), ("ClavigerMetricsIncomplete", {"kind": "KmsKey"})],
        {"ClavigerCertificateRenewalLate", "ClavigerMetricsIncomplete"},
    ),
    ("nobody leads", [("ClavigerNoLeader", {}), ("ClavigerSyncStale", {"source": "kms/staging"})], {"ClavigerSyncStale"}),
    ("what is critical is told beside it", [("ClavigerDown", {}), ("ClavigerCertificateExpired", WEB)], set()),
    ("the watchdog is never silenced", [("ClavigerDown", {}), ("ClavigerAuditBlocked", {"sink": "file"}), ("ClavigerWatchdog", {})], set()),
    (
        "the worse band silences the other one of the same certificate",
        [("ClavigerCertificateRenewalOverdue", WEB), ("ClavigerCertificateRenewalLate", WEB)],
        {"ClavigerCertificateRenewalLate"},
    ),
    (
        "and not that of another certificate",
        [("ClavigerCertificateRenewalOverdue", WEB), ("ClavigerCertificateRenewalLate", {**WEB, "resource": "api"})],
        set(),
    ),
    (
        "expired says it all",
        [("ClavigerCertificateExpired", WEB), ("ClavigerCertificateRenewalOverdue", WEB), ("ClavigerCertificateNotReady", WEB)],
        {"ClavigerCertificateRenewalOverdue", "ClavigerCertificateNotReady"},
    ),
    (
        "a key that will be deleted is not ready either",
        [("ClavigerKeyPendingDeletion", KEY), ("ClavigerKeyNotReady", KEY), ("ClavigerKeyRotationOverdue", KEY)],
        {"ClavigerKeyNotReady", "ClavigerKeyRotationOverdue"},
    ),
    (
        "another environment's disabled key silences nothing",
        [("ClavigerKeyDisabled", {"environment": "production"}), ("ClavigerKeyNotReady", KEY)],
        set(),
    ),
    (
        "orders fail because the CA lets us wait",
        [("ClavigerAcmeRateLimited", {"environment": "staging", "issuer": "letsencrypt"}), ("ClavigerIssuanceFailing", {"environment": "staging"})],
        {"ClavigerIssuanceFailing"},
    ),
    ("the journal is the cause", [("ClavigerAuditBlocked", {"sink": "file"}), ("ClavigerSchedulerStopped", {})], {"ClavigerSchedulerStopped"}),
]


def amtool_accepts_the_example():
    done("AMTOOL", "check-config", FILE)


def every_alert_reaches_whom_its_severity_calls_for():
    rules = alerts().items()
    wrong = [
        (name, severity, receiver)
        for name, rule in rules
        if (receiver := reached(name, severity := rule["labels"]["severity"])) != RECEIVERS[severity]
    ]
    insist([f"{name} ({severity}) reaches {receiver}" for name, severity, receiver in wrong])


def alerts_of_others_reach_their_receiver_as_before():
    if (receiver := reached("KubePodCrashLooping", "critical")) != "tickets":
        raise Wrong(f"an alert that is not ours reaches {receiver}")


def reached(name: str, severity: str) -> str:
    labels = ["environment=production"] if name != "ClavigerWatchdog" else []
    return done("AMTOOL", "config", "routes", "test", f"--config.file={FILE}", f"alertname={name}", f"severity={severity}", *labels).strip()


def alertmanager_silences_what_another_alert_says_already():
    severities = {name: rule["labels"]["severity"] for name, rule in alerts().items()}
    wrong = []
    for name, firing, silent in CASES:
        with Running(FILE) as running:
            running.fire([{"alertname": alert, "severity": severities[alert], **labels} for alert, labels in firing])
            inhibited = running.inhibited()
        if inhibited != silent:
            wrong.append(f"{name}: silenced are {sorted(inhibited)} in place of {sorted(silent)}")
    insist(wrong)


CHECKS = [
    amtool_accepts_the_example,
    every_alert_reaches_whom_its_severity_calls_for,
    alerts_of_others_reach_their_receiver_as_before,
    alertmanager_silences_what_another_alert_says_already,
]
