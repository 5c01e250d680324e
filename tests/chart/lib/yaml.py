"""Reads YAML by Helm's own eyes, so that nothing but Python's standard library is needed and nothing is read in another way than Helm does."""

import json
import re
from functools import cache
from pathlib import Path

from .tools import Wrong, done, folder

READER = """\
{{- range $path, $_ := .Files.Glob "in/*" }}
---
{{ dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" (base $path)) "document" ($.Files.Get $path | fromYaml) | toJson }}
{{- end }}
"""


def documents(text: str) -> list[dict]:
    """The documents of a text, in their order; each is a map."""
    parts = [part for part in re.split(r"(?m)^---\s*$", text) if meant(part)]
    with folder() as chart:
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: reader, version: 1.0.0}\n")
        for name, content in [("templates/out.yaml", READER), *((f"in/{at:05}", part) for at, part in enumerate(parts))]:
            (chart / name).parent.mkdir(exist_ok=True)
            (chart / name).write_text(content)
        lines = [json.loads(line) for line in done("HELM", "template", "reader", chart).splitlines() if line.startswith("{")]
    read = {int(line["metadata"]["name"]): line["document"] for line in lines}
    for at, document in read.items():
        if set(document) == {"Error"}:
            raise Wrong(f"not YAML: {document['Error']}\n{parts[at]}")
    return [read[at] for at in sorted(read)]


def meant(part: str) -> bool:
    """Whether there is more than comments."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in part.splitlines())


@cache
def read(path: Path) -> dict:
    """The one document of a file."""
    return documents(path.read_text())[0]
