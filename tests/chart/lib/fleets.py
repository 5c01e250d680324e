"""Fleets as promtool is told of them: certificates of six, 47 and 90 days that live as they should, and such whose renewal stops."""

import json
import re
from datetime import UTC, datetime

STEP = 300
HOUR, DAY = 3_600, 86_400
# Lifetime and planned renewal: at half below ten days, else at two thirds.
LIVES = {"six": (160 * HOUR, 80 * HOUR), "forty-seven": (47 * DAY, 47 * DAY * 2 // 3 // STEP * STEP), "ninety": (90 * DAY, 60 * DAY)}
# What is planned for an instant is done two hours later: the CA was slow, and there was a line.
SLOW = 2 * HOUR
HEAD = {"rule_files": ["rules.yaml"]}


def healthy(alerts: list[str]) -> str:
    """Two months and some days, in which everything is as it should be and every certificate is renewed. No alert but the watchdog fires."""
    horizon = 63 * DAY
    series = [one for name, (life, due) in LIVES.items() for one in certificate(name, life, due, horizon)]
    times = [*range(0, horizon, 12 * HOUR), *(at for life in LIVES.values() for at in around_renewals(life[1], horizon))]
    silent = [name for name in alerts if name != "ClavigerWatchdog"]
    tests = [{"eval_time": f"{at}s", "alertname": name, "exp_alerts": []} for at in sorted(set(times)) for name in silent]
    return document([{"name": "healthy", "interval": "5m", "input_series": series + daemon(horizon), "alert_rule_test": tests}], "10m")


def around_renewals(due: int, horizon: int) -> list[int]:
    """Just before, during and after each renewal."""
    dues = range(due, horizon - SLOW * 2, due + SLOW)
    return [at + late for at in dues for late in (-2 * STEP, HOUR, SLOW - 2 * STEP, SLOW, SLOW + 2 * STEP)]


def certificate(name: str, life: int, due: int, horizon: int) -> list[dict]:
    """A certificate that is renewed again and again."""
    ends, dues, ratios = [], [], []
    for begin in range(0, horizon, due + SLOW):
        ends += [begin + life] * ((due + SLOW) // STEP)
        dues += [begin + due] * ((due + SLOW) // STEP)
        ratios += [None] * (due // STEP + 1) + [late / (life - due) for late in range(STEP, SLOW, STEP)]
    labels = f'environment="production", resource_namespace="production", resource="{name}"'
    per = {"not_after_timestamp_seconds": ends, "renewal_due_timestamp_seconds": dues, "renewal_overdue_ratio": ratios, "ready": [1] * len(ends)}
    renewals = [at // ((due + SLOW) // STEP) for at in range(len(ends))]
    issued = f'environment="{name}", issuer="letsencrypt", outcome="Accepted", reason="RenewalDue"'
    return [
        *(line(f"claviger_certificate_{family}{{{labels}}}", values) for family, values in per.items()),
        line(f"claviger_issuances_total{{{issued}}}", renewals),
        line(f'claviger_steps_total{{environment="{name}", step="open_order", outcome="Done"}}', renewals),
    ]


def daemon(horizon: int) -> list[dict]:
    """All else that a daemon tells, when it is well."""
    count = horizon // STEP
    now = f"0+{STEP}x{count}"
    object_labels = 'environment="production", resource_namespace="production", resource="wrapping"'
    turns = [45 * DAY + 3 * HOUR, 135 * DAY]
    values = {
        'claviger_build_info{version="0.1.0", revision="abc"}': f"1x{count}",
        "claviger_scheduler_ready": f"1x{count}",
        "claviger_leader": f"1x{count}",
        "claviger_documents_rejected": f"0x{count}",
        'claviger_discovered_certificates{environment="production", state="Valid"}': f"7x{count}",
        'claviger_discovered_certificates{environment="production", state="Expired"}': f"1x{count}",
        "claviger_log_lines_lost_total": f"0x{count}",
        'claviger_store_commits_total{outcome="Done"}': f"0+5x{count}",
        'claviger_store_commits_total{outcome="Failed"}': f"0+1x{count}",
        'claviger_metrics_objects_omitted{kind="TlsCertificate"}': f"0x{count}",
        'claviger_sync_last_attempt_timestamp_seconds{source="kms/production"}': now,
        'claviger_sync_last_success_timestamp_seconds{source="kms/production"}': now,
        'claviger_audit_events_total{sink="file", outcome="Done"}': f"0+1x{count}",
        'claviger_audit_events_total{sink="file", outcome="Failed"}': f"0x{count}",
        'claviger_audit_queue_events{sink="file"}': f"0x{count}",
        'claviger_audit_last_delivered_timestamp_seconds{sink="file"}': now,
        'claviger_attention{environment="production", kind="CustomHostname", reason="AwaitingCustomerDns", turn="Customer"}': f"3x{count}",
        'claviger_keys{environment="production", kms_namespace="111111111111/eu-west-1", state="Enabled"}': f"2x{count}",
        'claviger_certificates_expiring{environment="production", issuer="letsencrypt", within="0"}': f"0x{count}",
        'claviger_certificates_expiring{environment="production", issuer="letsencrypt", within="7d"}': f"1x{count}",
        f"claviger_key_ready{{{object_labels}}}": f"1x{count}",
        f"claviger_key_rotation_due_timestamp_seconds{{{object_labels}}}": f"{45 * DAY}x{turns[0] // STEP} {turns[1]}x{count - turns[0] // STEP}",
        'claviger_hostname_oldest_in_stage_timestamp_seconds{environment="production", stage="Active"}': f"0x{count}",
        'claviger_hostname_oldest_in_stage_timestamp_seconds{environment="production", stage="AwaitingCustomerDns"}': f"0+{STEP}x{count}",
    }
    return [{"series": name, "values": text} for name, text in values.items()]


def late(alerts: dict[str, dict]) -> str:
    """From the planned renewal on nothing happens: who is told, and when."""
    return document([never_renewed(name, life, life - due, alerts) for name, (life, due) in LIVES.items()], "5m")


def never_renewed(name: str, life: int, room: int, alerts: dict[str, dict]) -> dict:
    labels = {"environment": "production", "resource_namespace": "production", "resource": name}
    written = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    count = room // STEP + 12
    ratio = [at * STEP / room for at in range(1, count)]
    series = [line(f"claviger_certificate_renewal_overdue_ratio{{{written}}}", [None, *ratio])]
    series.append(line(f"claviger_certificate_not_after_timestamp_seconds{{{written}}}", [room] * count))
    tests = []
    for alert, share in [("ClavigerCertificateRenewalLate", 0.25), ("ClavigerCertificateRenewalOverdue", 0.6)]:
        crossed = int(room * share) // STEP * STEP + STEP
        tests += [
            expect(alerts[alert], labels, at, at / room, at >= crossed + 15 * 60) for at in (crossed - STEP, crossed + 10 * 60, crossed + 15 * 60)
        ]
    tests += [expect(alerts["ClavigerCertificateExpired"], labels, at, room, at >= room) for at in (room - STEP, room)]
    return {"name": f"renewal stops: {name}", "interval": "5m", "input_series": series, "alert_rule_test": tests}


def expect(rule: dict, labels: dict, at: int, value: float, fires: bool) -> dict:
    alert = {
        "exp_labels": {**labels, **rule["labels"]},
        "exp_annotations": {key: told(text, labels, value) for key, text in rule["annotations"].items()},
    }
    return {"eval_time": f"{at}s", "alertname": rule["alert"], "exp_alerts": [alert] if fires else []}


def told(text: str, labels: dict, value: float) -> str:
    """What Prometheus makes of a text."""
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)
    text = text.replace("{{ $value | humanizePercentage }}", f"{value * 100:.4g}%")
    return text.replace("{{ $value | humanizeTimestamp }}", f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} +0000 UTC")


def line(series: str, values: list) -> dict:
    """A series with each sample; equal ones one after the other are written once."""
    parts, at = [], 0
    while at < len(values):
        end = at
        while end < len(values) and values[end] == values[at]:
            end += 1
        parts.append(absent(end - at, at) if values[at] is None else f"{values[at]}x{end - at - 1}")
        at = end
    return {"series": series, "values": " ".join(parts)}


def absent(count: int, at: int) -> str:
    """Gone at once, as a scrape shows it, and not five minutes later."""
    rest = f" _x{count - 1}" if count > 1 else ""
    return f"_x{count}" if at == 0 else f"stale{rest}"


def document(groups: list[dict], interval: str) -> str:
    return json.dumps({**HEAD, "evaluation_interval": interval, "tests": groups})
