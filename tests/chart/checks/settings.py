"""The settings file that the chart writes, against the types that the daemon reads it with."""

import re

from lib.chart import SETS, objects, of
from lib.tools import ROOT, Wrong, insist
from lib.yaml import documents


def every_key_of_the_settings_is_one_that_the_daemon_knows():
    insist([f"{values.name}: {fault}" for values in SETS for fault in unknown(rendered(values), "Settings", "settings")])


def rendered(values) -> dict:
    maps = [item for item in of("ConfigMap", objects(values)) if "settings.yaml" in item.get("data", {})]
    return documents(maps[0]["data"]["settings.yaml"])[0]


def structs() -> dict[str, dict[str, str]]:
    """The fields of each struct of the settings, as they are written in YAML, with their types."""
    source = (ROOT / "config/src/settings.rs").read_text()
    found = re.findall(r"pub struct (\w+) \{(.*?)\}", source, re.S)
    assert len(found) > 8, "config/src/settings.rs has another form than this script reads"
    return {name: {camel(field): kind for field, kind in re.findall(r"pub (\w+): ([^\n]+),", body)} for name, body in found}


def camel(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(part.capitalize() for part in rest)


def unknown(node: object, kind: str, path: str) -> list[str]:
    fields = structs().get(kind)
    if fields is None or not isinstance(node, dict):
        return []
    faults = [f"{path}.{key}: {kind} has {sorted(fields)}" for key in node if key not in fields]
    inner = {key: re.sub(r"^Option<(.*)>$", r"\1", fields[key]) for key in node if key in fields}
    return faults + [fault for key, of_it in inner.items() for fault in unknown(node[key], of_it, f"{path}.{key}")]


def the_source_is_the_cluster_and_the_folders_are_mounted():
    for values in SETS:
        found, deployment = rendered(values), of("Deployment", objects(values))[0]
        mounts = [mount["mountPath"] for mount in deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]]
        places = [found["state"]["directory"], found["admin"]["listen"].removeprefix("unix:"), *found.get("files", {}).values()]
        homeless = [place for place in places if not any(place.startswith(mount) for mount in mounts)]
        if homeless or found["source"] != {"kubernetes": {}}:
            raise Wrong(f"{values.name}: {homeless} lies below no mount, or the source is {found['source']}")


def the_ports_of_the_settings_are_those_of_the_pod():
    for values in SETS:
        found = rendered(values)
        listened = {name: int(found[name]["listen"].rsplit(":", 1)[1]) for name in ("http01", "metrics") if name in found}
        if "portForward" in found["admin"]:
            listened["admin"] = int(found["admin"]["portForward"].rsplit(":", 1)[1])
        ports = of("Deployment", objects(values))[0]["spec"]["template"]["spec"]["containers"][0]["ports"]
        if listened != {port["name"]: port["containerPort"] for port in ports}:
            raise Wrong(f"{values.name}: {listened} against {ports}")


CHECKS = [
    every_key_of_the_settings_is_one_that_the_daemon_knows,
    the_source_is_the_cluster_and_the_folders_are_mounted,
    the_ports_of_the_settings_are_those_of_the_pod,
]
