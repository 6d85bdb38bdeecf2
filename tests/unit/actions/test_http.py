"""The ``http`` action against a real server."""

import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest

from appliance.actions.contract import EffectClass, Status, StepContext, StepResult
from appliance.actions.http import LARGEST, HttpAction, HttpParams
from appliance.lib.masking import KNOWN
from tests.definitions import task_of


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, dict(self.headers.items()), body))
        status, kind, data = {
            "/json": (200, "application/json", b'{"a": 1}'),
            "/broken-json": (200, "application/json", b"{"),
            "/large": (200, "text/plain", b"x" * (LARGEST + 10)),
            "/cut": (200, "text/plain", (b"x" * (LARGEST - 9) + b"sesame-open-4711")),
            "/redirect": (302, "text/plain", b""),
            "/404": (404, "text/plain", b"no"),
            "/503": (503, "text/plain", b"later"),
        }.get(self.path.partition("?")[0], (200, "text/plain", b"fine"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 302:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:
            return

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def no_database() -> AbstractAsyncContextManager[Any]:
    raise AssertionError("nothing here needs the database")


async def call(**keys: Any) -> StepResult:
    params = HttpParams.model_validate({"allow_private": True, **keys})
    kind = HttpAction()
    context = StepContext(
        run_id=uuid4(),
        step_id="a",
        task_id=1,
        task_name="t",
        attempt=1,
        key="run/a",
        principal="box",
        priority=0,
        now=datetime.now(UTC),
        timeout=5.0,
        ok_exit=(0,),
        services=None,  # type: ignore[arg-type]  # http needs none of them
        connect=no_database,
    )
    return await kind.perform(kind.arguments(params, {}), context)


async def test_an_answer_is_read_as_what_it_says_it_is(server: str) -> None:
    assert (await call(url=f"{server}/json")).output == {"a": 1}
    assert (await call(url=f"{server}/broken-json")).output == "{"
    result = await call(url=f"{server}/text")
    assert (result.status, result.output, result.detail["status"]) == (Status.SUCCEEDED, "fine", 200)


async def test_query_body_and_headers_arrive_as_written(server: str) -> None:
    await call(
        url=f"{server}/x", method="POST", query={"q": "a b&c=d"}, headers={"X-A": "1"}, body={"t": "温"}
    )
    method, path, headers, body = Handler.seen[-1]
    assert (method, path) == ("POST", "/x?q=a+b%26c%3Dd")
    assert (headers["X-A"], headers["Content-Type"], headers["Host"]) == ("1", "application/json", server[7:])
    assert body.decode() == '{"t": "温"}'


async def test_the_key_of_the_step_is_sent_where_the_receiver_takes_one(server: str) -> None:
    await call(url=f"{server}/x", method="POST", idempotency_key=True)
    assert Handler.seen[-1][2]["Idempotency-Key"] == "run/a"


async def test_a_key_of_ones_own_is_sent_as_it_is_and_must_say_something(server: str) -> None:
    await call(url=f"{server}/x", method="POST", idempotency_key="log:0-99")
    assert Handler.seen[-1][2]["Idempotency-Key"] == "log:0-99"
    sent = len(Handler.seen)
    result = await call(url=f"{server}/x", method="POST", idempotency_key="")
    assert (result.status, result.retryable) == (Status.FAILED, False)
    assert len(Handler.seen) == sent


async def test_a_private_address_is_refused_before_anything_is_sent(server: str) -> None:
    sent = len(Handler.seen)
    result = await call(url=f"{server}/x", allow_private=False)
    assert (result.status, result.retryable) == (Status.FAILED, False)
    assert "private" in result.error
    assert len(Handler.seen) == sent


async def test_a_redirect_is_not_followed(server: str) -> None:
    result = await call(url=f"{server}/redirect")
    assert result.status is Status.FAILED
    assert result.detail["headers"] == {
        "content-type": "text/plain",
        "location": "http://169.254.169.254/latest/meta-data",
    }


async def test_a_large_answer_is_cut(server: str) -> None:
    result = await call(url=f"{server}/large")
    assert (len(str(result.output)), result.detail["cut"]) == (LARGEST, True)


async def test_where_it_is_cut_no_half_of_a_secret_is_left(server: str) -> None:
    KNOWN.learn("sesame-open-4711")
    try:
        result = await call(url=f"{server}/cut")
    finally:
        KNOWN.forget()
    assert result.output == "x" * (LARGEST - 9)


@pytest.mark.parametrize(
    ("path", "status", "retryable"), [("/404", Status.FAILED, False), ("/503", Status.UNKNOWN, True)]
)
async def test_a_refusal_is_final_and_what_a_failing_server_did_is_not_known(
    server: str, path: str, status: Status, retryable: bool
) -> None:
    result = await call(url=server + path)
    assert (result.status, result.retryable) == (status, retryable)
    assert (await call(url=server + path, ok_status=[404, 503])).status is Status.SUCCEEDED


async def test_a_server_that_is_not_there_did_nothing(server: str) -> None:
    result = await call(url="http://127.0.0.1:1/")
    assert (result.status, result.retryable) == (Status.FAILED, True)


async def test_an_answer_that_breaks_off_leaves_it_open_what_happened() -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        def log_message(self, format: str, *args: Any) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        result = await call(url=f"http://127.0.0.1:{running.server_port}/", method="POST")
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
    assert result.status is Status.UNKNOWN


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "http://127.0.0.1/\x00"},
        {"url": "http://127.0.0.1:1/\n"},
        {"headers": {"X": "温"}},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"X Y": "a"}},
    ],
    ids=range(5),
)
async def test_what_cannot_be_a_request_is_a_failure_and_not_a_crash(
    server: str, keys: dict[str, Any]
) -> None:
    sent = len(Handler.seen)
    result = await call(**{"url": f"{server}/x", **keys})
    assert result.status in (Status.FAILED, Status.UNKNOWN)
    assert not any("Y" in headers for _, _, headers, _ in Handler.seen[sent:])


@pytest.mark.parametrize(
    ("keys", "effect"),
    [
        ("", EffectClass.IDEMPOTENT),
        (", method: HEAD", EffectClass.IDEMPOTENT),
        (", method: POST", EffectClass.UNSAFE),
        (", method: DELETE", EffectClass.UNSAFE),
        (", method: POST, idempotency_key: true", EffectClass.KEYED),
        (", method: POST, idempotency_key: 'a-{{ run.id }}'", EffectClass.KEYED),
    ],
)
def test_the_effect_class_follows_the_method(keys: str, effect: EffectClass) -> None:
    text = (
        f"- name: t\n  trigger: manual\n  actions: [{{id: a, type: http, url: 'http://x.example'{keys}}}]\n"
    )
    (step,) = task_of(text).actions
    assert HttpAction().effect(step.params) is effect  # type: ignore[arg-type]  # it is an http step
