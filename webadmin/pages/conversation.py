"""A person's conversation with the box as their chat page shows it: what was said, and under it what an agent does."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils.translation import override

from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.agent.assistant import NAME, status
from appliance.agent.conversations import notes as memory
from appliance.agent.conversations import services as talk
from appliance.agent.conversations.domain import NoteState, Speaker
from appliance.agent.conversations.models import AgentMessage, AgentNote
from appliance.agent.conversations.starting import begins_anew
from appliance.agent.explaining.changed import changed_in
from appliance.bridges import chats
from appliance.bridges.models import ChatRecord
from appliance.processes.part_checks import nobody_answers
from appliance.runs.models import Run
from appliance.tasks.models import Task
from webadmin.pages.agents import AgentPart, agent_parts
from webadmin.pages.feed import Said, said
from webadmin.pages.paging import PAGE, cut

MOST_CARDS = 12
"""Runs of agents that are shown in place; older ones have a link."""
MOST_ELSEWHERE = 100
_KEY = re.compile(rf"chat/{chats.WEBCHAT}/message-(\d+)/")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message: of the web chat (``said``), or of the same conversation on another platform (``elsewhere``).

    ``run_id`` is the run that it has started, ``agents`` what those of it do.
    """

    at: datetime
    said: Said | None = None
    elsewhere: AgentMessage | None = None
    run_id: UUID | None = None
    agents: tuple[AgentPart, ...] = ()

    @property
    def begins_anew(self) -> bool:
        """It is the line between what was said before and what the agent is told."""
        return self.elsewhere is not None and begins_anew(self.elsewhere)


@dataclass(frozen=True, slots=True)
class Note:
    row: AgentNote
    theirs: bool
    """Whether the person who looks decides about it."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said, oldest first; ``next`` begins the page of older ones. ``live``: the runs that are under way."""

    entries: list[Entry]
    next: object | None
    number: int | None
    live: list[UUID]


def conversation_of(user: User, before: int | None) -> Conversation:
    """One page of it: a constant number of queries."""
    rows, following = cut(chats.conversation(user, before=before, limit=PAGE + 1))
    kept = _kept(user)
    runs = _runs(rows, kept)
    parts = _parts(user, [*runs.values()])
    entries = [
        *_of_webchat(rows, runs, parts, user.principal),
        *_elsewhere(rows, kept, parts, older=following is not None),
    ]
    working = [one.view for own in parts.values() for one in own if one.view.live]
    live = [run_id for view in working for run_id in (view.task_run, view.run_id)]
    number = kept[0].conversation_id if kept else None
    return Conversation(sorted(entries, key=lambda one: one.at), following, number, live)


def _kept(user: User) -> list[AgentMessage]:
    """What an agent is told of, newest first: it follows the person through all platforms."""
    if not user.can(Ability.CHAT):
        return []
    own = talk.own(user.principal)
    return talk.messages(user.principal, own.pk, limit=MOST_ELSEWHERE) if own else []


def _runs(rows: Sequence[ChatRecord], kept: Sequence[AgentMessage]) -> dict[int, UUID]:
    """The run that each message of the web chat has started."""
    shown = {row.pk for row in rows}
    found: dict[int, UUID] = {}
    for one in kept:
        key = _KEY.match(one.key)
        if one.run_id and one.speaker == Speaker.PERSON and key and int(key[1]) in shown:
            found[int(key[1])] = one.run_id
    return found


def _parts(user: User, run_ids: Sequence[UUID]) -> dict[UUID, tuple[AgentPart, ...]]:
    runs = list(Run.objects.filter(pk__in=sorted(run_ids)[-MOST_CARDS:])) if run_ids else []
    found: dict[UUID, tuple[AgentPart, ...]] = {run.pk: () for run in runs}
    tasks = dict(Task.objects.filter(pk__in={run.task_id for run in runs}).values_list("pk", "name"))
    names = {run.pk: tasks.get(run.task_id, "") for run in runs}
    for part in agent_parts(runs, user.principal):
        around = part.view.task_run
        found[around] = (*found[around], replace(part, task=names[around]))
    return found


def _of_webchat(
    rows: Sequence[ChatRecord], runs: dict[int, UUID], parts: dict[UUID, tuple[AgentPart, ...]], by: Principal
) -> Iterator[Entry]:
    taken = {f"cancel {run_id}" for run_id in runs.values() if parts.get(run_id)}
    told = _told_by_cards(parts)
    for one in said(rows, by):
        if not one.row.inbound and one.text in told:
            one = replace(one, text=told[one.text])
        # That the box looks into it says the card, which has its button too.
        if not one.row.inbound and any(button.get("data") in taken for button in one.buttons):
            continue
        run_id = runs.get(one.row.pk)
        yield Entry(
            one.row.created_at, said=one, run_id=run_id, agents=parts.get(run_id, ()) if run_id else ()
        )


def _told_by_cards(parts: dict[UUID, tuple[AgentPart, ...]]) -> dict[str, str]:
    """Answers as messages have them, without what was changed: the card above says that."""
    found: dict[str, str] = {}
    answers = [one.view.answer for own in parts.values() for one in own if one.view.answer]
    for language, _ in settings.LANGUAGES:
        with override(language):
            for one in answers:
                if text := one.text.strip():
                    found[f"{text}\n\n{changed_in(one.read_back)}"] = text
    return found


def _elsewhere(
    rows: Sequence[ChatRecord],
    kept: Sequence[AgentMessage],
    parts: dict[UUID, tuple[AgentPart, ...]],
    *,
    older: bool,
) -> Iterator[Entry]:
    """What was said on other platforms in the time that this page shows."""
    since = rows[-1].created_at if rows and older else None
    for one in kept:
        if one.platform != chats.WEBCHAT and (since is None or one.at >= since):
            yield Entry(one.at, elsewhere=one, run_id=one.run_id)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the agent is to keep to, and what it wants to remember."""

    proposed: list[Note]
    accepted: list[Note]
    standing: list[Note]


def memory_of(user: User) -> Memory:
    by = user.principal
    found = (
        [Note(row, memory.may_review(by, row)) for row in memory.notes(by)] if user.can(Ability.CHAT) else []
    )
    return Memory(
        *(
            [one for one in found if one.row.state == state]
            for state in (NoteState.PROPOSED, NoteState.ACCEPTED, NoteState.STANDING)
        )
    )


@dataclass(frozen=True, slots=True)
class Listener:
    """Who takes what nothing else understood. ``shipped``: the assistant that ships is there, though switched off.

    ``mute``: no model answers now.
    """

    task: str
    shipped: bool
    may_switch: bool
    mute: bool


def listener_of(user: User, now: datetime) -> Listener:
    task = talk.assistant_here()
    shipped = status(user.principal).present
    may_switch = user.principal.can(Ability.EDIT_TASKS, task=NAME)
    return Listener(task, shipped, may_switch, bool(task) and nobody_answers(now))
