"""A secret that commands print, callers guess and errors hold is found nowhere in what the box writes or says."""

import base64
import json
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import psycopg
import pytest
import redis
from psycopg import sql
from websockets.sync.client import connect

from tests.acceptance.box import House
from tests.wait import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("evidence")]

VALUE = f"pa/ss word+{secrets.token_hex(8)}"
WRITTEN = (VALUE, quote_plus(VALUE), base64.b64encode(VALUE.encode()).decode())
SIGNED_IN = base64.b64encode(f"ana:{VALUE}".encode()).decode()
"""What basic authentication makes of it: known once it was made."""
FORMS = (*WRITTEN, SIGNED_IN)
MASK = "•••"
TASKS = """
- name: leaky
  trigger: manual
  actions:
    - {id: prints, type: shell, command: "cat FILE; sleep 4"}
    - {id: again, type: set, value: "it said {{ output }}", cache_key: leaked}
    - {id: says, type: mqtt, topic: leak/out, payload: {said: "{{ outputs.prints }}"}}
    - {id: tells, type: notification, platform: webchat, message: "{{ outputs.prints }}"}
    - {id: sent, type: http, url: "ECHO", allow_private: true, method: POST, body: {key: secret:planted}}
    - {id: asked, type: http, url: "ECHO", allow_private: true, auth: {user: ana, password: secret:planted}}
    - id: run
      type: shell
      command: 'cat key; printf " %s" "$KEY"'
      env: {KEY: secret:planted}
      files: {key: secret:planted}
    - {id: shop, type: sql, database: planted, query: SELECT 1, on_error: continue}
    - {id: fails, type: shell, command: "cat FILE >&2; exit 3"}
"""
PAGES = (
    "/runs/{run}/",
    "/values/",
    "/chat/",
    "/bus/",
    "/audit/",
    "/secrets/",
    "/tasks/leaky/",
    "/",
    "/outbox/",
)
ANSWERS = ("/runs/{run}", "/runs/{run}/steps", "/runs", "/outbox", "/status")


@contextmanager
def echoing() -> Iterator[tuple[str, list[str]]]:
    """A server that answers with what it was asked; gives its address and the requests."""
    heard: list[str] = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            heard.append(f"{self.headers}\n{self.rfile.read(length).decode()}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(heard[-1].encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()


@pytest.fixture
def planted(house: House) -> Iterator[list[str]]:
    """The secret is kept under a name, and a file that commands can read holds it in several forms. Gives what a
    server is asked by the steps that name it."""
    house.put_secret("planted", VALUE)
    with tempfile.NamedTemporaryFile(
        "w", dir="/var/log", prefix="millwright-test-", suffix=".txt", encoding="utf-8"
    ) as file:
        Path(file.name).chmod(0o644)
        file.write("\n".join(("begins", *WRITTEN, f"token={VALUE};", "ends")) + "\n")
        file.flush()
        with echoing() as (url, heard):
            house.load(TASKS.replace("FILE", file.name).replace("ECHO", url), "leaky")
            yield heard
    (house.box.home.parent / "planted.secret").unlink()


def test_a_planted_secret_is_nowhere_in_what_the_box_writes_or_says(house: House, planted: list[str]) -> None:
    house.box.manage("tasks", "run", "leaky")
    run = str(house.runs_of("leaky")[-1]["id"])
    with house.admin() as browser:
        found = {"live": live_output(house, browser, run)}
        wait_for(lambda: house.runs_of("leaky")[-1]["state"] == "failed", 60, "the last step has failed")
        guess(browser)
        for path in (*PAGES, *(f"/api/v1{path}" for path in ANSWERS)):
            answer = browser.get(path.format(run=run))
            assert answer.status_code == 200, path
            found[path] = answer.text
    # It did run, was seen and was masked: else nothing below proves anything.
    assert [form in text for form, text in zip((VALUE, SIGNED_IN), planted, strict=True)] == [True, True]
    for place in ("live", "/runs/{run}/", "/api/v1/runs/{run}/steps"):
        assert "begins" in found[place], place
        assert MASK in found[place] or r"\u2022" in found[place], place
    found |= rows(house) | files(house) | {"redis": in_redis(house)}
    leaks = {place for place, text in found.items() if any(form in text for form in FORMS)}
    assert leaks == set()


def live_output(house: House, browser: httpx.Client, run: str) -> str:
    """What a browser hears that watches the run while it writes."""
    place = house.address.removeprefix("http://")
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    origin: Any = house.address
    with connect(f"ws://{place}/ws/live", origin=origin, additional_headers={"Cookie": cookies}) as socket:
        socket.send(json.dumps({"after": ""}))
        socket.send(json.dumps({"watch": run}))
        heard = ""
        while "ends" not in heard:
            heard += json.dumps(json.loads(socket.recv(timeout=30)), ensure_ascii=False)
    return heard


def guess(browser: httpx.Client) -> None:
    """Where people and programs put secrets by mistake: each is refused, and goes to a log or the record."""
    browser.get("/api/v1/status", headers={"Authorization": f"Bearer {VALUE}"})
    browser.post("/hooks/crash", headers={"Authorization": f"Bearer {VALUE}"}, json={"seq": 1})
    browser.get(f"/tasks/{quote(VALUE)}/")


def rows(house: House) -> dict[str, str]:
    """Every table of the database as text, but what is sealed."""
    found = {}
    with psycopg.connect(house.box.config.database_url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            name = sql.Identifier(schema, table)
            lines = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(name)).fetchall()
            found[f"table {table}"] = "\n".join(str(line[0]) for line in lines)
    assert len(found) > 30
    return found


def files(house: House) -> dict[str, str]:
    """Logs, signed heads and all else in the home but the engines' own data, which is in ``rows``."""
    home = house.box.home
    paths = [
        path for path in home.rglob("*") if path.is_file() and "data" not in path.relative_to(home).parts
    ]
    assert any(path.suffix == ".log" for path in paths)
    return {f"file {path.name}": path.read_bytes().decode("utf-8", "replace") for path in paths}


def in_redis(house: House) -> str:
    """Whatever lies there: hints, and the live output that a browser that comes late gets."""
    texts = []
    with redis.Redis.from_url(house.box.config.redis_url) as client:
        for key in client.scan_iter():
            texts.append(f"{key!r} {client.dump(key)!r}")
    return " ".join(texts)
