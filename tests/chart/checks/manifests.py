"""What the chart renders."""

import re
import tarfile
from difflib import unified_diff
from itertools import islice

from lib.chart import SETS, full, name, objects, of, refused, render, rendered
from lib.tools import ACCEPT, CHART, HERE, Wrong, call, done, folder, insist
from lib.yaml import documents


def helm_finds_nothing_to_complain_of():
    for values in SETS:
        done("HELM", "lint", CHART, "--strict", "--values", values)


def what_is_rendered_is_what_was_accepted():
    texts = {values.name: without_definitions(rendered(values)) for values in SETS} | {"rbac.txt": rights()}
    insist([drift for file, text in texts.items() if (drift := compare(file, text))])


def without_definitions(text: str) -> str:
    """They are long, made by clavigerd, and held against it elsewhere."""
    return "".join(part for part in re.split(r"(?m)^(?=---$)", text) if "\nkind: CustomResourceDefinition\n" not in part)


def compare(file: str, text: str) -> str | None:
    """How a text differs from what was accepted; empty lines do not count."""
    path, lines = HERE / "golden" / file, [f"{line}\n" for line in text.splitlines() if line.strip()]
    if ACCEPT:
        path.write_text("".join(lines))
    before = path.read_text().splitlines(keepends=True) if path.exists() else []
    if before == lines:
        return None
    drift = "".join(islice(unified_diff(before, lines, f"tests/chart/golden/{file}", "rendered now"), 60))
    return f"{drift}look at the change, then accept it by CLAVIGER_ACCEPT=1 tests/chart/run"


def rights() -> str:
    """Every right that the chart grants to clavigerd when everything is on, one a line."""
    bound = [(binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["metadata"].get("namespace")) for binding in bindings()]
    lines = []
    for kind, role, namespace in bound:
        found = [item for item in of(kind, full()) if item["metadata"]["name"] == role and item["metadata"].get("namespace") == namespace]
        for rule in found[0]["rules"]:
            names = f" named {','.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
            place = f"in {namespace}" if namespace else "everywhere"
            for group in rule["apiGroups"]:
                lines += [f"{place}: {verb} {group or 'core'}/{resource}{names}" for resource in rule["resources"] for verb in rule["verbs"]]
    return "\n".join(sorted(lines))


def bindings() -> list[dict]:
    return of("ClusterRoleBinding", full()) + of("RoleBinding", full())


def no_right_is_wider_than_its_use():
    rules = [(name(role), rule) for kind in ("ClusterRole", "Role") for role in of(kind, full()) for rule in role["rules"]]
    wide = [f"{role} grants `*`: {rule}" for role, rule in rules if "*" in str(rule)]
    cluster = [f"{role} reads Secrets everywhere" for role, rule in rules if role.startswith("ClusterRole") and "secrets" in rule["resources"]]
    deletes = [f"{role} may delete: {rule}" for role, rule in rules if "delete" in rule["verbs"] and not role.endswith("-edit")]
    insist(wide + cluster + deletes)


def every_binding_leads_to_a_role_and_to_the_account():
    account = of("ServiceAccount", full())[0]["metadata"]
    roles = {
        (role["kind"], role["metadata"]["name"], role["metadata"].get("namespace")) for kind in ("ClusterRole", "Role") for role in of(kind, full())
    }
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    lost = [
        binding
        for binding in bindings()
        if (binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["metadata"].get("namespace")) not in roles
    ]
    others = [binding for binding in bindings() if binding["subjects"] != [subject]]
    insist([f"{name(binding)} leads nowhere" for binding in lost] + [f"{name(binding)} is not of {subject}" for binding in others])


def secrets_are_reached_in_claimed_namespaces_alone():
    reached = {role["metadata"]["namespace"] for role in of("Role", full()) if any("secrets" in rule["resources"] for rule in role["rules"])}
    if reached != {"claviger", "production", "staging"}:
        raise Wrong(f"Secrets are reached in {sorted(reached)}")


def pods(among: list[dict]) -> list[tuple[str, dict]]:
    deployed = [(name(item), item["spec"]["template"]["spec"]) for item in of("Deployment", among)]
    return deployed + [(name(item), item["spec"]) for item in of("Pod", among)]


def every_pod_satisfies_the_restricted_pod_security_standard():
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    insist([f"{values.name}: {pod}: {fault}" for values in SETS for pod, spec in pods(objects(values)) for fault in unrestricted(spec)])


def unrestricted(spec: dict) -> list[str]:
    whole = spec["securityContext"]
    volumes = {"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    faults = [f"host {field}" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    faults += [f"volume {volume}" for volume in spec.get("volumes", []) if not set(volume) <= volumes]
    for container in spec["containers"]:
        own = container["securityContext"]
        both = {**whole, **own}
        holds = {
            "privilege escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"] and "add" not in own["capabilities"],
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser") != 0,
            "seccomp": both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "privileged": not own.get("privileged"),
            "host ports": not any("hostPort" in port for port in container.get("ports", [])),
            "read-only root": own.get("readOnlyRootFilesystem") is True,
        }
        faults += [f"{container['name']}: {word}" for word, held in holds.items() if not held]
    return faults


def every_selector_finds_the_pods_and_every_port_is_there():
    insist([fault for values in SETS for fault in unfound(objects(values))])


def unfound(among: list[dict]) -> list[str]:
    template = of("Deployment", among)[0]["spec"]["template"]
    labels, ports = template["metadata"]["labels"], {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    selectors = [(item, item["spec"]["selector"]) for item in of("Service", among)]
    selectors += [
        (item, item["spec"]["selector"]["matchLabels"]) for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor") for item in of(kind, among)
    ]
    selectors += [(item, item["spec"]["podSelector"]["matchLabels"]) for item in of("NetworkPolicy", among)]
    faults = [f"{name(item)} does not select the pods" for item, selector in selectors if not selector.items() <= labels.items()]
    faults += [
        f"{name(item)} selects helm test's pods too"
        for item, selector in selectors
        for pod in of("Pod", among)
        if selector.items() <= pod["metadata"]["labels"].items()
    ]
    for monitor in of("ServiceMonitor", among):
        found = [item for item in of("Service", among) if monitor["spec"]["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()]
        if [item["metadata"]["name"].rsplit("-", 1)[1] for item in found] != ["metrics"]:
            faults.append(f"{name(monitor)} selects {list(map(name, found))}")
    named = [(item, port["targetPort"]) for item in of("Service", among) for port in item["spec"]["ports"]]
    named += [(item, port["port"]) for item in of("NetworkPolicy", among) for rule in item["spec"]["ingress"] for port in rule["ports"]]
    return faults + [f"{name(item)}: no port {port}" for item, port in named if port not in ports]


def a_change_of_settings_restarts_the_pods():
    def checksum(*arguments: str) -> str:
        return of("Deployment", documents(render(*arguments)))[0]["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]

    if checksum() == checksum("--set", "settings.log.format=text"):
        raise Wrong("the checksum stays the same")
    if checksum() != checksum("--set", "podLabels.other=x"):
        raise Wrong("the checksum changes although no setting does")


def every_object_lies_in_a_namespace_that_it_names():
    whole = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    among = [item for values in SETS for item in objects(values) if item["kind"] not in whole and item["metadata"]["name"] != "more"]
    insist([f"{name(item)} does not say its namespace" for item in among if "namespace" not in item["metadata"]])


def definitions_are_kept_and_can_be_left_out():
    """Also with one of our own, so that this holds before the real ones are there."""
    with folder() as place:
        chart = copy(place)
        (chart / "files/crds").mkdir(exist_ok=True)
        (chart / "files/crds/example.yaml").write_text(EXAMPLE)
        for arguments, kept in [((), "keep"), (("--set", "crds.keep=false"), None), (("--set", "crds.enabled=false"), "none")]:
            found = of("CustomResourceDefinition", documents(render(*arguments, chart=chart)))
            policies = {item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for item in found}
            if policies != ({kept} if kept != "none" else set()):
                raise Wrong(f"{arguments}: {policies}")
            ours = [item["metadata"]["annotations"] for item in found if item["metadata"]["name"] == "examples.claviger.dev"]
            if found and ours[0].get("example.com/own") != "yes":
                raise Wrong("annotations of the definition are lost")


EXAMPLE = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: examples.claviger.dev, annotations: { example.com/own: "yes" } }
spec:
  group: claviger.dev
  scope: Namespaced
  names: { kind: Example, plural: examples, singular: example }
  versions: [{ name: v1alpha1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }]
"""


def copy(place):
    chart = place / "claviger"
    for path in CHART.rglob("*"):
        if path.is_file():
            target = chart / path.relative_to(CHART)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return chart


def definitions_are_of_our_group_and_of_kinds_that_the_roles_know():
    granted = {resource for line in rights().splitlines() if "claviger.dev" in line for resource in [line.rsplit("/", 1)[1]]}
    found = [item for item in full() if item["kind"] == "CustomResourceDefinition"]
    wrong = [f"{name(item)}: group {item['spec']['group']}" for item in found if item["spec"]["group"] != "claviger.dev"]
    insist(wrong + [f"{name(item)}: no role reads it" for item in found if item["spec"]["names"]["plural"] not in granted])


def what_contradicts_itself_is_refused_with_the_way_out():
    cases = {
        "enable one of them": ["--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true"],
        "give them different ports": ["--set", "http01.port=9464"],
        "enable http01, or neither of them": ["--set", "http01.enabled=false,http01.ingress.enabled=true"],
        "name the Gateway": ["--set", "http01.httpRoute.enabled=true"],
        "name one": ["--set", "serviceAccount.create=false"],
        "use ephemeral, or one replica": ["--set", "state.volume.persistentVolumeClaim.claimName=x"],
    }
    answers = {hint: refused(*arguments) for hint, arguments in cases.items()}
    insist([f"{cases[hint]}: {answer or 'is rendered'}, but should say: {hint}" for hint, answer in answers.items() if hint not in (answer or "")])


def the_notes_name_the_next_command_and_what_is_risky():
    said = {
        (): [
            "rollout status deployment/claviger",
            "clavigerctl status",
            "`namespaces` is empty",
            "nothing leads to the solver",
            "emptyDir",
            "To uninstall",
        ],
        ("--set", "replicas=1,http01.enabled=false,rbac.create=false,crds.enabled=false"): [
            "fewer than two",
            "http-01 is off",
            "`rbac.create` is false",
            "`crds.enabled` is false",
        ],
    }
    for arguments, wanted in said.items():
        notes = done("HELM", "install", "claviger", CHART, "--namespace", "claviger", "--dry-run=client", *arguments).partition("NOTES:")[2]
        insist([f"{arguments}: the notes lack `{text}`:\n{notes}" for text in wanted if text not in notes])
    quiet = done("HELM", "install", "claviger", CHART, "--namespace", "claviger", "--dry-run=client", "--values", HERE / "values/full.yaml")
    if "NOTE:" in quiet:
        raise Wrong(f"nothing is risky, and the notes warn:\n{quiet.partition('NOTES:')[2]}")


def the_package_holds_what_the_cluster_needs_and_no_more():
    with folder() as place:
        done("HELM", "package", CHART, "--destination", place)
        package = next(place.glob("*.tgz"))
        with tarfile.open(package) as archive:
            held = set(archive.getnames())
        needed = {
            f"claviger/{file}"
            for file in ("files/rules.yaml", "files/dashboard.json", "values.schema.json", "README.md", "templates/tests/services.yaml")
        }
        insist(
            [f"{file} is missing" for file in needed - held] + [f"{file} is in it" for file in held if "/runbooks/" in file or "/examples/" in file]
        )
        # Helm keeps the chart in a Secret, which holds 1 MiB.
        if package.stat().st_size > 300_000:
            raise Wrong(f"the package has {package.stat().st_size} bytes")
        if call("HELM", "template", "claviger", package).returncode:
            raise Wrong("the package does not render")


CHECKS = [
    helm_finds_nothing_to_complain_of,
    what_is_rendered_is_what_was_accepted,
    no_right_is_wider_than_its_use,
    every_binding_leads_to_a_role_and_to_the_account,
    secrets_are_reached_in_claimed_namespaces_alone,
    every_pod_satisfies_the_restricted_pod_security_standard,
    every_selector_finds_the_pods_and_every_port_is_there,
    a_change_of_settings_restarts_the_pods,
    every_object_lies_in_a_namespace_that_it_names,
    definitions_are_kept_and_can_be_left_out,
    definitions_are_of_our_group_and_of_kinds_that_the_roles_know,
    what_contradicts_itself_is_refused_with_the_way_out,
    the_notes_name_the_next_command_and_what_is_risky,
    the_package_holds_what_the_cluster_needs_and_no_more,
]
