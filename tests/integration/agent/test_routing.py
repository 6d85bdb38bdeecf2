"""Sentences in a chat, on a real database: answered, asked back, and remembered once somebody has confirmed them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoAssertNumQueries

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.accounts.services import create_user
from appliance.agent.errors import ExampleUnknown
from appliance.agent.models import AgentExample
from appliance.agent.router import examples, loading
from appliance.agent.router.domain import Meaning
from appliance.agent.router.warm import Source, WarmRouter
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender
from appliance.devices.models import Device
from appliance.inference.embeddings.vectors import DatabaseVectors
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_routing import ChatRouting
from appliance.runs.models import Run
from appliance.tasks.services import apply_text
from tests import database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASKS = """
- name: greet
  description: Say hello to the team
  trigger: manual
  vars: {times: 2, name: you}
  actions: [{type: set, value: 1}]
- name: secret_task
  trigger: manual
  actions: [{type: set, value: 1}]
"""
ANA = Principal("user:ana", Role.OPERATOR)
GREET = Meaning("task.run", {"task": "greet"})


@pytest.fixture(autouse=True)
def box(transactional_db: None, settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
    database.execute(database.emptied("runs_run", "tasks_occurrence"))
    apply_text(TASKS, "t.yaml", BOX, NOW)


@pytest.fixture
def desk() -> Callable[..., str]:
    commands = ChatCommands(
        ChatRouting(WarmRouter(Source(loading.load, loading.revision), pause=lambda: None))
    )
    people: dict[str, User] = {}

    def say(text: str, who: str = "ana", role: Role = Role.OPERATOR, minutes: int = 0) -> str:
        if who not in people:
            people[who] = create_user(who, "hammer-and-anvil-7", role, BOX)
        at = NOW + timedelta(minutes=minutes)
        commands.routing.warm.refresh()
        command = parse_command(text, key=f"{who}/{text}/{minutes}", received_at=at)
        return commands._answer(command, ChatSender(people[who].pk, who, "tg", who, "c1"))

    return say


def test_questions_are_answered_in_the_language_of_the_question(desk: Callable[..., str]) -> None:
    assert "greet" in desk("what tasks do you have?")
    assert desk("有哪些任务？").splitlines() == ["greet", "secret_task"]
    assert desk("is the all-stop on?") == "The all-stop is off."
    assert desk("现在急停开着吗") == "急停未启用。"
    assert desk("which devices are offline") == "There are no devices yet."
    assert desk("is anything waiting for me?") == "Nothing waits for your approval."
    assert desk("which models are loaded?") == "No model is served here yet."
    assert "webchat" in desk("which platforms are connected")
    assert desk("tell me a joke") == ""


def test_a_change_is_asked_back_and_nothing_is_started(desk: Callable[..., str]) -> None:
    assert desk("please run greet for me") == "Did you mean this? Then write it:\nrun greet"
    assert desk("say hello to the team") == "Did you mean this? Then write it:\nrun greet"
    for text in ("don't run greet", "不要运行 greet", "run greet tomorrow", "disable greet"):
        desk(text)
    assert Run.objects.count() == 0
    assert desk("execute greet").startswith("Started greet")
    assert Run.objects.count() == 1


def test_what_somebody_confirms_is_an_example_from_then_on(desk: Callable[..., str]) -> None:
    assert "run greet" in desk("say hello to the whole team please")
    assert desk("run greet", minutes=1).startswith("Started")
    (kept,) = AgentExample.objects.all()
    assert (kept.text, kept.intent, kept.slots, kept.by) == (
        "say hello to the whole team please",
        "task.run",
        {"task": "greet"},
        "user:ana",
    )
    assert "run greet" in desk("Say hello to the whole team, please.".replace(",", ""), minutes=2)


def test_a_command_that_answers_no_question_teaches_nothing(desk: Callable[..., str]) -> None:
    desk("say hello to the team")
    desk("status", minutes=1)
    desk("run greet", minutes=2)
    desk("say hello to the team", minutes=3)
    desk("run greet", minutes=30)
    assert AgentExample.objects.count() == 0


def test_two_people_who_disagree_leave_it_open() -> None:
    examples.confirm("the usual", GREET, "en", ANA, NOW)
    other = Principal("user:ben", Role.OPERATOR)
    examples.confirm("The usual!", Meaning("task.run", {"task": "secret_task"}), "en", other, NOW)
    warm = WarmRouter(Source(loading.load, loading.revision), pause=lambda: None)
    assert warm.router().route("the usual").meaning is None
    examples.remove(AgentExample.objects.get(by="user:ben").pk, other)
    assert warm.refresh()
    assert not warm.refresh()
    assert warm.router().route("the usual").meaning == GREET


def test_examples_are_bounded_and_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "MOST_PER_PERSON", 3)
    for number in range(5):
        examples.confirm(f"sentence {number}", GREET, "en", ANA, NOW + timedelta(seconds=number))
    assert [one.text for one in examples.examples(ANA)] == ["sentence 4", "sentence 3", "sentence 2"]
    ben = Principal("user:ben", Role.OPERATOR)
    assert examples.examples(ben) == []
    with pytest.raises(ExampleUnknown):
        examples.remove(AgentExample.objects.earliest("pk").pk, ben)
    with pytest.raises(NotAllowed):
        examples.confirm("x", GREET, "en", Principal("user:eve", Role.VIEWER), NOW)


def test_the_world_is_what_the_tables_hold_and_its_revision_follows() -> None:
    before = loading.revision()
    world = loading.load()
    assert [(one.name, one.description, one.numbers) for one in world.tasks] == [
        ("greet", "Say hello to the team", ("times",)),
        ("secret_task", "", ()),
    ]
    Device.objects.create(name="pump-1", username="pump-1", password_hash="x", created_at=NOW)
    assert loading.revision() != before
    assert loading.load().devices == ("pump-1",)


def test_loading_takes_few_questions(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(8):
        loading.load()


def test_the_command_line_explains_and_tests() -> None:
    out = StringIO()
    call_command("router", "ask", "don't run greet", stdout=out)
    assert "one of the two is negated" in out.getvalue()
    out = StringIO()
    call_command("router", "test", stdout=out)
    assert "0 wrong" in out.getvalue()
    with pytest.raises(CommandError, match="no example 7"):
        call_command("router", "examples", "remove", "7")


def test_a_golden_set_that_goes_wrong_is_an_exit_status(tmp_path: object) -> None:
    file = tmp_path / "g.yaml"  # type: ignore[operator]
    file.write_text("world: {tasks: [{name: greet}]}\nlines: |\n  run greet = ask\n")
    with pytest.raises(CommandError, match="1 sentences go wrong"):
        call_command("router", "test", str(file), stdout=StringIO())


def test_vectors_are_kept_by_encoder_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    store = DatabaseVectors()
    store.write("e1", {"a": b"12", "b": b"34"})
    store.write("e1", {"a": b"99"})
    assert store.read("e1", ["a", "b", "c"]) == {"a": b"12", "b": b"34"}
    assert store.read("e2", ["a"]) == {}
    monkeypatch.setattr("appliance.inference.embeddings.vectors.MOST_KEPT", 2)
    store.write("e1", {"c": b"56"})
    assert store.read("e1", ["a", "b", "c"]) == {"b": b"34", "c": b"56"}
