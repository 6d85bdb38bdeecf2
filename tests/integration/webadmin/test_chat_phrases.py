"""A sentence in a chat starts its task once, as the person who said it, and whoever said it learns what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import Answer, ChatSender
from appliance.lib.clock import SystemClock
from appliance.outbox.models import OutboxRow
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_results import ChatResults
from appliance.processes.models import ChatStart
from appliance.runs.models import Run
from appliance.tasks.models import NotTriggered, Occurrence, TaskTrigger
from appliance.tasks.services import apply_text, set_enabled
from tests.chat_desk import open_pool
from tests.integration.bridges.conftest import in_thread

NOW = datetime.now(UTC)
ACTIONS = "\nactions: [{id: a, type: wait, duration: 1h}]\n"
PUMP = (
    'name: pump\ntriggers: [{id: say, chat: {patterns: ["restart pump {pump}", "重启{pump}号泵"]MORE}WHEN}]'
)
pytestmark = pytest.mark.django_db(transaction=True)


def write(text: str = PUMP, more: str = "", when: str = "", actions: str = ACTIONS) -> None:
    apply_text(text.replace("MORE", more).replace("WHEN", when) + actions, "t.yaml", CONSOLE, NOW)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="x" * 12, role=Role.OPERATOR)


@pytest.fixture
def desk() -> ChatCommands:
    return ChatCommands()


def hear(desk: ChatCommands, person: User, text: str, key: str = "", platform: str = "telegram") -> Answer:
    command = parse_command(text, key=key or f"chat/{text}", received_at=NOW)
    sender = ChatSender(person.pk, person.username, platform, "7", "c7")
    answer = desk._done(command, sender)
    return answer if isinstance(answer, Answer) else Answer("")


def say(desk: ChatCommands, person: User, text: str, **more: str) -> str:
    command = parse_command(text, key=more.get("key") or f"chat/{text}", received_at=NOW)
    sender = ChatSender(person.pk, person.username, more.get("platform", "telegram"), "7", "c7")
    return desk._answer(command, sender)


def test_it_starts_the_task_as_the_person_and_by_chat(ann: User, desk: ChatCommands) -> None:
    write()
    answer = hear(desk, ann, "/Restart  pump Ｐ3")
    run = Run.objects.get()
    assert (run.principal, run.origin, run.trigger) == ("user:ann", "chat", "say")
    assert answer.text == f"pump has started: run {str(run.pk)[-8:]}."
    assert run.inputs["captures"] == {"pump": "P3"}
    assert run.inputs["payload"] == {
        "text": "Restart pump P3",
        "platform": "telegram",
        "conversation": "c7",
        "person": "ann",
    }
    occurrence = Occurrence.objects.get()
    assert (occurrence.run_id, occurrence.state, occurrence.trigger) == (run.pk, "fired", "say")
    assert TaskTrigger.objects.get(trigger="say").fired == 1
    assert [one.data for one in answer.buttons] == [f"cancel {run.pk}"]


def test_the_same_message_handled_again_starts_no_second_run(ann: User, desk: ChatCommands) -> None:
    write()
    write(PUMP.replace("name: pump", "name: other").replace("restart pump", "restart the pump"))
    first = say(desk, ann, "restart pump 3", key="k")
    assert say(desk, ann, "restart pump 3", key="k") == first
    # Another task has the sentence by then.
    set_enabled("pump", False, CONSOLE, NOW)
    write(PUMP.replace("name: pump", "name: other"))
    assert say(desk, ann, "restart pump 3", key="k") == first
    assert Run.objects.count() == Occurrence.objects.count() == 1
    assert say(desk, ann, "restart pump 3", key="k2").startswith("other has started")


def test_who_may_not_start_it_is_told_and_nothing_happens(desk: ChatCommands) -> None:
    write()
    viewer = User.objects.create_user("vic", password="x" * 12, role=Role.VIEWER)
    assert "vic" in say(desk, viewer, "restart pump 3")
    assert not Run.objects.exists()
    assert not Occurrence.objects.exists()
    assert "restart pump" not in say(desk, viewer, "help")


def test_a_when_that_says_no_is_told_and_traced(ann: User, desk: ChatCommands) -> None:
    write(when=", when: '{{ pump == \"3\" }}'")
    assert say(desk, ann, "restart pump 4") == 'pump was not started: when said no: {{ pump == "3" }}'
    assert not Run.objects.exists()
    trace = NotTriggered.objects.get()
    assert trace.event["payload"]["text"] == "restart pump 4"
    assert TaskTrigger.objects.get(trigger="say").refused == 1
    assert say(desk, ann, "restart pump 3").startswith("pump has started")


def test_two_tasks_that_may_be_meant_are_named_and_none_starts(ann: User, desk: ChatCommands) -> None:
    write()
    write(PUMP.replace("name: pump", "name: twin"))
    assert "pump, twin" in say(desk, ann, "重启3号泵")
    assert not Run.objects.exists()
    write('name: best\ntriggers: [{chat: "restart pump 3"}]')
    assert say(desk, ann, "restart pump 3").startswith("best has started")


def test_the_task_says_what_is_answered(ann: User, desk: ChatCommands) -> None:
    write(more=', answer: "Pump {{ pump }} restarts, {{ payload.person }}"')
    assert say(desk, ann, "重启3号泵") == "Pump 3 restarts, ann"


def test_a_change_counts_from_the_next_message_on(ann: User, desk: ChatCommands) -> None:
    write()
    assert say(desk, ann, "restart pump 1").startswith("pump has started")
    set_enabled("pump", False, CONSOLE, NOW)
    assert say(desk, ann, "restart pump 2") == ""
    set_enabled("pump", True, CONSOLE, NOW)
    write(PUMP.replace("restart pump", "begin pump").replace("重启", "再启"))
    assert say(desk, ann, "restart pump 3") == ""
    assert Run.objects.count() == 1


def test_the_limit_of_a_task_is_told(ann: User, desk: ChatCommands) -> None:
    write(actions="\nlimit: {runs: 1, per: 1h}" + ACTIONS)
    assert say(desk, ann, "restart pump 1").startswith("pump has started")
    assert say(desk, ann, "restart pump 2").startswith("pump was not started: ")
    assert Run.objects.count() == 1


def test_help_lists_what_this_person_may_say_here(ann: User, desk: ChatCommands) -> None:
    write(more=", platform: telegram")
    lines = say(desk, ann, "help").splitlines()
    assert lines[-3:] == [
        "Sentences that start tasks:",
        "restart pump {pump} - pump",
        "重启{pump}号泵 - pump",
    ]
    assert "restart pump" not in say(desk, ann, "help", platform="webchat")
    for number in range(10):
        write(PUMP.replace("name: pump", f"name: p{number}"))
    assert say(desk, ann, "帮助").splitlines()[-1] == "还有 12 个"


async def test_the_end_is_told_in_the_same_conversation_once(ann: User, desk: ChatCommands) -> None:
    def begin() -> Any:
        write()
        say(desk, ann, "restart pump 3")
        say(desk, ann, "运行 pump")
        return [Run.objects.get(trigger=one).pk for one in ("say", "chat")]

    def ended(run_id: Any, state: str, reason: str) -> None:
        done = NOW + timedelta(minutes=1)
        Run.objects.filter(pk=run_id).update(state=state, reason=reason, finished_at=done)

    def told() -> list[tuple[str, str, str]]:
        rows = OutboxRow.objects.order_by("created_at", "id")
        return sorted((one.platform, one.conversation or "", one.message["text"]) for one in rows)

    by_sentence, by_name = await in_thread(begin)
    async with open_pool() as pool:
        results = ChatResults(pool, SystemClock())
        await results.tick()
        assert await in_thread(told) == []
        await in_thread(ended, by_sentence, "succeeded", "")
        await in_thread(ended, by_name, "failed", "the pump is gone")
        await results.tick()
        await results.tick()
    assert sorted(text for _, _, text in await in_thread(told)) == sorted(
        [
            f"pump is done: run {str(by_sentence)[-8:]}.",
            f"pump 失败了：运行 {str(by_name)[-8:]}。 the pump is gone",
        ]
    )
    assert {one[:2] for one in await in_thread(told)} == {("telegram", "c7")}
    assert await in_thread(ChatStart.objects.count) == 0


def test_lists_have_buttons_for_what_this_person_may_do(ann: User, desk: ChatCommands) -> None:
    write()
    write("name: drain\ntriggers: [manual]")
    set_enabled("drain", False, CONSOLE, NOW)
    assert [one.data for one in hear(desk, ann, "tasks").buttons] == ["run pump"]
    say(desk, ann, "restart pump 3")
    run = Run.objects.get()
    assert [(one.label, one.data) for one in hear(desk, ann, "runs").buttons] == [
        (f"Cancel {str(run.pk)[-8:]}", f"cancel {run.pk}")
    ]
    assert [one.data for one in hear(desk, ann, "status").buttons] == ["status", "tasks", "runs"]
    viewer = User.objects.create_user("vic", password="x" * 12, role=Role.VIEWER)
    assert hear(desk, viewer, "tasks").buttons == hear(desk, viewer, "runs").buttons == ()
    say(desk, ann, f"cancel {run.pk}")
    assert hear(desk, ann, "runs").buttons == ()
