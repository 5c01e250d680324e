"""The chart, rendered."""

import json
import subprocess
from functools import cache
from pathlib import Path

from .tools import CHART, HERE, call, done
from .yaml import documents

SETS = sorted((HERE / "values").glob("*.yaml"))


def render(*arguments: object, chart: Path = CHART) -> str:
    """What Helm would apply; it must succeed."""
    return done("HELM", "template", "claviger", chart, "--namespace", "claviger", *arguments)


def refused(*arguments: object) -> str | None:
    """Why Helm does not render it; none when it does."""
    ran: subprocess.CompletedProcess = call("HELM", "template", "claviger", CHART, "--namespace", "claviger", *arguments)
    return ran.stderr if ran.returncode else None


@cache
def rendered(values: Path) -> str:
    """What a set of values renders."""
    return render("--values", values)


@cache
def objects(values: Path) -> list[dict]:
    """The objects that a set of values renders."""
    return documents(rendered(values))


def full() -> list[dict]:
    """The objects of the set in which everything is on."""
    return objects(HERE / "values" / "full.yaml")


def of(kind: str, among: list[dict]) -> list[dict]:
    """The objects of a kind."""
    return [item for item in among if item["kind"] == kind]


def name(item: dict) -> str:
    """How an object is called in messages."""
    return f"{item['kind']}/{item['metadata'].get('namespace', '-')}/{item['metadata']['name']}"


@cache
def schema() -> dict:
    """The schema of the values."""
    return json.loads((CHART / "values.schema.json").read_text())


def resolve(node: dict) -> dict:
    """A part of the schema, or what it refers to."""
    reference = node.get("$ref")
    return schema()["definitions"][reference.rsplit("/", 1)[1]] if reference else node
