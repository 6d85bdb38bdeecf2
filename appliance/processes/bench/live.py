"""From a run's end to the browser: a real WebSocket of somebody who has logged in at the page."""

import json
import subprocess
import sys
from dataclasses import asdict

import httpx
from django.conf import settings

from appliance.lib.config import ROOT
from appliance.processes.bench.box import Box
from appliance.processes.bench.events import load_task, run_load
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.watching import Watching

RATE, SECONDS = 20.0, 20.0
SETTLE_SECONDS = 5.0


def live(box: Box) -> list[Row]:
    """The journal's time of an event is that of its transaction's start: the figure holds the commit too."""
    load_task(box)
    host, port = box.config.http_listen
    watching = Watching(host, port, log_in(box), SECONDS + SETTLE_SECONDS)
    browser = subprocess.Popen(
        [sys.executable, "-m", "appliance.processes.bench.browser"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        assert browser.stdin is not None
        assert browser.stdout is not None
        browser.stdin.write(json.dumps(asdict(watching)) + "\n")
        browser.stdin.flush()
        if browser.stdout.readline().strip() != "open":
            raise RuntimeError("the WebSocket did not open")
        report = run_load(box, "in", RATE, SECONDS, matching=1, first=70_000_000)
        said, _ = browser.communicate(timeout=SECONDS + 30)
    finally:
        browser.kill()
        browser.wait()
    latencies: list[float] = json.loads(said)
    if len(latencies) < report.wanted:
        raise RuntimeError(f"the browser heard of {len(latencies)} runs, not of {report.wanted}")
    return [
        Row("live_event_p50_ms", round(percentile(latencies, 0.5), 1), "ms", "lower"),
        Row("live_event_p95_ms", round(percentile(latencies, 0.95), 1), "ms", "lower", 200),
    ]


def log_in(box: Box) -> str:
    """Add a viewer, log in as a browser does, and give its cookies as one header."""
    name, password = box.add_person("viewer")
    host, port = box.config.http_listen
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=15, trust_env=False) as browser:
        browser.get("/login/")
        token = browser.cookies["csrftoken"]
        answer = browser.post(
            "/login/", data={"username": name, "password": password, "csrfmiddlewaretoken": token}
        )
        if settings.SESSION_COOKIE_NAME not in browser.cookies:
            raise RuntimeError(f"the log-in was refused: {answer.status_code}")
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
