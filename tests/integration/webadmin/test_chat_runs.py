"""What chat says of tasks and runs, to whom, and how one is ended."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.bridges.audience import chats_of
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender
from appliance.processes.chat import ChatCommands
from appliance.runs.models import Run
from appliance.runs.services import start_task
from appliance.tasks.services import apply_text, set_enabled

NOW = datetime.now(UTC)
TASK = "name: {0}\ntriggers: [manual]\nactions: [{{id: a, type: wait, duration: 1h}}]\n"
LISTENS = """
name: talks
triggers: [{chat: {otherwise: true}}]
actions: [{id: a, type: set, value: x}]
"""
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann() -> User:
    for name in ("fill", "drain"):
        apply_text(TASK.format(name), "t.yaml", CONSOLE, NOW)
    set_enabled("drain", False, CONSOLE, NOW)
    return User.objects.create_user("ann", password="x" * 12, role=Role.OPERATOR)


def say(person: User, text: str) -> str:
    command = parse_command(text, key=f"k/{text}", received_at=NOW)
    sender = ChatSender(person.pk, person.username, "telegram", "7", "7")
    return ChatCommands()._answer(command, sender)


def started(name: str = "fill") -> UUID:
    return start_task(name, CONSOLE, NOW)


def test_tasks_are_listed_with_those_that_are_off(ann: User) -> None:
    assert say(ann, "tasks") == "drain (switched off)\nfill"
    assert say(ann, "任务") == "drain（已停用）\nfill"


def test_runs_are_listed_newest_first_and_by_task(ann: User) -> None:
    first, second = started(), started("drain")
    assert say(ann, "runs").splitlines() == [
        f"{str(second)[-8:]} drain queued",
        f"{str(first)[-8:]} fill queued",
    ]
    assert say(ann, "runs fill") == f"{str(first)[-8:]} fill queued"
    assert say(ann, "runs nothing") == "There are no such runs."


def test_a_run_is_ended_by_the_end_of_its_number(ann: User) -> None:
    run = started()
    assert say(ann, f"cancel {str(run)[-8:].upper()}") == f"Run {str(run)[-8:]} is being ended."
    assert Run.objects.get(pk=run).state == "cancelled"
    assert "No single open run" in say(ann, f"cancel {str(run)[-8:]}")
    assert "has ended already" in say(ann, f"cancel {run}")


@pytest.mark.parametrize("given", ["", "1", "%%%%%%%%", "'; drop"])
def test_what_names_no_run_is_explained(ann: User, given: str) -> None:
    assert "eight characters" in say(ann, f"cancel {given}")


REFUSED = (
    "取消 00000000",
    "取消 什么",
    "笔记 接受 99",
    "运行 无此任务",
    "回答 K7Q2M 运行",
    "批准 K7Q2MX",
    "笔记 结束 x",
)


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_in_a_chinese_chat_is_said_in_chinese(ann: User, words: str) -> None:
    apply_text(LISTENS, "l.yaml", CONSOLE, NOW)
    said = say(ann, words)
    assert not re.search(r"[a-z]{3,}", said.replace("fill", "").replace("drain", "").replace("talks", "")), (
        said
    )
    assert re.search(r"[\u4e00-\u9fff]", said)


def test_the_states_of_runs_and_who_may_not_are_said_in_chinese(ann: User) -> None:
    run = started()
    assert say(ann, "记录") == f"{str(run)[-8:]} fill 排队"
    viewer = User.objects.create_user("vic", password="x" * 12, role=Role.VIEWER)
    assert say(viewer, f"取消 {run}") == "user:vic 在 fill 上的角色是查看者，不足以“取消运行”"


def test_the_feed_is_told_in_the_language_that_most_people_have(ann: User) -> None:
    assert chats_of(["engineer"]) == [("webchat", "", "en")]
    for name in ("li", "wu"):
        User.objects.create_user(name, password="x" * 12, role=Role.VIEWER, language="zh-hans")
    assert chats_of(["engineer"]) == [("webchat", "", "zh-hans")]


def test_a_viewer_ends_nothing(ann: User) -> None:
    viewer = User.objects.create_user("vic", password="x" * 12, role=Role.VIEWER)
    run = started()
    assert Run.objects.get(pk=run).state == "queued"
    assert "not" in say(viewer, f"cancel {run}")
    assert Run.objects.get(pk=run).state == "queued"
