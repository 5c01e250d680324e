"""What people read: runbooks, README."""

import re
from functools import cache

from checks.alerts import alerts
from lib.exporter import families, reasons
from lib.tools import CHART, ROOT, insist
from lib.values import written

RUNBOOKS = CHART / "runbooks"
HEADINGS = ["What it means", "What users feel", "How to look", "How to mend", "When it is over"]


@cache
def runbooks() -> dict[str, str]:
    return {path.stem: path.read_text() for path in RUNBOOKS.glob("Claviger*.md")}


@cache
def texts() -> dict[str, str]:
    return {str(path.relative_to(CHART)): path.read_text() for path in [*RUNBOOKS.glob("*.md"), CHART / "README.md"]}


def every_alert_has_a_runbook_and_every_runbook_an_alert():
    insist(
        [f"runbooks/{name}.md is missing" for name in alerts() if name not in runbooks()]
        + [f"runbooks/{name}.md is of no alert" for name in runbooks() if name not in alerts()]
    )


def every_runbook_answers_the_five_questions():
    wrong = []
    for name, text in runbooks().items():
        headings = re.findall(r"(?m)^## (.+)$", text)
        wrong += [f"{name}: the headings are {headings}"] if headings != HEADINGS else []
        wrong += [f"{name}: begins with another title"] if not text.startswith(f"# {name}\n") else []
        parts = re.split(r"(?m)^## .+$", text)[1:]
        wrong += [f"{name}: `{heading}` says nothing" for heading, part in zip(headings, parts, strict=True) if len(part.strip()) < 8]
    index = (RUNBOOKS / "README.md").read_text()
    insist(wrong + [f"runbooks/README.md lacks {name}" for name in runbooks() if f"]({name}.md)" not in index])


def every_link_leads_somewhere():
    lost = []
    for file, text in texts().items():
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if "://" not in target and not (CHART / file).parent.joinpath(target).exists():
                lost.append(f"{file}: {target}")
    insist(lost)


def every_command_is_one_that_clavigerctl_knows():
    helps = (ROOT / "tests/scripts/help.txt").read_text()
    verbs = set(re.findall(r"(?m)^  ([a-z]+)  ", helps.partition("$ clavigerctl status")[0]))
    options = set(re.findall(r"--[a-z-]+", helps))
    wrong = []
    for file, text in texts().items():
        for command in re.findall(r"clavigerctl ([a-z]+(?: [^\n`|]*)?)", text):
            verb, *rest = command.split()
            wrong += [f"{file}: clavigerctl {verb}"] if verb not in verbs else []
            wrong += [f"{file}: clavigerctl {verb} {word}" for word in rest if word.startswith("--") and word not in options]
    insist(wrong)


def every_value_reason_and_metric_that_a_text_names_is_there():
    values = {value.key for value in written()}
    sections = {key.split(".")[0] for key in values} - {"metrics", "settings", "state", "test", "image", "resources"}
    unknown = []
    for file, text in texts().items():
        for word in re.findall(r"`([^`\n]+)`", text):
            name = re.match(r"(claviger_\w+)", word)
            if name and name[1] not in families():
                unknown.append(f"{file}: no metric {name[1]}")
            if re.fullmatch(r"[a-zA-Z0-9]+(\.[a-zA-Z0-9]+)+", word) and word.split(".")[0] in sections and word not in values:
                unknown.append(f"{file}: no value {word}")
            if re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]+)+", word) and word not in set(reasons()) | KNOWN | set(alerts()):
                unknown.append(f"{file}: no reason {word}")
    insist(unknown)


# Words of others, and kinds.
KINDS = {"TlsCertificate", "KmsKey", "CustomHostname", "HttpRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule", "NetworkPolicy"}
KNOWN = KINDS | {"LoadBalancer", "IfNotPresent", "DisableKey", "ScheduleKeyDeletion", "AccessDenied"}

CHECKS = [
    every_alert_has_a_runbook_and_every_runbook_an_alert,
    every_runbook_answers_the_five_questions,
    every_link_leads_somewhere,
    every_command_is_one_that_clavigerctl_knows,
    every_value_reason_and_metric_that_a_text_names_is_there,
]
