"""The page of kept values, and the answering side of sync behind its token."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, CONSOLE, Principal
from appliance.accounts.tokens import issue_api_token
from appliance.audit.models import AuditRecord
from appliance.cache import exchange, services
from appliance.cache.adapters.http import HttpPeer
from appliance.cache.domain import Policy, Rule
from appliance.cache.errors import MessageRefused, PeerAway, PeerFailed, PeerRefused
from appliance.cache.models import CacheConflict, CacheEntry, CacheParked, CachePeer
from appliance.cache.wire import document_of
from appliance.safety.allstop import Level, engage, release

Browsers = Callable[[Role], Client]
NOW = datetime.now(UTC)


@pytest.fixture
def peer(db: None) -> CachePeer:
    rules = [Rule("line/", Policy.ASK)]
    return exchange.set_peer("far", "http://far.example", "secret:far", rules, CONSOLE)


def conflict(peer: CachePeer, number: int, *, decided: bool = False) -> CacheConflict:
    """This box's value is kept under its key, as sync leaves it."""
    key = f"line/{number}"
    services.set_value(key, {"mine": number}, CONSOLE)
    mine = document_of(services.show(key).write)
    theirs = {**mine, "value": {"theirs": number}, "stamp": str(mine["stamp"])[:21] + "-far", "by": "user:f"}
    return CacheConflict.objects.create(
        peer=peer,
        peer_name=peer.name,
        key=key,
        mine=mine,
        theirs=theirs,
        policy="ask",
        choice="mine" if decided else "ask",
        why="the policy asks a person",
        opened_at=NOW,
        decided_at=NOW if decided else None,
    )


def parked(peer: CachePeer, key: str = "line/poison", direction: str = "out") -> CacheParked:
    return CacheParked.objects.create(
        peer=peer, key=key, direction=direction, document="{}", reason="too <b>large</b>", at=NOW
    )


def test_the_page_shows_values_conflicts_parked_items_and_the_peer(
    browser: Browsers, peer: CachePeer
) -> None:
    conflict(peer, 1)
    parked(peer)
    page = browser(Role.VIEWER).get("/values/").content.decode()
    for text in ("line/1", "theirs", "Which value shall it be?", "line/poison", "far.example", "waiting"):
        assert text in page
    assert "too &lt;b&gt;large" in page
    assert "Take this one" not in page
    assert "Take this one" in browser(Role.ENGINEER).get("/values/").content.decode()
    assert "No value is kept" not in page


def test_an_empty_page_says_how_to_fill_it(browser: Browsers) -> None:
    assert "No value is kept" in browser(Role.VIEWER).get("/values/").content.decode()
    assert "No conflict yet" in browser(Role.VIEWER).get("/values/decided/").content.decode()


@pytest.mark.parametrize("path", ["/values/", "/values/decided/"])
def test_it_asks_as_many_questions_for_many_rows_as_for_few(
    path: str, browser: Browsers, peer: CachePeer
) -> None:
    client = browser(Role.ENGINEER)

    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    for number in (1, 2):
        conflict(peer, number, decided=number == 2)
    parked(peer)
    few = questions()
    for number in range(3, 120):
        conflict(peer, number, decided=number % 2 == 0)
    for number in range(30):
        parked(peer, f"line/poison{number}")
    assert questions() == few


def test_pages_follow_each_other_by_key(browser: Browsers, db: None) -> None:
    for number in range(120):
        services.set_value(f"k{number:03}", number, CONSOLE)
    client, seen, address = browser(Role.VIEWER), 0, "/values/"
    while address:
        answer = client.get(address)
        seen += len(answer.context["entries"])
        address = f"/values/?after={answer.context['next']}" if answer.context["next"] else ""
    assert seen == 120
    for nonsense in ("?after=%00&prefix=%27%25", "decided/?before=x", "decided/?before=99999999999999999999"):
        assert client.get(f"/values/{nonsense}").status_code == 200


@pytest.mark.parametrize(("take", "stands"), [("mine", {"mine": 1}), ("theirs", {"theirs": 1})])
def test_a_person_decides_and_the_other_value_can_be_restored(
    take: str, stands: Any, browser: Browsers, peer: CachePeer
) -> None:
    row = conflict(peer, 1)
    client = browser(Role.ENGINEER)
    client.post(f"/values/conflicts/{row.pk}/", {"take": take})
    row.refresh_from_db()
    assert (row.choice, row.decided_by) == (take, "user:engineer")
    assert services.show("line/1").write.value == stands
    other = "theirs" if take == "mine" else "mine"
    client.post(f"/values/conflicts/{row.pk}/", {"take": other, "restore": "1"})
    assert services.show("line/1").write.value == {other: 1}
    kinds = list(AuditRecord.objects.order_by("-seq").values_list("kind", flat=True)[:2])
    assert kinds == ["cache.restored", "cache.decided"]


def test_a_value_that_changed_since_is_not_replaced_unseen(browser: Browsers, peer: CachePeer) -> None:
    row = conflict(peer, 1)
    services.set_value("line/1", "newer", CONSOLE)
    client = browser(Role.ENGINEER)
    answer = client.post(f"/values/conflicts/{row.pk}/", {"take": "theirs"}, follow=True)
    page = answer.content.decode()
    assert "has changed since" in page
    assert "newer" in page
    assert services.show("line/1").write.value == "newer"
    client.post(f"/values/conflicts/{row.pk}/", {"take": "theirs"})
    assert services.show("line/1").write.value == {"theirs": 1}
    row.refresh_from_db()
    assert row.mine["value"] == "newer"


def test_parked_items_are_tried_again_or_dropped(browser: Browsers, peer: CachePeer) -> None:
    services.set_value("line/poison", 1, CONSOLE)
    before = CacheEntry.objects.get().seq
    client = browser(Role.ENGINEER)
    client.post(f"/values/parked/{parked(peer).pk}/", {"what": "retry"})
    assert CacheEntry.objects.get().seq > before
    CachePeer.objects.update(pull_cursor="5-5")
    client.post(f"/values/parked/{parked(peer, 'x', 'in').pk}/", {"what": "retry"})
    assert CachePeer.objects.get().pull_cursor == ""
    client.post(f"/values/parked/{parked(peer).pk}/", {"what": "drop"})
    assert not CacheParked.objects.exists()
    assert "message error" in client.post("/values/parked/77/", follow=True).content.decode()


# --- over HTTP


class Wire(httpx.BaseTransport):
    """The real client against the real views."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = Client().post(
            request.url.path,
            request.read(),
            content_type="application/json",
            headers={"Authorization": request.headers["Authorization"]},
        )
        return httpx.Response(answer.status_code, content=answer.content, request=request)


@pytest.fixture
def wire(person: Callable[[Role], User]) -> HttpPeer:
    token = issue_api_token(person(Role.ADMIN), "near", [Ability.SYNC], BOX, NOW)
    return HttpPeer("http://far.example", token, Wire())


def message(key: str, value: Any = 1) -> Any:
    document = {"key": key, "value": value, "stamp": "00000000000a-00000000-near", "at": NOW.isoformat()}
    return {"id": f"{key}@1", "document": document, "base": None}


@pytest.mark.django_db(transaction=True)
def test_values_are_offered_and_read_over_http(wire: HttpPeer) -> None:
    said = wire.push([message("line/a"), message("line/b", {"deep": [1]}), {"id": "bad"}])
    assert [answer.outcome for answer in said.answers] == ["accepted", "accepted", "refused"]
    page = wire.changes("", ["line/"], 1)
    assert ([one["key"] for one in page.documents], page.more) == (["line/a"], True)
    record = AuditRecord.objects.order_by("-seq").first()
    assert record is not None
    assert (record.kind, record.principal) == ("cache.received", "token:admin/near")


def test_only_a_token_with_the_scope_may_sync(person: Callable[[Role], User]) -> None:
    other = [ability for ability in Ability if ability is not Ability.SYNC]
    token = issue_api_token(person(Role.ADMIN), "other", other, BOX, NOW)
    for text in (token, "mw_nonsense"):
        with pytest.raises(PeerRefused):
            HttpPeer("http://far.example", text, Wire()).push([message("k")])
    assert not CacheEntry.objects.exists()


def test_a_box_that_is_cut_off_takes_and_gives_nothing(wire: HttpPeer) -> None:
    engage(Level.CUT, "", BOX, NOW)
    try:
        with pytest.raises(PeerAway):
            wire.push([message("k")])
        with pytest.raises(PeerAway):
            wire.changes("", [""], 10)
    finally:
        release("over", Principal("user:ana", Role.ADMIN), NOW)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, MessageRefused),
        (413, MessageRefused),
        (422, MessageRefused),
        (500, PeerFailed),
        (502, PeerAway),
        (503, PeerAway),
        (429, PeerAway),
        (401, PeerRefused),
        (404, PeerRefused),
        (302, PeerRefused),
        (200, PeerRefused),
    ],
)
def test_what_an_answer_means(status: int, error: type[Exception]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text="<html>"))
    with pytest.raises(error):
        HttpPeer("http://far.example", "t", transport).push([message("k")])


def test_the_api_takes_nothing_that_is_no_message(wire: HttpPeer) -> None:
    bodies: list[Any] = [None, [], "x", {"id": 5}, {"id": "x" * 500}, {"document": {"key": "k"}}]
    said = wire.push(bodies)
    assert {answer.outcome for answer in said.answers} == {"refused"}
    with pytest.raises(MessageRefused):
        wire.push([message(str(number)) for number in range(201)])
    assert json.dumps([answer.model_dump() for answer in said.answers])
