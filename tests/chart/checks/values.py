"""values.yaml, its schema and the README."""

import json

from lib.chart import refused, resolve, schema
from lib.tools import ACCEPT, CHART, Wrong, insist
from lib.values import leaves, readme, written
from lib.yaml import read

# What parent charts put in; see the schema.
FOREIGN = {"global", "enabled"}
# Kubernetes' own, which changes without us: Helm passes it on, the API server judges it.
FREE = {"strings", "labels", "free", "regions", "quantities"}


def every_value_is_explained_in_one_sentence():
    lack = [f"{value.key}: no comment above it" for value in leaves() if not value.comment]
    long = [
        f"{value.key}: {value.comment}" for value in leaves() if value.comment and not (value.comment.endswith(".") and ". " not in value.comment)
    ]
    insist(lack + [f"not one plain sentence: {text}" for text in long])


def the_comments_were_read_as_helm_reads_the_values():
    """Every key that our own reader saw is there, and no other section."""
    values = read(CHART / "values.yaml")
    for value in written():
        node = values
        for step in value.path:
            if not isinstance(node, dict) or step not in node:
                raise Wrong(f"Helm sees no {value.key}: keep the style that tests/chart/lib/values.py names")
            node = node[step]
    missing = sorted(set(keys(values)) - {value.key for value in written()})
    insist([f"{key} was not seen: keep the style that tests/chart/lib/values.py names" for key in missing])


def keys(node: dict, above: tuple = ()) -> list[str]:
    """Every key, but not what lies inside a value that is one thing."""
    whole = {value.key for value in leaves()}
    found = []
    for word, inner in node.items():
        path = (*above, word)
        found.append(".".join(path))
        if isinstance(inner, dict) and ".".join(path) not in whole:
            found += keys(inner, path)
    return found


def values_and_schema_know_the_same_keys_and_say_the_same_of_them():
    values = {value.key: value for value in written()}
    known = dict(properties(schema()))
    whole = {value.key for value in leaves()}
    ours = {key: node for key, node in known.items() if not any(key.startswith(f"{parent}.") for parent in whole)}
    faults = [f"{key} stands in values.yaml and not in the schema" for key in values if key not in known]
    faults += [f"{key} stands in the schema and not in values.yaml" for key in ours if key not in values]
    for key, value in values.items():
        said = known.get(key, {}).get("description", "")
        if key in whole and not key.startswith("prometheusRule.alerts.") and "description" in known.get(key, {}) and said != value.comment:
            faults.append(f"{key}: the schema says `{said}`, values.yaml says `{value.comment}`")
    insist(faults)


def properties(node: dict, above: tuple = ()):
    """Every key that the schema knows by name."""
    for word, inner in resolve(node).get("properties", {}).items():
        if not above and word in FOREIGN:
            continue
        yield ".".join((*above, word)), inner
        yield from properties(inner, (*above, word))


def nothing_in_the_schema_lets_a_typo_pass():
    insist(loose(schema(), "values"))


def loose(node: dict, path: str) -> list[str]:
    reference = node.get("$ref", "").rsplit("/", 1)[-1]
    if reference in FREE or path in ("values.global", "values.extraVolumes[]", "values.extraContainers[]", "values.extraObjects[]"):
        return []
    node, types = resolve(node), resolve(node).get("type", [])
    faults = []
    if "object" in ([types] if isinstance(types, str) else types) and node.get("additionalProperties") is not False:
        faults.append(f"{path}: an object without `additionalProperties: false`")
    if not types and "enum" not in node:
        faults.append(f"{path}: no type")
    for word, inner in node.get("properties", {}).items():
        faults += loose(inner, f"{path}.{word}")
    return faults + (loose(node["items"], f"{path}[]") if "items" in node else [])


def a_misspelt_key_is_refused_by_its_name():
    objects = [(), *(tuple(key.split(".")) for key, node in properties(schema()) if resolve(node).get("additionalProperties") is False)]
    insist([fault for path in objects if (fault := passes((*path, "misspelt"), 1))])


def passes(path: tuple, value: object) -> str | None:
    tree: object = value
    for word in reversed(path[1:]):
        tree = {word: tree}
    answer = refused("--set-json", f"{path[0]}={json.dumps(tree)}")
    if answer is None:
        return f"{'.'.join(path)}={json.dumps(value)} is accepted"
    return None if path[-1] in answer else f"{'.'.join(path)} is refused without being named:\n{answer}"


def a_wrong_value_is_refused():
    cases = [
        ("replicas", "two"),
        ("namespaces", ["Staging"]),
        ("namespaces", ["staging", "staging"]),
        ("image.digest", "latest"),
        ("image.pullPolicy", "Sometimes"),
        ("settings.resolvers", ["10.0.0.1"]),
        ("settings.endpoints.kms", {"Ireland": "http://127.0.0.1"}),
        ("settings.endpoints.cloudflare", "api.cloudflare.com"),
        ("settings.log.format", "xml"),
        ("settings.files.read", "relative"),
        ("http01.port", 80),
        ("http01.address", "localhost"),
        ("http01.service.type", "ExternalName"),
        ("metrics.port", "9464"),
        ("metrics.serviceMonitor.interval", "30"),
        ("prometheusRule.alerts.ClavigerDown.severity", "fatal"),
        ("prometheusRule.alerts.ClavigerDown.for", "ten minutes"),
        ("podSecurityContext.runAsUser", 0),
        ("podDisruptionBudget.minAvailable", "most"),
        ("commonLabels", {"app.kubernetes.io/name": "other"}),
        ("tolerations", [{"kee": "x"}]),
        ("extraEnv", [{"value": "x"}]),
        ("state.volume", {"hostPath": {"path": "/"}}),
        ("state.volume", {"emptyDir": {}, "csi": {}}),
    ]
    insist([f"{key}={value} is accepted" for key, value in cases if refused("--set-json", nested(key, value)) is None])


def nested(key: str, value: object) -> str:
    first, *rest = key.split(".")
    for word in reversed(rest):
        value = {word: value}
    return f"{first}={json.dumps(value)}"


def a_parent_chart_may_share_what_it_shares():
    insist([f"{text}: {answer}" for text in ('global={"region":"eu"}', "enabled=true") if (answer := refused("--set-json", text))])


def the_readme_has_the_values_of_today():
    path = CHART / "README.md"
    now = path.read_text()
    if ACCEPT:
        path.write_text(readme(now))
    elif readme(now) != now:
        raise Wrong("charts/claviger/README.md is older than values.yaml: run `CLAVIGER_ACCEPT=1 tests/chart/run readme`")


CHECKS = [
    every_value_is_explained_in_one_sentence,
    the_comments_were_read_as_helm_reads_the_values,
    values_and_schema_know_the_same_keys_and_say_the_same_of_them,
    nothing_in_the_schema_lets_a_typo_pass,
    a_misspelt_key_is_refused_by_its_name,
    a_wrong_value_is_refused,
    a_parent_chart_may_share_what_it_shares,
    the_readme_has_the_values_of_today,
]
