"""/mcp of the running web process, byte by byte, as the specification says and as somebody else's page would try."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import revoke_api_token
from appliance.lib.config import Config
from tests.integration.webadmin.web_process import web_process
from tests.mcp_desk import Wire, furnish, now, read, token_for
from tests.wait import wait_for
from webadmin.mcp.limits import LARGEST, MOST_SESSIONS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def place(engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with web_process(engines, tmp_path_factory.mktemp("web")) as place:
        yield place


@pytest.fixture
def ann(place: str) -> User:
    return furnish()


@pytest.fixture
def token(ann: User) -> str:
    return token_for(ann)


@pytest.mark.parametrize("given", ["", "mw_invented", "nonsense"])
def test_without_a_good_token_nobody_comes_in(place: str, ann: User, given: str) -> None:
    with Wire(place, given) as wire:
        answer = wire.begin()
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_in_the_address_is_none(place: str, token: str) -> None:
    with Wire(place) as wire:
        assert wire.http.post(f"/mcp?token={token}", json={}).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert wire.http.post("/mcp?x=1", json={}, headers=headers).status_code == 401


def test_a_token_for_something_else_is_refused(place: str, ann: User) -> None:
    with Wire(place, token_for(ann, "models", [Ability.USE_MODELS])) as wire:
        assert wire.begin().status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_does_not_come_in(place: str, token: str, origin: str) -> None:
    with Wire(place, token) as wire:
        assert wire.ask("initialize", Origin=origin).status_code == 403


def test_the_boxs_own_page_may(place: str, token: str) -> None:
    with Wire(place, token, Origin=f"http://{place}") as wire:
        assert wire.begin().status_code == 200


def test_a_name_that_is_not_the_boxs_is_refused(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        assert wire.ask("initialize", Host="rebound.evil.example").status_code in (400, 421)


def test_the_handshake_gives_a_session_that_ends_when_it_is_asked_to(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        begun = read(wire.begin())["result"]
        assert begun["protocolVersion"] == "2025-11-25"
        assert begun["serverInfo"]["name"] == "millwright"
        assert {"tools", "resources"} <= begun["capabilities"].keys()
        listed = read(wire.ask("tools/list"))["result"]["tools"]
        assert "say" in {one["name"] for one in listed}
        assert wire.http.delete("/mcp", headers=wire.headers()).status_code == 200
        assert wire.ask("tools/list").status_code == 404


def test_a_session_is_of_the_token_that_began_it(place: str, token: str, ann: User) -> None:
    with Wire(place, token) as wire, Wire(place, token_for(ann, "other")) as other:
        wire.begin()
        other.session = wire.session
        assert other.ask("tools/list").status_code == 404
        assert wire.ask("tools/list").status_code == 200


def test_without_a_session_a_request_of_the_older_form_is_refused(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        assert wire.ask("tools/list").status_code == 400
        assert wire.http.get("/mcp", headers=wire.headers(Accept="text/event-stream")).status_code >= 400


def test_each_request_of_the_newer_form_stands_alone(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        found = read(wire.alone("server/discover"))["result"]
        assert "2026-07-28" in found["supportedVersions"]
        answer = wire.alone("tools/call", {"name": "tasks.list", "arguments": {"word": "say"}})
        assert "mcp-session-id" not in answer.headers
        given = json.loads(read(answer)["result"]["content"][0]["text"])
        assert [one["task"] for one in given] == ["say"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]', 400),
        (b'{"jsonrpc": "1.0"}', 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * LARGEST + b'"', 413),
    ],
)
def test_what_is_no_message_is_refused_and_the_box_goes_on(
    place: str, token: str, body: bytes, status: int
) -> None:
    with Wire(place, token) as wire:
        wire.begin()
        assert wire.post(body).status_code == status
        assert wire.ask("tools/list").status_code == 200


def test_another_content_or_method_is_refused(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        wire.begin()
        assert wire.post(b"{}", **{"Content-Type": "text/plain"}).status_code in (400, 415)
        assert wire.http.put("/mcp", headers=wire.headers()).status_code == 405
        assert wire.http.get("/mcp/else", headers=wire.headers()).status_code == 404


def test_one_token_has_so_many_sessions_and_the_longest_at_rest_goes_first(place: str, token: str) -> None:
    wires = [Wire(place, token) for _ in range(MOST_SESSIONS + 1)]
    for wire in wires:
        assert wire.begin().status_code == 200
    assert wires[0].ask("tools/list").status_code == 404
    assert wires[-1].ask("tools/list").status_code == 200
    for wire in wires:
        wire.http.close()


def test_a_stream_ends_with_its_token(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        wire.begin()
        ended = threading.Event()

        def listen() -> None:
            headers = wire.headers(Accept="text/event-stream")
            with httpx.stream("GET", f"http://{place}/mcp", headers=headers, timeout=30) as stream:
                opened.set()
                for _ in stream.iter_bytes():
                    pass
            ended.set()

        opened = threading.Event()
        thread = threading.Thread(target=listen)
        thread.start()
        assert opened.wait(10)
        revoke_api_token(ApiToken.objects.get(name="bot").pk, BOX, now())
        wait_for(ended.is_set, 15, "the stream has ended")
        thread.join(5)
        assert wire.ask("tools/list").status_code == 401


def test_the_answer_says_nothing_of_what_went_wrong_inside(place: str, token: str) -> None:
    with Wire(place, token) as wire:
        wire.begin()
        wrong: Any = read(wire.ask("tools/call", {"name": "runs.show", "arguments": {"run": "\x00' OR 1=1"}}))
        assert wrong["result"]["isError"] is True
        assert "Traceback" not in json.dumps(wrong)
