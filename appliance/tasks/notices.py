"""Tells people about a question, where they can answer it: in every chat that is linked to somebody who may."""

from datetime import UTC, datetime
from functools import partial

from django.utils.translation import gettext, override

from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.bridges import settling
from appliance.bridges.audience import Chat, chats_of
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.tasks.models import Question


def tell(question: Question, task: str) -> None:
    """Put one message for each chat into the outbox, in the current transaction; they expire with the question."""
    for platform, conversation, language in _chats(task):
        enqueue_now(
            OutboxItem(
                key=f"{_prefix(question)}{question.missed}/{platform}/{conversation}",
                platform=platform,
                conversation=conversation or None,
                message=message(question, task, language),
                # Always the time of the first one: by it all of them are found.
                at=question.asked_at,
                expires_at=question.expires_at,
                priority=10,
            )
        )


def message(question: Question, task: str, language: str) -> JsonObject:
    """The question in words, and its answers as buttons where a platform has them."""
    head, text = _words(question, task, language)
    with override(language):
        labels = ((gettext("Run once"), "run"), (gettext("Run all"), "all"), (gettext("Skip"), "skip"))
    return {
        "text": f"{head}\n{text}",
        "buttons": [{"label": label, "data": f"answer {question.code} {word}"} for label, word in labels],
        "asks": settling.asked(head, language),
    }


def settle(question: Question, choice: str, who: str, now: datetime) -> None:
    """Its messages say what is to become of the missed times, in the current transaction."""
    settling.settle_now(_messages(question), question.state, partial(_answered, choice, who, now), now)


def settle_unanswered(question: Question, now: datetime) -> None:
    """Its messages say that nobody answered in time, in the current transaction."""
    settling.settle_now(_messages(question), question.state, _unanswered, now)


def _prefix(question: Question) -> str:
    return f"question/{question.pk}/"


def _messages(question: Question) -> settling.Where:
    return settling.begun_with(_prefix(question), question.asked_at)


def _answered(choice: str, who: str, at: datetime) -> str:
    words = {
        "run_once": gettext("%(who)s: run once, %(at)s UTC"),
        "run_all": gettext("%(who)s: run all, %(at)s UTC"),
        "skip": gettext("%(who)s: skip, %(at)s UTC"),
    }
    return words[choice] % {"who": who, "at": f"{at.astimezone(UTC):%m-%d %H:%M}"}


def _unanswered() -> str:
    return gettext("Nobody answered in time: those times stay missed.")


def _words(question: Question, task: str, language: str) -> tuple[str, str]:
    """What is asked, and how to answer."""
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
    head, _, how = text.partition("\n")
    return head, how


def _chats(task: str) -> list[Chat]:
    needed = NEEDED[Ability.RUN_TASKS]
    return chats_of([role.value for role in Role if role.covers(needed)], task)
