"""The health of our kinds for Argo CD and Flux: each kind has it, and it asks for nothing that a status does not have."""

import re

from lib.tools import CHART, Wrong, insist
from lib.yaml import documents, read

GROUP = "claviger.dev"
CONDITIONS = {"Accepted", "OnSchedule", "Ready"}
VERDICTS = {"Degraded", "Healthy", "Progressing"}


def kinds() -> dict[str, dict]:
    """The schema of each kind's status."""
    found = {}
    for path in sorted((CHART / "files" / "crds").glob("*.yaml")):
        for crd in documents(path.read_text()):
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            found[crd["spec"]["names"]["kind"]] = schema["properties"]["status"]["properties"]
    return found


def argo() -> dict[str, str]:
    """The scripts, by kind."""
    prefix = f"resource.customizations.health.{GROUP}_"
    data = read(CHART / "examples" / "argocd.yaml")["data"]
    return {key.removeprefix(prefix): script for key, script in data.items() if key.startswith(prefix)}


def flux() -> list[dict]:
    return read(CHART / "examples" / "flux.yaml")["spec"]["healthCheckExprs"]


def every_kind_has_its_health_and_no_other_is_named():
    wanted = sorted(kinds())
    insist([
        f"{tool}: {sorted(named)}, and there are {wanted}"
        for tool, named in [("argocd.yaml", argo()), ("flux.yaml", [each["kind"] for each in flux()])]
        if sorted(named) != wanted
    ])  # fmt: skip
    if any(each["apiVersion"] != f"{GROUP}/v1alpha1" for each in flux()):
        raise Wrong("flux.yaml names another version than the definitions have")


def what_is_asked_for_stands_in_the_status_of_the_kind():
    wrong = []
    for kind, status in kinds().items():
        texts = {"argocd.yaml": argo()[kind]}
        texts |= {f"flux.yaml {field}": each[field] for each in flux() if each["kind"] == kind for field in ("failed", "current")}
        for place, text in texts.items():
            fields = set(re.findall(r"\bstatus\.(\w+)", re.sub(r'"[^"]*"', "", text))) - {"status"}
            parts = {f"attention.{field}" for field in re.findall(r"\battention\.(\w+)", text)}
            known = set(status) | {f"attention.{field}" for field in status["attention"]["properties"]}
            own = set(status["conditions"]["items"]["properties"])
            of_condition = set(re.findall(r"\b(?:c|ready|condition)\.(\w+)", text))
            wrong += [f"{place} {kind}: no status.{field}" for field in sorted(fields | parts) if field not in known]
            wrong += [f"{place} {kind}: no condition has {field}" for field in sorted(of_condition - own)]
            types = set(re.findall(r"""seen\["(\w+)"\]|c\.type [!=]= '(\w+)'""", text))
            named = {name for pair in types for name in pair if name}
            wrong += [f"{place} {kind}: there is no condition {name}" for name in sorted(named - CONDITIONS)]
            if not {"Ready", "OnSchedule", "Accepted"} & named:
                wrong.append(f"{place} {kind}: it looks at no condition")
    insist(wrong)


def argo_is_told_a_verdict_that_it_knows_and_each_of_ours():
    told = {kind: set(re.findall(r'status = "(.*?)"', script)) for kind, script in argo().items()}
    insist([f"argocd.yaml {kind}: {sorted(verdicts)}" for kind, verdicts in told.items() if verdicts != VERDICTS])


CHECKS = [
    every_kind_has_its_health_and_no_other_is_named,
    what_is_asked_for_stands_in_the_status_of_the_kind,
    argo_is_told_a_verdict_that_it_knows_and_each_of_ours,
]
