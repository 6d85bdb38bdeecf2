"""Tells people about a question, where they can answer it: in every chat that is linked to somebody who may."""

from datetime import UTC, datetime

from django.utils.translation import gettext, override

from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.bridges.audience import Chat, chats_of
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.tasks.models import Question


def tell(question: Question, task: str, now: datetime) -> None:
    """Put one message for each chat into the outbox, in the current transaction; they expire with the question."""
    for platform, conversation, language in _chats(task):
        enqueue_now(
            OutboxItem(
                key=f"question/{question.pk}/{question.missed}/{platform}/{conversation}",
                platform=platform,
                conversation=conversation or None,
                message=message(question, task, language),
                at=now,
                expires_at=question.expires_at,
                priority=10,
            )
        )


def message(question: Question, task: str, language: str) -> JsonObject:
    """The question in words, and its answers as buttons where a platform has them."""
    first, last = (datetime.fromisoformat(question.dues[at]).astimezone(UTC) for at in (0, -1))
    with override(language):
        text = gettext(
            "%(task)s missed %(missed)d time(s), from %(first)s to %(last)s UTC.\n"
            "Until %(until)s UTC, write one of:\n"
            "answer %(code)s run - run it once\n"
            "answer %(code)s all - run each missed time\n"
            "answer %(code)s skip - leave it"
        ) % {
            "task": task,
            "missed": question.missed,
            "first": f"{first:%m-%d %H:%M}",
            "last": f"{last:%m-%d %H:%M}",
            "until": f"{question.expires_at.astimezone(UTC):%m-%d %H:%M}",
            "code": question.code,
        }
        labels = ((gettext("Run once"), "run"), (gettext("Run all"), "all"), (gettext("Skip"), "skip"))
    return {
        "text": text,
        "buttons": [{"label": label, "data": f"answer {question.code} {word}"} for label, word in labels],
    }


def _chats(task: str) -> list[Chat]:
    needed = NEEDED[Ability.RUN_TASKS]
    return chats_of([role.value for role in Role if role.covers(needed)], task)
