"""``misfire: ask``: a durable question, told in every chat of somebody who may, answered exactly once."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.bridges.commands import parse_command
from appliance.bridges.models import ChatIdentity, Platform
from appliance.bridges.ports import ChatSender
from appliance.processes.chat import ChatCommands
from appliance.runs.models import Run
from appliance.tasks import doors
from appliance.tasks.models import Occurrence, Question
from appliance.tasks.questions import Choice, QuestionNotOpen, expire, open_questions
from appliance.tasks.services import apply_text, set_enabled
from tests.database import emptied
from tests.integration.tasks.test_firing import NOON, look, minutely, occurrences

HOUR = timedelta(hours=1)
ANA, BEN = Principal("user:ana", Role.OPERATOR), Principal("user:ben", Role.ENGINEER)
LATER = NOON + 3 * HOUR + HOUR / 2


def hourly(misfire: str = "ask", **keys: str) -> str:
    return minutely(misfire, **keys).replace("* * * * *", "0 * * * *")


@pytest.fixture
def asked() -> Question:
    """Three hours were missed, and people are asked."""
    apply_text(hourly(), "t.yaml", BOX, NOON)
    assert look(LATER) == []
    return Question.objects.get()


def runs() -> list[tuple[str, str, datetime]]:
    rows = Run.objects.order_by("id")
    return [(run.state, run.principal, datetime.fromisoformat(run.inputs["event"]["due_at"])) for run in rows]


def test_missed_times_ask_once_and_start_nothing(asked: Question) -> None:
    assert (asked.missed, asked.state) == (3, "open")
    assert [datetime.fromisoformat(text) for text in asked.dues] == [NOON + n * HOUR for n in (1, 2, 3)]
    assert asked.expires_at == LATER + timedelta(days=1)
    assert occurrences() == [(NOON + n * HOUR, "missed", False) for n in (1, 2, 3)]


def test_a_second_outage_goes_into_the_open_question(asked: Question) -> None:
    look(LATER + 2 * HOUR)
    asked.refresh_from_db()
    assert (Question.objects.count(), asked.missed, len(asked.dues)) == (1, 5, 5)


def test_run_once_starts_the_newest_on_the_authority_of_who_said_so(asked: Question) -> None:
    answered = doors.answer_question(asked.code.lower(), Choice.RUN_ONCE, ANA, LATER)
    assert runs() == [("queued", "user:ana", NOON + 3 * HOUR)]
    newest = Occurrence.objects.order_by("-due_at")[0]
    assert (newest.run_id, newest.state) == (answered.runs[0], "missed")
    assert newest.reason == "missed; user:ana said run_once"


@pytest.mark.parametrize(
    ("by", "led"), [("user:ana", ("manual",)), ("token:ana/ci", ("api",)), ("mqtt:press", ("mqtt", "manual"))]
)
def test_what_is_made_up_for_is_judged_by_how_it_was_answered_too(
    asked: Question, by: str, led: tuple[str, ...]
) -> None:
    doors.answer_question(asked.code, Choice.RUN_ONCE, Principal(by, Role.OPERATOR), LATER)
    assert led_to() == {led}


def led_to() -> set[tuple[str, ...]]:
    """The origins before their own of all runs."""
    return {tuple(run.inputs["origins"]) for run in Run.objects.filter(origin="cron")}


def test_run_all_starts_them_in_order_one_after_another(asked: Question) -> None:
    answered = doors.answer_question(asked.code, Choice.RUN_ALL, ANA, LATER)
    assert [(state, due) for state, _, due in runs()] == [
        ("queued", NOON + HOUR),
        ("waiting", NOON + 2 * HOUR),
        ("waiting", NOON + 3 * HOUR),
    ]
    assert len(answered.runs) == 3


def test_skip_leaves_them_missed_and_closes_the_question(asked: Question) -> None:
    doors.answer_question(asked.code, Choice.SKIP, ANA, LATER)
    assert (runs(), open_questions(LATER)) == ([], [])
    assert [state for _, state, _ in occurrences()] == ["missed"] * 3


def test_the_first_answer_decides_and_the_second_is_told_whose_it_was(asked: Question) -> None:
    doors.answer_question(asked.code, Choice.SKIP, ANA, LATER)
    with pytest.raises(QuestionNotOpen, match=r"user:ana has answered .* already: skip"):
        doors.answer_question(asked.code, Choice.RUN_ALL, BEN, LATER)
    assert runs() == []


def test_people_who_answer_at_the_same_moment_start_it_once(asked: Question) -> None:
    barrier = threading.Barrier(6)
    won: list[str] = []

    def person(number: int) -> None:
        try:
            barrier.wait(10)
            by = Principal(f"user:p{number}", Role.OPERATOR)
            doors.answer_question(asked.code, Choice.RUN_ONCE, by, LATER)
            won.append(by.name)
        except QuestionNotOpen:
            pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(person, number) for number in range(6)]:
            future.result(60)
    assert [principal for _, principal, _ in runs()] == won
    assert len(won) == 1


def test_the_same_command_handled_again_after_a_crash_changes_nothing(asked: Question) -> None:
    first = doors.answer_question(asked.code, Choice.RUN_ONCE, ANA, LATER, key="chat/x/1/0")
    again = doors.answer_question(asked.code, Choice.RUN_ONCE, ANA, LATER, key="chat/x/1/0")
    assert (first, len(runs())) == (again, 1)


def test_it_expires_with_valid_for_and_what_became_too_old_does_not_run() -> None:
    apply_text(hourly(valid_for="2h"), "t.yaml", BOX, NOON)
    look(LATER)
    (question,) = open_questions(LATER)
    assert [datetime.fromisoformat(text) for text in question.dues] == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert question.expires_at == NOON + 5 * HOUR
    assert Occurrence.objects.get(due_at=NOON + HOUR).reason.endswith("too late by now")
    at = NOON + 4 * HOUR + HOUR / 2
    doors.answer_question(question.code, Choice.RUN_ALL, ANA, at)
    assert [due for _, _, due in runs()] == [NOON + 3 * HOUR]


def test_nobody_answers_in_time(asked: Question) -> None:
    late = asked.expires_at
    with pytest.raises(QuestionNotOpen, match="has expired"):
        doors.answer_question(asked.code, Choice.RUN_ALL, ANA, late)
    doors.look_at_all(late)
    asked.refresh_from_db()
    assert (asked.state, runs()) == ("expired", [])


def test_who_may_not_run_tasks_may_not_answer(asked: Question) -> None:
    with pytest.raises(NotAllowed):
        doors.answer_question(asked.code, Choice.SKIP, Principal("user:eve", Role.VIEWER), LATER)
    assert len(open_questions(LATER)) == 1


def test_a_task_that_is_off_runs_nothing_and_the_question_stays(asked: Question) -> None:
    set_enabled("t", False, BOX, LATER)
    with pytest.raises(QuestionNotOpen, match="switched off"):
        doors.answer_question(asked.code, Choice.RUN_ONCE, ANA, LATER)
    assert len(open_questions(LATER)) == 1


def test_a_trigger_that_is_gone_asks_nobody_any_more(asked: Question) -> None:
    apply_text(hourly().replace("id: tick", "id: tock"), "t.yaml", BOX, LATER)
    assert open_questions(LATER) == []


def test_it_is_on_the_audit_record_who_was_asked_and_who_answered(asked: Question) -> None:
    doors.answer_question(asked.code, Choice.RUN_ONCE, ANA, LATER)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, principal FROM audit_record WHERE subject = %s ORDER BY seq", [asked.code]
        )
        assert cursor.fetchall() == [("misfire.asked", "box"), ("misfire.answered", "user:ana")]


@pytest.fixture
def person() -> Callable[..., User]:
    def make(name: str, role: Role, conversation: str, language: str = "en", platform: str = "tg") -> User:
        user = User.objects.create(username=name, role=role.value, language=language)
        ChatIdentity.objects.create(
            platform=platform,
            user_id=name,
            person=user,
            last_conversation=conversation,
            first_seen=NOON,
            last_seen=NOON,
        )
        return user

    return make


def messages() -> dict[tuple[str, str], dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT platform, coalesce(conversation, ''), message FROM outbox_item")
        return {(row[0], row[1]): json.loads(row[2]) for row in cursor.fetchall()}


def test_everybody_who_may_run_it_is_asked_in_their_chat_and_language(person: Callable[..., User]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(emptied("outbox_item"))
    Platform.objects.create(name="tg", kind="telegram")
    person("ana", Role.OPERATOR, "c1")
    person("wei", Role.ENGINEER, "c2", "zh-hans")
    person("eve", Role.VIEWER, "c3")
    person("old", Role.ADMIN, "c4", platform="gone")
    apply_text(hourly(), "t.yaml", BOX, NOON)
    look(LATER)
    said = messages()
    assert set(said) == {("webchat", ""), ("tg", "c1"), ("tg", "c2")}
    code = Question.objects.get().code
    assert f"answer {code} run" in said["tg", "c1"]["text"]
    assert "错过" in said["tg", "c2"]["text"]
    assert [button["data"] for button in said["tg", "c1"]["buttons"]] == [
        f"answer {code} {word}" for word in ("run", "all", "skip")
    ]


@pytest.mark.parametrize(
    ("text", "said", "started"),
    [
        ("answer {code} run", "t: 1 run started.", 1),
        ("/ANSWER {code} all", "t: 3 runs started.", 3),
        ("answer {code} skip", "t: the missed times stay missed.", 0),
        ("回答 {code} 运行", "t：已启动 1 个运行。", 1),
        ("answer {code} maybe", "Write answer, the code, and one of run, all or skip.", 0),
        ("answer XXXXX run", "there is no question 'XXXXX'", 0),
    ],
)
def test_a_person_answers_by_chat(
    asked: Question, person: Callable[..., User], text: str, said: str, started: int
) -> None:
    user = person("ana", Role.OPERATOR, "c1")
    command = parse_command(text.format(code=asked.code), key="k", received_at=LATER)
    sender = ChatSender(user.pk, "ana", "tg", "ana", "c1")
    assert ChatCommands()._answer(command, sender) == said
    assert len(runs()) == started
    assert led_to() == {("chat",)} if started else not led_to()


def settled() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT message ->> 'text' FROM outbox_item WHERE message ? 'settles' ORDER BY seq")
        return [row[0] for row in cursor.fetchall()]


def delivered() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_item SET state = 'delivered', attempts = 1 WHERE state = 'pending'")


def test_what_was_answered_stands_in_every_message_that_asked(asked: Question) -> None:
    delivered()
    look(LATER + 2 * HOUR)
    delivered()
    doors.answer_question(asked.code, Choice.SKIP, ANA, LATER)
    first, second = settled()
    assert "missed 3 time(s)" in first
    assert "missed 5 time(s)" in second
    assert first.endswith(f"ana: skip, {LATER:%m-%d %H:%M} UTC")
    assert asked.code not in first


def test_what_nobody_answered_says_so_in_its_message(asked: Question) -> None:
    delivered()
    expire(LATER + timedelta(days=2))
    (text,) = settled()
    assert text.endswith("Nobody answered in time: those times stay missed.")
