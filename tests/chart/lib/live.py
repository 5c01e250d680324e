"""A real clavigerd with its simulators, scraped by a real Prometheus, which tells a real Alertmanager; all on loopback."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .alertmanager import Running
from .tools import CHART, Wrong
from .yaml import read

PATIENCE = 120.0
SOON = "2s"


class Program:
    """A process with a log, ended with us."""

    def __init__(self, place: Path, name: str, *command: object):
        self.name, self.log, self.ended = name, place / f"{name}.log", False
        with self.log.open("a") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, cwd=place)

    def end(self):
        self.ended = True
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)

    def said(self) -> str:
        return f"the last of {self.name}:\n{self.log.read_text()[-2000:]}"


class Live:
    """The three, one after the other."""

    def __init__(self, place: Path, speed: str):
        self.place, self.speed = place, speed
        self.programs: list[Program] = []
        self.demo = place / "demo"
        self.alertmanager = Running(CHART / "examples" / "alertmanager.yaml")

    def __enter__(self):
        try:
            self.alertmanager.__enter__()
            self.start_daemon()
            self.start_prometheus()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.end()
        self.alertmanager.__exit__()

    def start_daemon(self):
        """The demonstration, with its time running fast; it goes on where an earlier one stopped."""
        command = [os.environ["CLAVIGER_TEST_CLAVIGERD"], "dev", "--directory", self.demo, "--speed", self.speed]
        self.daemon = Program(self.place, "clavigerd", *command)
        self.programs.append(self.daemon)
        self.wait("the demonstration to be seeded", lambda: "Ctrl-C ends it" in self.daemon.log.read_text(), self.daemon)

    def start_prometheus(self):
        metrics = read(self.demo / "settings.yaml")["metrics"]["listen"]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "claviger", "static_configs": [{"targets": [metrics]}]}],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager.port}"]}]}]},
        }
        (self.place / "prometheus.yaml").write_text(json.dumps(config))
        (self.place / "rules.yaml").write_text(json.dumps(hurried()))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        # An alert that fires before Alertmanager is known would be sent again only after a minute.
        options = [
            "--config.file=prometheus.yaml",
            "--rules.alert.resend-delay=1s",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self.prometheus = Program(self.place, "prometheus", os.environ["CLAVIGER_TEST_PROMETHEUS"], *options)
        self.programs.append(self.prometheus)
        self.wait("Prometheus to be ready", lambda: self.api("query", query="claviger_build_info")["result"], self.prometheus)

    def api(self, path: str, **arguments: str):
        """What Prometheus answers."""
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise Wrong(f"Prometheus refuses {path} {arguments}: {error}") from error
        except OSError:
            pass  # it has just been started
        return {"result": [], "alerts": [], "groups": []}

    def firing(self, name: str, **labels: str) -> list[dict]:
        """The alerts of a name that Alertmanager has, with at least these labels."""
        alerts = [alert for alert in self.alertmanager.alerts() if alert["labels"]["alertname"] == name]
        return [alert for alert in alerts if labels.items() <= alert["labels"].items()]

    def wait_firing(self, name: str, **labels: str) -> dict:
        self.wait(f"{name} {labels} to fire", lambda: self.firing(name, **labels), self.prometheus, self.daemon)
        return self.firing(name, **labels)[0]

    def wait_resolved(self, name: str, **labels: str):
        self.wait(f"{name} {labels} to be over", lambda: not self.firing(name, **labels), self.prometheus, self.daemon)

    def wait(self, what: str, holds, *programs: Program):
        until = time.monotonic() + PATIENCE
        while not holds():
            dead = any(program.process.poll() is not None and not program.ended for program in programs)
            if dead or time.monotonic() > until:
                raise Wrong("\n".join([f"waited in vain for {what}", *(program.said() for program in programs)]))
            time.sleep(0.1)

    def call(self, *arguments: str) -> str:
        """clavigerctl, against the daemon."""
        command = [os.environ["CLAVIGER_TEST_CLAVIGERCTL"], "--socket", str(self.demo / "admin.sock"), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        if ran.returncode:
            raise Wrong(f"{' '.join(command)} ends with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def rewrite(self, document: str, old: str, new: str):
        """Changes a document of the demonstration, in one go."""
        path = self.demo / "resources" / document
        text, changed = path.read_text(), path.with_suffix(".changed")
        assert re.search(old, text), f"{document} has no {old}"
        changed.write_text(re.sub(old, new, text))
        changed.rename(path)


def hurried() -> dict:
    """The rules, with two seconds for every `for`, because the daemon's days are seconds."""
    groups = read(CHART / "files" / "rules.yaml")["groups"]
    fast = [{**{key: value for key, value in rule.items() if key != "keep_firing_for"}, "for": SOON} for group in groups for rule in group["rules"]]
    return {"groups": [{"name": "hurried", "rules": fast}]}
