"""`/ws/gateway` of the running web process: who gets in, what they may do and see, and how it ends."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from websockets.exceptions import ConnectionClosed, InvalidStatus

from appliance.accounts.domain import Ability, Role
from appliance.accounts.granting import grant
from appliance.accounts.grants import Grant
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX, Principal
from appliance.accounts.services import create_user, set_active, set_role
from appliance.accounts.tokens import issue_api_token, revoke_api_token
from appliance.audit.models import AuditRecord
from appliance.bridges.models import Inbound
from appliance.events.services import current_cursor
from appliance.lib.config import Config
from appliance.lib.identity import uuid7
from appliance.runs.models import Run
from appliance.runs.services import start_task
from appliance.safety import allstop
from appliance.safety.approvals.models import Approval
from appliance.tasks.services import apply_text, set_enabled
from tests.gateway_desk import Raw
from tests.integration.webadmin.web_process import web_process
from tests.visitor import PASSWORD
from tests.wait import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
GREET = "- name: {name}\n  trigger: manual\n  actions: [{{type: set, value: 1}}]\n"
ALL = [Ability.VIEW, Ability.RUN_TASKS, Ability.CANCEL_RUNS, Ability.STOP_ALL, Ability.CHAT]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def place(engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("web")
    with web_process(engines, folder, MILLWRIGHT_TRUSTED_PROXIES="127.0.0.1") as place:
        yield place


@pytest.fixture
def ann(place: str) -> User:
    apply_text(GREET.format(name="greet") + GREET.format(name="line3-pump"), "g.yaml", BOX, now())
    return create_user("ann", PASSWORD, Role.OPERATOR, BOX)


@pytest.fixture
def token(ann: User) -> str:
    return issue_api_token(ann, "bot", ALL, BOX, now())


@pytest.fixture
def said(ann: User) -> Callable[[str], list[dict[str, Any]]]:
    """The records of a kind since the test began."""
    (newest,) = AuditRecord.objects.order_by("-seq").values_list("seq", flat=True)[:1]

    def since(kind: str) -> list[dict[str, Any]]:
        return [
            {"who": row.principal, **json.loads(row.body)["detail"]}
            for row in AuditRecord.objects.filter(kind=kind, seq__gt=newest).order_by("seq")
        ]

    return since


Said = Callable[[str], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("how", "case"),
    [
        ({}, "token"),
        ({"token": "mw_invented"}, "token"),
        ({"offered": ("millwright.v1", "token.mw_invented")}, "token"),
        ({"token": "{good}", "query": "?token=mw_x"}, "query"),
        ({"query": "?access_token={good}"}, "query"),
    ],
)
def test_without_a_good_token_or_with_one_in_the_address_nobody_comes_in(
    place: str, token: str, said: Said, how: dict[str, Any], case: str
) -> None:
    filled: dict[str, Any] = {
        key: value.format(good=token) if isinstance(value, str) else value for key, value in how.items()
    }
    with pytest.raises(InvalidStatus) as refused:
        Raw(place, **filled)
    assert refused.value.response.status_code == 403
    assert said("socket.refused") == [{"who": "stranger", "case": case, "path": "/ws/gateway"}]


def test_a_foreign_page_is_refused_even_with_a_token_and_the_box_s_own_is_not(
    place: str, token: str, said: Said
) -> None:
    for origin in ("https://evil.example", "null"):
        with pytest.raises(InvalidStatus):
            Raw(place, token, origin=origin)
    assert [one["origin"] for one in said("socket.refused")] == ["https://evil.example", "null"]
    with Raw(place, token, origin=f"http://{place}") as own:
        assert own.welcome["principal"] == "token:ann/bot"


def test_a_token_as_subprotocol_is_taken_and_not_given_back(place: str, ann: User, said: Said) -> None:
    token = issue_api_token(ann, "page", ALL, BOX, now())  # of each only a few a minute are put on record
    with Raw(place, offered=("millwright.v1", f"token.{token}")) as box:
        assert box.socket.subprotocol == "millwright.v1"
        assert box.welcome["version"] == 1
        assert abs(datetime.fromisoformat(box.welcome["time"]) - now()) < timedelta(seconds=10)
        assert box.welcome["allstop"]["level"] == "none"
    record = said("gateway.connected")[0]
    assert (record["who"], record["client"]) == ("token:ann/page", "raw")
    wait_for(lambda: said("gateway.closed"), 10, "its end is on record")
    assert said("gateway.closed")[0]["who"] == "token:ann/page"


def test_a_command_is_done_once_for_its_id_on_whatever_connection(place: str, token: str) -> None:
    with Raw(place, token) as box:
        first = box.ask("run", id="r1", task="greet")
        assert not first["repeated"]
    with Raw(place, token) as box:
        assert box.ask("run", id="r1", task="greet") == {**first, "repeated": True}
        other = box.ask("run", id="r1", task="line3-pump")
        assert other["code"] == "gateway.id_reused"
        box.ask("run", id="r2", task="greet")
    run = Run.objects.get(pk=UUID(first["result"]["run"]))
    assert (run.principal, run.origin) == ("token:ann/bot", "api")
    assert Run.objects.count() == 2


def test_what_failed_may_be_asked_again_and_another_token_has_names_of_its_own(
    place: str, ann: User, token: str
) -> None:
    second = issue_api_token(ann, "second", ALL, BOX, now())
    with Raw(place, token) as box, Raw(place, second) as another:
        assert box.ask("run", id="1", task="nothing")["code"] == "tasks.not_found"
        run = box.ask("run", id="1", task="greet")["result"]["run"]
        assert another.ask("run", id="1", task="greet")["result"]["run"] != run
        assert box.ask("cancel", id="2", run=run)["result"] == {"run": run}
        assert box.ask("cancel", id="3", run=run)["code"] == "runs.not_now"
        assert Run.objects.get(pk=run).state == "cancelled"
        assert box.ask("status")["result"]["runs"] == {"queued": 1}


def test_only_what_the_token_and_its_person_may(place: str, ann: User, said: Said) -> None:
    vic = create_user("vic", PASSWORD, Role.VIEWER, BOX)
    grant("vic", Grant(Role.OPERATOR, tasks="line3-*"), BOX, now())
    some = issue_api_token(User.objects.get(pk=vic.pk), "some", ALL[:2], BOX, now())
    looks = issue_api_token(ann, "looks", [Ability.VIEW], BOX, now())
    with Raw(place, some) as box, Raw(place, looks) as viewer:
        assert "run" in box.ask("run", task="line3-pump")["result"]
        assert box.ask("run", task="greet")["code"] == "accounts.not_allowed"
        assert box.ask("cancel", run=str(uuid7()))["code"] == "accounts.not_allowed"
        for kind, more in {
            "run": {"task": "greet"},
            "say": {"text": "run greet"},
            "stop": {},
            "approve": {"approval": "K7Q2MX"},
            "ack": {"message": str(uuid7())},
        }.items():
            assert viewer.ask(kind, **more)["code"] == "accounts.not_allowed", kind
    assert allstop.current().level is allstop.Level.NONE
    assert not Inbound.objects.exists()
    refused = said("gateway.refused")
    assert (refused[0]["who"], refused[0]["command"]) == ("token:vic/some", "run")


def test_an_approval_is_decided_by_who_may(place: str, ann: User) -> None:
    eve = create_user("eve", PASSWORD, Role.ENGINEER, BOX)
    scopes = [Ability.VIEW, Ability.APPROVE]
    engineer = issue_api_token(eve, "panel", scopes, BOX, now())
    operator = issue_api_token(ann, "panel", scopes, BOX, now())
    row = asked()
    with Raw(place, engineer) as box, Raw(place, operator) as other:
        assert other.ask("approve", id="1", approval=row.code)["code"] == "approvals.refused"
        done = box.ask("deny", id="1", approval=row.code, reason="too hot")
        assert done["result"] == {"approval": str(row.pk), "state": "denied", "run": str(row.run_id)}
        assert box.ask("deny", id="1", approval=row.code, reason="too hot")["repeated"]
        assert box.ask("approve", id="2", approval=row.code)["code"] == "approvals.refused"
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("denied", "token:eve/panel")
    refused = AuditRecord.objects.filter(kind="approval.refused", principal="token:ann/panel")
    assert refused.exists(), "what was put on record about a refusal stays"


def asked() -> Approval:
    """A run that waits for an approval, as the engine leaves it."""
    run_id = start_task("greet", BOX, now())
    Run.objects.filter(pk=run_id).update(state="waiting", waiting_for="approval")
    return Approval.objects.create(
        id=uuid7(),
        code="K7Q2MX",
        token_digest="t",
        purpose="gate",
        run_id=run_id,
        step="open",
        attempt=1,
        task="greet",
        kind="mqtt",
        digest="d",
        reason="valves are dear",
        requested_by="user:bob",
        requester="bob",
        approvers="engineer",
        state="open",
        created_at=now(),
        expires_at=now() + timedelta(minutes=20),
    )


def test_events_come_in_order_and_only_those_that_were_asked_for(place: str, token: str) -> None:
    with Raw(place, token) as box:
        answer = box.ask("subscribe", topics=["task.*", "account.changed"])
        assert (answer["topics"], answer["refused"]) == (["task.changed"], ["account.changed"])
        box.ask("run", task="greet")
        for enabled in (False, True, False):
            switch(enabled)
        assert changes(box, 3) == ["disabled", "enabled", "disabled"]


def switch(enabled: bool) -> None:
    with transaction.atomic():
        set_enabled("greet", enabled, BOX, now())


def changes(box: Raw, wanted: int) -> list[str]:
    found: list[str] = []
    while len(found) < wanted:
        found += [one["data"]["change"] for one in box.hear("events")["events"]]
    return found


def test_whoever_comes_back_gets_all_that_followed_and_nothing_twice(place: str, token: str) -> None:
    with Raw(place, token) as box:
        box.ask("subscribe", topics=["task.changed"])
        switch(False)
        cursor = box.hear("events")["cursor"]
    switch(True)
    switch(False)
    with Raw(place, token) as box:
        assert not box.ask("subscribe", topics=["task.changed"], after=cursor)["gap"]
        switch(True)
        assert changes(box, 3) == ["enabled", "disabled", "enabled"]


def test_a_gap_is_told(place: str, token: str) -> None:
    start = str(current_cursor())
    switch(False)
    with Raw(place, token) as box:
        assert not box.ask("subscribe", topics=["task.changed"], after=start)["gap"]
        assert changes(box, 1) == ["disabled"]
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM events_event")  # as when its day is dropped
        assert box.ask("subscribe", topics=["task.changed"], after=start)["gap"]
        switch(True)
        assert changes(box, 1) == ["enabled"]
        assert box.ask("subscribe", topics=["task.changed"], after=start)["gap"]
        elsewhere = box.ask("subscribe", topics=["task.changed"], after="999999999999-1")
        assert elsewhere["gap"]
        assert elsewhere["after"] != "999999999999-1"
        assert box.ask("subscribe", topics=[], after="yesterday")["code"] == "events.cursor_invalid"
        assert box.ask("subscribe", topics=["tusk.changed"])["code"] == "gateway.topic_unknown"


def test_the_all_stop_is_seen_by_who_did_not_ask(place: str, token: str) -> None:
    with Raw(place, token) as box, Raw(place, token) as other:
        done = box.ask("stop", id="s", level="freeze", reason="smoke")
        assert done["result"]["level"] == "freeze"
        told = other.hear("allstop")
        assert (told["level"], told["reason"], told["by"]) == ("freeze", "smoke", "token:ann/bot")
    with Raw(place, token) as box:
        assert box.welcome["allstop"]["level"] == "freeze"
        assert box.ask("status")["result"]["allstop"]["by"] == "token:ann/bot"
    assert allstop.current().level is allstop.Level.FREEZE
    allstop.release("over", Principal("user:eve", Role.ADMIN), now())
    with Raw(place, token) as box:
        assert box.welcome["allstop"]["level"] == "none"


@pytest.mark.parametrize(
    "end",
    [
        lambda row: revoke_api_token(row.pk, BOX, now()),
        lambda row: ApiToken.objects.filter(pk=row.pk).update(expires_at=now()),
        lambda row: set_active("ann", False, BOX),
    ],
    ids=["revoked", "expired", "locked out"],
)
def test_a_token_that_ends_does_nothing_more_and_its_connection_ends_by_itself(
    place: str, token: str, end: Callable[[ApiToken], object]
) -> None:
    with Raw(place, token) as quiet, Raw(place, token) as busy:
        end(ApiToken.objects.get(name="bot"))
        busy.say(type="run", id="1", task="greet")
        assert busy.end() == ("gateway.ended", 4401)
        assert quiet.end() == ("gateway.ended", 4401)
    assert not Run.objects.exists()
    with pytest.raises(InvalidStatus):
        Raw(place, token)


def test_a_role_that_is_taken_away_counts_from_the_next_frame_on(place: str, token: str) -> None:
    with Raw(place, token) as box:
        assert "result" in box.ask("run", task="greet")
        set_role("ann", Role.VIEWER, BOX)
        assert box.ask("run", task="greet")["code"] == "accounts.not_allowed"


def test_what_is_no_frame_ends_the_connection_and_says_why(place: str, token: str) -> None:
    for text, told in {
        "x" * 40_000: ("gateway.too_large", 4413),
        "[1]": ("gateway.unreadable", 4400),
    }.items():
        with Raw(place, token) as box:
            box.socket.send(text)
            assert box.end() == told
    with Raw(place, token) as box:
        box.socket.send(b"\x00")
        assert box.end() == ("gateway.too_large", 4413)
    with Raw(place, token) as box:
        box.socket.send("x" * 100_000)
        assert box.end()[1] in (1006, 1009)
    with Raw(place, token, hello=False) as box:
        box.say(type="status", id="1")
        assert box.end() == ("gateway.no_hello", 4408)
    with Raw(place, token, hello=False) as box:
        box.say(type="hello", version=2)
        assert box.end() == ("gateway.version", 4406)
    with Raw(place, token, hello=False, offered=()) as box:
        assert box.end() == ("gateway.version", 4406)


def test_too_many_frames_are_refused_then_cut_and_too_many_connections_too(place: str, token: str) -> None:
    with Raw(place, token) as box:
        for number in range(400):
            box.say(type="heartbeat", n=number)
        refused = box.hear("error")
        assert (refused["code"], refused["fatal"]) == ("gateway.too_fast", False)
        assert refused["retry_after"] > 0
        assert box.end() == ("gateway.too_fast", 4429)
    # What the box has cut a moment ago may still count.
    sockets = [wait_for(lambda: let_in(place, token), 10, "there is room") for _ in range(5)]
    with Raw(place, token, hello=False) as sixth:
        assert sixth.end() == ("gateway.too_many", 4430)
    sockets.pop().__exit__(None, None, None)
    sockets.append(wait_for(lambda: let_in(place, token), 10, "there is room again"))
    for one in sockets:
        one.__exit__(None, None, None)


def let_in(place: str, token: str) -> Raw | None:
    try:
        return Raw(place, token)
    except ConnectionClosed:
        return None
