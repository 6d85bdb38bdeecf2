"""What the screens show, and what they do with input that nobody meant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.setup import issue_setup_token
from appliance.bridges.models import ChatIdentity
from appliance.bus.models import Broker, TopicValue
from appliance.devices.models import Device
from appliance.inference.models import ModelChange, ServedModel
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.runs.models import Run
from appliance.safety.allstop import Level, current
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text
from tests.database import flush
from webadmin.pages import runs as runs_page
from webadmin.pages.editor import diff_lines

Browsers = Callable[[Role], Client]
MakeRun = Callable[..., UUID]


def html(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def test_an_empty_box_says_what_to_do_on_every_page(browser: Browsers) -> None:
    flush()
    client = browser(Role.ADMIN)
    assert "Nothing has run yet" in html(client, "/")
    assert "Write the first one" in html(client, "/tasks/")
    assert "A run appears here" in html(client, "/runs/")
    assert "Nothing said yet" in html(client, "/chat/")
    assert "The bus is silent" in html(client, "/bus/")
    assert "Only the box's own broker" in html(client, "/bus/brokers/")
    assert "No device has an account" in html(client, "/devices/")
    assert "No model lies on this box" in html(client, "/models/")
    assert "No program has a key" in html(client, "/tokens/")
    assert "Nothing is kept here yet" in html(client, "/secrets/")
    assert "Nobody comes after this name" in html(client, "/people/?after=zzz")
    assert "No such record" in html(client, "/audit/?kind=nothing.like.it")


def test_a_text_with_an_error_comes_back_with_its_place_and_changes_nothing(
    browser: Browsers, greet: Task
) -> None:
    text = "- name: greet\n  trigger: manual\n  actions:\n    - type: shel\n      command: ls\n"
    answer = browser(Role.ENGINEER).post("/tasks/greet/edit/", {"text": text})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'data-line="4"' in page
    assert "shel" in page
    greet.refresh_from_db()
    assert greet.current is not None
    assert greet.current.number == 1


def test_a_mended_text_becomes_the_next_version_with_its_difference(browser: Browsers, greet: Task) -> None:
    client = browser(Role.ENGINEER)
    assert greet.current is not None
    text = greet.current.text.replace('"hello"', '"good morning"').replace("\n", "\r\n")
    assert client.post("/tasks/greet/edit/", {"text": text}).status_code == 302
    page = html(client, "/tasks/greet/versions/2/")
    assert '<li class="added">' in page
    assert '<li class="removed">' in page
    assert html(client, "/tasks/greet/versions/3/", 404)


def test_validation_as_one_types_stores_nothing(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    good = "- name: a\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"
    assert "No problems" in client.post("/tasks/validate/", {"text": good}).content.decode()
    for bad in ("", ":", "- name: [", "a: &a [*a]", "- " * 3000, "\x00", "💥" * 10):
        answer = client.post("/tasks/validate/", {"text": bad})
        assert answer.status_code == 200
        assert "data-line" in answer.content.decode()
    assert not Task.objects.exists()


def test_the_editor_warns_of_a_platform_that_the_box_does_not_have(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    text = (
        "- name: a\n  trigger: manual\n  actions:\n    - type: notification\n"
        "      platform: webcat\n      message: hi\n"
    )
    page = client.post("/tasks/validate/", {"text": text}).content.decode()
    for part in ("One warning", 'data-line="5"', "there is no platform `webcat` yet", "`webchat`?"):
        assert part in page
    assert "No problems" not in page
    saved = client.post("/tasks/new/", {"text": text}, follow=True).content.decode()
    assert "line 5, column 17: there is no platform `webcat` yet (did you mean `webchat`?)" in saved
    assert Task.objects.filter(name="a").exists()


def test_a_task_is_started_with_inputs(browser: Browsers, greet: Task) -> None:
    client = browser(Role.OPERATOR)
    answer = client.post("/tasks/greet/start/", {"inputs": "payload: {value: 91}"})
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.pk}/"
    assert run.inputs["payload"] == {"value": 91}
    assert run.principal == "user:operator"


@pytest.mark.parametrize("text", ["[1, 2]", "a: &x 1\nb: *x", "{", "x" * 70_000, "just words"])
def test_inputs_that_cannot_be_meant_start_nothing(text: str, browser: Browsers, greet: Task) -> None:
    answer = browser(Role.OPERATOR).post("/tasks/greet/start/", {"inputs": text}, follow=True)
    assert "message error" in answer.content.decode()
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/runs/?state=nonsense&before=nonsense&task=nobody",
        "/runs/?before=%00",
        "/tasks/?after=%00%ff",
        "/bus/?filter=%00%25_&after=zzz",
        "/audit/?kind=%00&principal=%27&before=99999999999999999999999",
        "/chat/?before=-1",
        "/devices/?after=%00",
        "/people/?after=%00",
        "/tokens/?before=-1",
        "/secrets/?after=%00&name=%00%22",
    ],
)
def test_nonsense_in_an_address_is_an_empty_page_not_an_error(path: str, browser: Browsers) -> None:
    assert browser(Role.ADMIN).get(path).status_code == 200


def test_what_is_not_there_is_said_to_be_not_there(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    assert "Not here" in html(client, "/tasks/nobody/", 404)
    assert html(client, "/runs/0190f5a0-0000-7000-8000-000000000000/", 404)
    assert html(client, "/nothing/at/all", 404)
    assert client.post("/nothing/at/all", b"{}", content_type="application/json").status_code == 404
    assert client.get("/tasks")["Location"] == "/tasks/"


def test_lists_go_on_where_the_page_before_ended(
    browser: Browsers, ended_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_page, "PAGE", 2)
    monkeypatch.setattr("webadmin.pages.paging.cut.__defaults__", (2,))
    made = [ended_run() for _ in range(5)]
    client, seen, path = browser(Role.VIEWER), [], "/runs/"
    for _ in range(3):
        answer = client.get(path)
        seen += [run.pk for run in answer.context["runs"]]
        path = f"/runs/?before={answer.context['next']}"
    assert seen == made[::-1]
    assert answer.context["next"] is None


MANY = [
    *(
        "/",
        "/runs/",
        "/tasks/",
        "/bus/",
        "/bus/brokers/",
        "/tasks/greet/",
        "/chat/",
        "/audit/",
        "/devices/",
        "/platforms/",
        "/platforms/add/",
        "/platform/webchat/",
        "/models/",
    ),
    *("/outbox/", "/docs/", "/docs/search/?q=task", "/api/v1/runs", "/api/v1/tasks", "/api/v1/outbox"),
    *("/admin/runs/run/", "/admin/events/eventrow/", "/admin/tasks/occurrence/", "/admin/outbox/outboxrow/"),
    *("/admin/audit/auditrecord/", "/admin/devices/device/", "/admin/bus/topicvalue/"),
]


def test_a_page_asks_as_many_questions_for_many_rows_as_for_few(
    browser: Browsers, ended_run: MakeRun
) -> None:
    client = browser(Role.ADMIN)
    grow(ended_run, "a")
    few = {path: questions(client, path) for path in MANY}
    for name in "bcdefg":
        grow(ended_run, name)
    assert {path: questions(client, path) for path in MANY} == few
    assert [path for path, asked in few.items() if asked > 20] == []


def grow(ended_run: MakeRun, name: str) -> None:
    ended_run(warning="careful")
    now = datetime.now(UTC)
    apply_text(f"- name: {name}\n  trigger: every 5m\n  actions: [{{type: set, value: 1}}]\n", "f", BOX, now)
    Broker.objects.create(name=name, url="mqtt://192.0.2.1", updated_at=now)
    TopicValue.objects.create(topic=f"t/{name}", payload=b"1", size=1, value=1, quality="good", at=now)
    Device.objects.create(name=f"d-{name}", username=f"d-{name}", password_hash="x", created_at=now)
    ServedModel.objects.create(
        name=name, version="1", digest="0" * 64, engine="llamacpp", context=1, changed_at=now, changed_by="x"
    )
    ModelChange.objects.create(model=name, version="1", generation=1, state="ready", at=now)
    ChatIdentity.objects.create(platform="telegram", user_id=name, first_seen=now, last_seen=now)
    enqueue_now(OutboxItem(f"k/{name}", "telegram", {"text": "hi"}, at=now, conversation=name))


def questions(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def test_a_run_page_asks_as_many_questions_for_many_steps_as_for_few(
    browser: Browsers, ended_run: MakeRun
) -> None:
    client = browser(Role.VIEWER)
    assert questions(client, f"/runs/{ended_run(steps=2)}/") == questions(
        client, f"/runs/{ended_run(steps=40)}/"
    )


def test_a_green_run_shows_what_it_wrote_to_standard_error(browser: Browsers, ended_run: MakeRun) -> None:
    page = html(browser(Role.VIEWER), f"/runs/{ended_run(warning='step-0: it complained')}/")
    assert "succeeded" in page
    assert "Standard error" in page
    assert page.count("it complained") == 3


def test_the_stop_is_on_every_page_until_it_is_released(browser: Browsers) -> None:
    operator, engineer = browser(Role.OPERATOR), browser(Role.ENGINEER)
    operator.post("/stop/", {"level": "freeze", "reason": "smoke", "next": "/runs/"})
    assert current().level is Level.FREEZE
    page = html(operator, "/tasks/")
    assert "All-stop is engaged" in page
    assert "smoke" in page
    assert "/stop/release/" not in page
    engineer.post("/stop/release/", {"reason": "all clear", "next": "//elsewhere.example/"})
    assert current().level is Level.NONE
    assert "All-stop is engaged" not in html(engineer, "/")


def test_a_stop_with_a_level_nobody_knows_stops(browser: Browsers) -> None:
    answer = browser(Role.OPERATOR).post("/stop/", {"level": "whatever", "next": "//elsewhere.example/"})
    assert answer["Location"] == "/"
    assert current().level is Level.KILL
    browser(Role.ADMIN).post("/stop/release/", {"reason": "all clear"})


def test_a_stop_that_cannot_cut_what_commands_send_says_so(browser: Browsers) -> None:
    operator = browser(Role.OPERATOR)
    operator.post("/stop/", {"level": "cut"})
    assert "their network is not cut by the kernel" in html(operator, "/")
    browser(Role.ADMIN).post("/stop/release/", {"reason": "all clear"})


def test_the_language_follows_the_person(person: Callable[[Role], User]) -> None:
    user = person(Role.VIEWER)
    client = Client()
    client.force_login(user)
    client.post("/language/", {"language": "zh-hans", "next": "/runs/"})
    assert 'lang="zh-hans"' in html(client, "/runs/")
    assert "运行" in html(client, "/runs/")
    user.refresh_from_db()
    assert user.language == "zh-hans"


def test_the_set_up_link_makes_one_administrator_and_ends(db: None) -> None:
    token = issue_setup_token(datetime.now(UTC))
    client, path = Client(), f"/setup/{token}/"
    assert "Become administrator" in html(client, path)
    form = {"username": "ana", "password": "short", "again": "short", "language": "en"}
    assert "too short" in client.post(path, form).content.decode()
    form |= {"password": "a-long-secret-42", "again": "another-secret"}
    assert "The two passwords differ." in client.post(path, form).content.decode()
    form |= {"again": "a-long-secret-42"}
    assert client.post(path, form)["Location"] == "/"
    assert client.get("/").status_code == 200
    assert html(Client(), path, 410)
    assert html(Client(), "/setup/guessed/", 410)


def test_a_box_without_an_administrator_says_how_to_get_one(person: Callable[[Role], User]) -> None:
    person(Role.OPERATOR)
    assert "manage.py setup_link" in html(Client(), "/login/")
    person(Role.ADMIN)
    assert "manage.py setup_link" not in html(Client(), "/login/")


def test_the_difference_of_two_texts_is_line_by_line() -> None:
    assert list(diff_lines("a\nb\n", "a\nc\n")) == [("same", "a"), ("removed", "b"), ("added", "c")]


def test_the_age_of_what_the_broker_had_kept_is_not_made_up(browser: Browsers) -> None:
    TopicValue.objects.create(
        topic="plant/mode",
        payload=b"auto",
        size=4,
        value="auto",
        quality="good",
        at=datetime.now(UTC),
        count=1,
    )
    client = browser(Role.VIEWER)
    assert "age unknown" not in html(client, "/bus/")
    TopicValue.objects.update(age_known=False)
    page = html(client, "/bus/")
    assert "age unknown" in page
    assert "data-when" not in page.partition('id="topics"')[2].partition("</section>")[0]


def test_a_topic_that_fell_silent_fades(browser: Browsers) -> None:
    now = datetime.now(UTC)
    TopicValue.objects.create(
        topic="old", payload=b"", size=0, quality="good", at=now - timedelta(hours=1), rate=90.0
    )
    answer = browser(Role.VIEWER).get("/bus/?filter=ol")
    assert answer.context["topics"][0].rate < 0.001
    assert not browser(Role.VIEWER).get("/bus/?filter=nothing").context["topics"]
