"""The API does what the screens do, for whoever may, and says clearly what it refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token, revoke_api_token
from appliance.bridges.chats import post_message
from appliance.bridges.domain import own_conversation
from appliance.events.journal import Cursor, Entry
from appliance.runs.models import Run
from appliance.safety.allstop import Level, current
from appliance.tasks.models import Task
from webadmin.visible import visible_to

People = Callable[[Role], User]
GOOD = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: 2}]\n"


class Api:
    """A program with a token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        return self._read(self._client.get(f"/api/v1{path}", query), status)

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self._client.generic(method, f"/api/v1{path}", _json(body), content_type="application/json")
        return self._read(answer, status)

    @staticmethod
    def _read(answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.content
        return answer.json() if answer.content else None


def _json(body: Any) -> bytes:
    import json

    return b"" if body is None else json.dumps(body).encode()


@pytest.fixture
def api(person: People) -> Api:
    return Api(issue_api_token(person(Role.ADMIN), "all", list(Ability), BOX, datetime.now(UTC)))


def test_a_stranger_gets_nothing_but_the_document(db: None) -> None:
    client = Client()
    for path in ("/tasks", "/runs", "/events", "/status", "/hardware"):
        assert client.get(f"/api/v1{path}").status_code == 401
    document = client.get("/api/v1/openapi.json").json()
    assert "/api/v1/tasks/{name}" in document["paths"]


def test_a_token_does_what_its_scopes_say_and_ends_when_revoked(person: People, greet: Task) -> None:
    now = datetime.now(UTC)
    api = Api(issue_api_token(person(Role.ADMIN), "reader", [Ability.VIEW], BOX, now))
    assert api.get("/tasks")["items"][0]["name"] == "greet"
    api.send("POST", "/tasks/greet/run", status=403)
    api.send("POST", "/allstop", status=403)
    assert not Run.objects.exists()
    revoke_api_token(ApiToken.objects.get().pk, BOX, now)
    api.get("/tasks", status=401)


def test_a_session_needs_the_csrf_token_to_change_something(person: People, greet: Task) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Role.ADMIN))
    assert client.get("/api/v1/tasks").status_code == 200
    assert client.post("/api/v1/tasks/greet/run").status_code == 403
    assert not Run.objects.exists()


def test_a_task_goes_in_comes_out_and_runs(api: Api) -> None:
    assert api.send("POST", "/tasks/apply", {"text": GOOD})[0]["change"] == "created"
    assert api.get("/tasks/greet")["text"].startswith("- name: greet")
    changed = api.send("PUT", "/tasks/greet", {"text": GOOD.replace("2", "3")})
    assert changed == {"name": "greet", "version": 2, "change": "updated", "warnings": []}
    run_id = api.send("POST", "/tasks/greet/run", {"inputs": {"payload": 1}}, status=202)["run_id"]
    run = api.get(f"/runs/{run_id}")
    assert (run["task"], run["version"], run["state"]) == ("greet", 2, "queued")
    assert run["inputs"]["payload"] == 1
    assert (run["origin"], run["judged_as"]) == ("api", ["api", "manual"])
    assert api.get("/runs", task="greet", state="queued")["items"][0]["id"] == run_id
    api.send("POST", f"/runs/{run_id}/cancel", status=202)
    assert api.get(f"/runs/{run_id}")["state"] == "cancelled"
    again = api.send("POST", f"/runs/{run_id}/again", status=202)["run_id"]
    assert api.get(f"/runs/{again}")["forked_from"] == run_id
    assert api.send("PATCH", "/tasks/greet", {"enabled": False})["enabled"] is False
    off = api.send("POST", "/tasks/greet/run", status=409)
    assert (off["message"], Run.objects.count()) == ("the task 'greet' is switched off", 2)


def test_a_person_who_looks_through_the_api_starts_by_hand(person: People, greet: Task) -> None:
    client = Client()
    client.force_login(person(Role.OPERATOR))
    Task.objects.update(enabled=False)
    answer = client.post("/api/v1/tasks/greet/run", {"inputs": {}}, content_type="application/json")
    assert answer.status_code == 202, answer.content
    assert Run.objects.get().origin == "manual"


def test_a_file_with_errors_changes_nothing_and_says_where(api: Api, greet: Task) -> None:
    bad = GOOD.replace("type: set", "type: sett")
    assert api.send("POST", "/tasks/validate", {"text": bad})["problems"][0]["line"] == 3
    refused = api.send("PUT", "/tasks/greet", {"text": bad}, status=422)
    assert refused["code"] == "tasks.file_refused"
    assert refused["problems"][0]["line"] == 3
    api.send("PUT", "/tasks/greet", {"text": GOOD.replace("greet", "other")}, status=422)
    assert api.get("/tasks/greet")["version"] == 1


def test_inputs_that_are_the_engines_own_are_refused(api: Api, greet: Task) -> None:
    inputs = {"shard": {"step": "each"}, "item": "valve7"}
    refused = api.send("POST", "/tasks/greet/run", {"inputs": inputs}, status=400)
    assert refused["code"] == "runs.inputs_not_taken"
    assert refused["hint"].endswith("payload, topic, event, vars, captures")
    assert not Run.objects.exists()


def test_what_is_asked_wrongly_is_refused_with_a_reason(api: Api) -> None:
    assert api.get("/tasks/nobody", status=404)["code"] == "tasks.not_found"
    assert api.get("/runs/0190f5a0-0000-7000-8000-000000000000", status=404)["code"] == "runs.not_found"
    nowhere = api.get("/nowhere", status=404)
    assert (nowhere["code"], nowhere["message"]) == ("api.not_found", "there is nothing at /api/v1/nowhere")
    assert api.send("POST", "/nowhere", {}, status=404)["code"] == "api.not_found"
    api.get("/runs/not-a-run", status=422)
    api.get("/runs", status=422, state="nonsense")
    too_many = api.get("/runs", status=422, limit=10_000)
    assert too_many["code"] == "api.invalid"
    assert too_many["message"] == "query.limit: Input should be less than or equal to 200"
    assert api.get("/events", status=422, after="nonsense")["code"] == "events.cursor_invalid"
    api.send("PUT", "/tasks/greet", {"text": 7}, status=422)
    api.send("POST", "/allstop", {"level": "nonsense"}, status=422)


def test_what_is_refused_before_it_is_asked_looks_like_every_refusal(person: People, greet: Task) -> None:
    token = issue_api_token(person(Role.ADMIN), "reader", [Ability.VIEW], BOX, datetime.now(UTC))
    client = Client(headers={"Authorization": f"Bearer {token}"})
    told = client.post("/api/v1/tasks/validate", b"{no json", content_type="application/json")
    stranger = Client().get("/api/v1/tasks")
    foreign = Client(enforce_csrf_checks=True)
    foreign.force_login(person(Role.OPERATOR))
    run = ("/api/v1/tasks/greet/run", b"", "application/json")
    answers = [told, client.post(*run), stranger, foreign.post(*run)]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (400, "api.unreadable"),
        (403, "accounts.not_allowed"),
        (401, "api.unauthorized"),
        (403, "accounts.not_allowed"),
    ]
    assert all(set(one.json()) == {"code", "message", "hint"} and one.json()["message"] for one in answers)
    assert "run_tasks" in answers[1].json()["message"]


def test_events_come_in_order_from_a_position(api: Api) -> None:
    start = api.get("/events")["cursor"]
    assert start
    page = api.get("/events", after="0-0", limit=1)
    assert set(page) == {"cursor", "more", "events"}


def test_nobody_reads_another_persons_conversation_with_the_box(person: People) -> None:
    now = datetime.now(UTC)
    post_message(person(Role.OPERATOR), "between us", now)
    client = Client()
    client.force_login(person(Role.ENGINEER))
    assert "between us" not in client.get("/").content.decode()
    assert "between us" not in client.get("/chat/").content.decode()
    entry = Entry(Cursor(1, 1), now, "feed.message", "feed/x", {"conversation": own_conversation("operator")})
    assert visible_to("engineer", [entry]) == []
    assert visible_to("operator", [entry]) == [entry]


def test_steps_are_listed(api: Api, ended_run: Callable[..., UUID]) -> None:
    steps = api.get(f"/runs/{ended_run(steps=3)}/steps")
    assert [step["step"] for step in steps] == ["step-0", "step-1", "step-2"]
    assert steps[0]["stderr"] == "it complained"


def test_the_box_stops_and_goes_on_over_http(api: Api) -> None:
    assert api.send("POST", "/allstop", {"level": "freeze", "reason": "api"})["level"] == "freeze"
    assert api.get("/status")["allstop"]["reason"] == "api"
    api.send("POST", "/allstop/release", {"reason": "all clear"})
    assert current().level is Level.NONE


def test_a_stop_that_cuts_says_what_it_has_cut(api: Api) -> None:
    """There is no guard in these tests, so nobody cuts the network of commands."""
    assert api.send("POST", "/allstop", {"level": "kill", "reason": "api"})["cut"] is None
    cut = api.send("POST", "/allstop", {"level": "cut", "reason": "api"})["cut"]
    assert (cut["sending"], cut["commands"]) == (True, False)
    assert cut["lacking"]
    assert api.get("/status")["allstop"]["cut"] == cut
    api.send("POST", "/allstop/release", {"reason": "all clear"})


def test_the_documentation_lists_every_operation(person: People) -> None:
    client = Client()
    client.force_login(person(Role.VIEWER))
    page = client.get("/api/v1/docs").content.decode()
    for path in client.get("/api/v1/openapi.json").json()["paths"]:
        assert path in page


def test_a_message_to_an_unknown_platform_is_a_warning(api: Api, db: None) -> None:
    text = (
        "- name: t\n  trigger: manual\n  actions: [{type: notification, platform: webchatt, message: hi}]\n"
    )
    for answer in (
        api.send("POST", "/tasks/validate", {"text": text}),
        api.send("POST", "/tasks/apply", {"text": text})[0],
        api.send("PUT", "/tasks/t", {"text": text}),
    ):
        (warning,) = answer["warnings"]
        assert (warning["line"], warning["path"]) == (3, "[0].actions[0].platform")
        assert warning["hint"] == "did you mean `webchat`?"


def test_a_viewer_sees_what_the_machine_has(person: People) -> None:
    viewer = Api(issue_api_token(person(Role.VIEWER), "look", [Ability.VIEW], BOX, datetime.now(UTC)))

    found = viewer.get("/hardware")

    assert found["processor"]["cores"] >= 1
    assert 0 < found["memory_available"] <= found["memory_total"]
    assert found["runtimes"][-1] == "CPUExecutionProvider"
