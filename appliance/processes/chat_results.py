"""How a run that somebody started in a chat ended, told in the same conversation, once.

What its agents answer is told as they answer (``agent.conversations.keeping``); here only what was not: where the
conversation was forgotten meanwhile. A run that ends well after an answer says nothing more.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext, override
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.agent.conversations.keeping import end_of, keep_failure
from appliance.agent.conversations.telling import PRIORITY, Place, answers_in, item_of
from appliance.bridges.ports import ChatSender
from appliance.lib.clock import Clock
from appliance.lib.identity import time_of
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from appliance.processes import run_reasons
from appliance.processes.chat_waiting import tell_waiting
from appliance.processes.models import ChatStart
from appliance.runs.domain import FINAL, RunState
from appliance.runs.lending import lent
from appliance.runs.naming import SHORT

KEPT = timedelta(days=30)
"""A run that has not ended by then is not waited for in a chat any more."""
MOST = 200
_FINAL = [one.value for one in FINAL]
_ANY = "SELECT EXISTS (SELECT 1 FROM processes_chatstart)"
_ENDED = """
DELETE FROM processes_chatstart WHERE run_id IN (
    SELECT c.run_id FROM processes_chatstart c JOIN runs_run r ON r.id = c.run_id
    WHERE r.state = ANY(%(final)s) ORDER BY c.at LIMIT %(most)s FOR UPDATE OF c SKIP LOCKED)
RETURNING run_id, platform, conversation, language, answers, (
    SELECT jsonb_build_object('state', r.state, 'reason', r.reason, 'at', r.finished_at, 'task',
        (SELECT t.name FROM tasks_task t WHERE t.id = r.task_id))
    FROM runs_run r WHERE r.id = processes_chatstart.run_id) AS run
"""
_OLD = """
DELETE FROM processes_chatstart c WHERE c.at < %(before)s
RETURNING c.run_id, EXISTS (
    SELECT 1 FROM runs_run r WHERE r.id = c.run_id AND NOT r.state = ANY(%(final)s)) AS goes_on
"""


def expect(run_id: UUID, sender: ChatSender, language: str, now: datetime, *, answers: bool = False) -> None:
    """Its end is to be told where it was asked for; ``answers``: what its agents come to, in place of that.

    The same run a second time changes nothing.
    """
    ChatStart.objects.get_or_create(
        run_id=run_id,
        defaults={
            "platform": sender.platform,
            "conversation": sender.conversation,
            "language": language,
            "answers": answers,
            "at": now,
        },
    )


class ChatResults:
    """The row goes in the transaction that writes the message; its key names the run, so that it is one message."""

    EVERY = 1.0

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def tick(self) -> None:
        async with lent(self._pool) as connection:
            row = await (await connection.execute(_ANY)).fetchone()
            if row is None or not row[0]:
                return
            async with connection.transaction():
                await tell_waiting(connection)
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute(_ENDED, {"final": _FINAL, "most": MOST})
                ended = await cursor.fetchall()
                await end_of(connection, [told["run_id"] for told in ended if told["answers"]])
                for told in ended:
                    await self._tell(connection, told)
                await self._give_up(connection)

    async def _give_up(self, connection: AsyncConnection[Any]) -> None:
        """What is too old is told no more. Where its run has ended, or its row is gone, it is over all the same."""
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(_OLD, {"before": self._clock.now() - KEPT, "final": _FINAL})
        await end_of(connection, [row["run_id"] for row in await cursor.fetchall() if not row["goes_on"]])

    async def _tell(self, connection: AsyncConnection[Any], told: dict[str, Any]) -> None:
        answered = bool(told["answers"]) and await _answer(connection, told)
        if answered and str(told["run"]["state"]) == RunState.SUCCEEDED:
            return
        await enqueue(connection, _item(told))
        if told["answers"]:
            task = told["run"]["task"] or ""
            await keep_failure(connection, told["run_id"], task, _text(told), self._clock.now())


async def _answer(connection: AsyncConnection[Any], told: dict[str, Any]) -> bool:
    """Whether agents have answered; what of that was not told yet is told."""
    found = await answers_in(connection, told["run_id"], told["run"]["task"] or "")
    place = Place(told["platform"], told["conversation"], told["language"])
    for answer, kept in found:
        if not kept:
            await enqueue(connection, item_of(answer, place, told["run_id"]))
    return bool(found)


def _item(told: dict[str, Any]) -> OutboxItem:
    return OutboxItem(
        key=f"chat-result/{told['run_id']}",
        platform=told["platform"],
        conversation=told["conversation"],
        message={"text": _text(told)},
        at=_ended_at(told),
        priority=PRIORITY,
    )


def _ended_at(told: dict[str, Any]) -> datetime:
    """It comes after what was said when the run began, where both wait for the platform; the same each time."""
    ended = told["run"]["at"]
    return datetime.fromisoformat(ended) if isinstance(ended, str) else time_of(told["run_id"])


def _text(told: dict[str, Any]) -> str:
    text = text_of(told["run_id"], told["run"], told["language"])
    if not told["answers"] or str(told["run"]["state"]) not in (RunState.FAILED, RunState.POISONED):
        return text
    with override(told["language"]):
        return f"{text}\n{gettext('Without a model I understand: status, tasks, run, runs, help.')}"


def _names(run_id: UUID, run: dict[str, Any]) -> dict[str, str]:
    return {"task": run["task"] or "", "run": str(run_id)[-SHORT:]}


def text_of(run_id: UUID, run: dict[str, Any], language: str) -> str:
    """The end in one sentence, with its reason where it was no good one."""
    with override(language):
        words = {
            RunState.SUCCEEDED.value: gettext("%(task)s is done: run %(run)s."),
            RunState.CANCELLED.value: gettext("%(task)s was ended: run %(run)s."),
            RunState.UNDONE.value: gettext("%(task)s was undone: run %(run)s."),
        }
        said = words.get(str(run["state"]), gettext("%(task)s failed: run %(run)s."))
        text = said % _names(run_id, run)
        reason = run_reasons.said(str(run["reason"] or "")) if run["state"] != RunState.SUCCEEDED else ""
    return f"{text} {reason}".strip()
