"""A real Alertmanager on loopback, for as long as a check needs it."""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from .tools import Wrong

PATIENCE = 20.0
UNPACKED = """\
hint: Debian's Alertmanager wants its templates below /usr/share, so it does not run when it is only unpacked: install the package, or
go install github.com/prometheus/alertmanager/cmd/{alertmanager,amtool}@v0.28.1
"""
# The second one is silenced by the first one alone: other rules silence warnings.
LAST = [{"alertname": "ClavigerAcmeRateLimited", "severity": "warning"}, {"alertname": "ClavigerIssuanceFailing", "severity": "critical"}]


def is_last(alert: dict) -> bool:
    return alert["labels"].get("environment") == "last"


class Running:
    """An Alertmanager with the routes of a file; its receivers lead nowhere but to a closed port of ours."""

    def __init__(self, config: Path):
        self.folder = tempfile.TemporaryDirectory(prefix="claviger-alertmanager-")
        place = Path(self.folder.name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (place / "config.yaml").write_text(re.sub(r"http://[^\"]+", "http://127.0.0.1:9/", config.read_text()))
        self.log = (place / "log").open("w+")
        program = os.environ["CLAVIGER_TEST_ALERTMANAGER"]
        options = [
            f"--config.file={place}/config.yaml",
            f"--storage.path={place}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self.process = subprocess.Popen([program, *options], stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        try:
            self.wait("to be ready", lambda: self.ask("/-/ready", text=True) is not None)
        except Wrong:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()
        self.folder.cleanup()

    def fire(self, alerts: list[dict]):
        """Alerts with these labels begin to fire."""
        self.ask("/api/v2/alerts", body=json.dumps([{"labels": labels} for labels in alerts]), text=True)

    def inhibited(self) -> set[str]:
        """The names of those that another one silences. Alertmanager takes alerts in one after the other: when it has silenced the
        last one of ours because of the last but one, it has seen all before them."""
        self.fire([{"environment": "last", **labels} for labels in LAST])
        self.wait("to judge the last alert", lambda: self.last_is_judged())
        return {alert["labels"]["alertname"] for alert in self.alerts() if alert["status"]["inhibitedBy"] and not is_last(alert)}

    def last_is_judged(self) -> bool:
        last = {alert["labels"]["alertname"]: alert for alert in self.alerts() if is_last(alert)}
        source, target = (last.get(labels["alertname"]) for labels in LAST)
        return bool(source and target) and source["fingerprint"] in target["status"]["inhibitedBy"]

    def alerts(self) -> list[dict]:
        return self.ask("/api/v2/alerts") or []

    def ask(self, path: str, body: str | None = None, text: bool = False):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body and body.encode(), headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                content = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return None
        return content if text else json.loads(content)

    def wait(self, what: str, holds):
        until = time.monotonic() + PATIENCE
        while not holds():
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                log = self.log.read()[-3000:]
                raise Wrong(f"Alertmanager was waited for {what}:\n{log}{UNPACKED if 'default.tmpl' in log else ''}")
            time.sleep(0.05)
