"""How long each page takes on a box with a month of history, through the real web process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from psycopg import connect

from appliance.processes.bench.addresses import addresses
from appliance.processes.bench.box import Box
from appliance.processes.bench.history import Size, fill
from appliance.processes.bench.rows import Row, percentile

TIMES = 30
BAR_MS = 150.0

NOT_PAGES = {
    "hook": "starts a task",
    "anything-else": "is no page",
    "setup": "is for a box without people",
    "account_login": "sends who is logged in on",
    "mfa_authenticate": "sends who is logged in on",
    "password-link": "is for who holds a link",
    "api-1:api-root": "is the name of the API alone",
}
"""Addresses that are left out, and why. What answers to POST only is found out by asking."""

MORE = {
    "runs": [
        "?state=failed",
        "?state=succeeded",
        "?task=history_07",
        "?before={old_run}",
        "?state=failed&before={old_run}",
    ],
    "tasks": ["?after=history_20"],
    "audit": ["?kind=step.", "?kind=nothing", "?principal=user:bench", "?before=5000"],
    "outbox": ["?state=failed", "?state=pending", "?platform=mail-3", "?before={old_run}"],
    "bus": ["?filter=value-77", "?after=devices/device-5"],
    "devices": ["?after=device-5"],
    "chat": ["?before=900"],
    "docs-search": ["?q=the"],
    "api-1:list_runs": ["?state=failed", "?task=history_07", "?before={old_run}"],
    "api-1:list_items": ["?state=failed"],
    "api-1:events": ["?after=0-0&limit=1000"],
}
"""The same page with filters and far from its beginning."""

SESSION = """
from django.test import Client
from appliance.accounts.models import User
client = Client()
client.force_login(User.objects.get(username="{name}"))
print("session", [morsel.value for morsel in client.cookies.values()][0])
"""
_SAMPLES = """
SELECT (SELECT id FROM runs_run WHERE trigger = 'heard' ORDER BY id DESC LIMIT 1),
    (SELECT id FROM runs_run WHERE trigger = 'heard' ORDER BY id LIMIT 1 OFFSET 500)
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """One page: 95 of 100 answers were whole within ``p95`` ms."""

    path: str
    p95: float
    slowest: float


def pages(box: Box, size: Size | None = None) -> list[Row]:
    """Fill the box, ask for every page, and give the slowest page's p95 and that of all answers together."""
    fill(box, size or Size())
    everything: list[float] = []
    found: list[Timed] = []
    with visitor(box) as client:
        for path in _paths(client, _values(box)):
            times = [ask(client, path) for _ in range(TIMES)]
            everything += times
            found.append(Timed(path, percentile(times, 0.95), max(times)))
    for one in sorted(found, key=lambda timed: -timed.p95):
        print(f"  {one.p95:8.1f} ms  (slowest {one.slowest:.1f})  {one.path}")
    worst = max(one.p95 for one in found)
    return [
        Row("page_p95_ms", round(worst, 1), "ms", "lower", BAR_MS),
        Row("page_all_p95_ms", round(percentile(everything, 0.95), 1), "ms", "lower"),
        Row("pages", len(found), "pages", "higher"),
    ]


@contextmanager
def visitor(box: Box) -> Iterator[httpx.Client]:
    """Somebody who is logged in and may see everything."""
    host, port = box.config.http_listen
    cookies = {"millwright_session": _log_in(box)}
    with httpx.Client(
        base_url=f"http://{host}:{port}", cookies=cookies, timeout=60, trust_env=False
    ) as client:
        yield client


def _log_in(box: Box) -> str:
    name, _ = box.add_person("admin")
    said = box.manage("shell", "-v", "0", "-c", SESSION.format(name=name))
    return said.split("session ")[1].split()[0]


def _values(box: Box) -> dict[str, str]:
    """What stands in the places of addresses."""
    with connect(box.config.database_url) as connection:
        row = connection.execute(_SAMPLES).fetchone()
    assert row is not None
    return {
        "run_id": str(row[0]),
        "old_run": str(row[1]),
        "name": "history_07",
        "number": "1",
        "address": "reference/tasks.md",
    }


def _paths(client: httpx.Client, values: dict[str, str]) -> list[str]:
    """Every page that answers GET, once. Raises RuntimeError for one that fails or that nobody told how to fill."""
    found: list[str] = []
    for one in addresses():
        raw_rows = one.name.startswith("admin:") and one.places
        if one.name in NOT_PAGES or raw_rows:
            continue
        try:
            path = one.filled(values)
        except KeyError as missing:
            if client.get(one.filled({**values, **_ANY})).status_code == httpx.codes.METHOD_NOT_ALLOWED:
                continue
            raise RuntimeError(f"{one.path}: the measurement has no value for {missing}") from None
        for query in ["", *MORE.get(one.name, [])]:
            asked = path + query.format(**values)
            status = client.get(asked).status_code
            if status == httpx.codes.OK:
                found.append(asked)
            elif status not in _NO_PAGE and not one.name.startswith("admin:"):
                raise RuntimeError(f"{asked} answers {status}")
    return found


_ANY = {
    "uuid": "0190f5a0-0000-7000-8000-000000000000",
    "int": "1",
    "str": "some",
    "slug": "some",
    "path": "some",
}
_NO_PAGE = (httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.FOUND)


def ask(client: httpx.Client, path: str) -> float:
    """Milliseconds until the answer was whole."""
    began = time.perf_counter()
    answer = client.get(path)
    answer.raise_for_status()
    return (time.perf_counter() - began) * 1000
