"""Sentences in a chat that are no commands: answered, or asked back, by what the router takes them for."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.agent.router import loading
from appliance.agent.router.answers import AnswerCache
from appliance.agent.router.domain import Effect, Intent, Meaning, SlotType
from appliance.agent.router.examples import confirm
from appliance.agent.router.lexicon import Name
from appliance.agent.router.student import FOLDER as STUDENT_FOLDER
from appliance.agent.router.student import installed
from appliance.agent.router.warm import Source, WarmRouter
from appliance.bridges.ports import ChatCommand, ChatSender
from appliance.inference.embeddings.normalising import normalised
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.processes.chat_buttons import Speaker
from appliance.processes.chat_queries import answer

log = logging.getLogger(__name__)

REMEMBERED_FOR = timedelta(minutes=10)
MOST_QUESTIONS = 500
_SEEN_BY = {
    SlotType.TASK: lambda person, value: person.principal.can(Ability.VIEW, task=value),
    SlotType.DEVICE: lambda person, value: person.principal.can(Ability.VIEW, device=value),
    SlotType.TOPIC: lambda person, value: person.principal.can(Ability.VIEW, topic=value),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """``text`` for people, with ``commands`` as buttons under it; or ``carry_out``: a command as if it was written."""

    text: str = ""
    commands: tuple[str, ...] = ()
    carry_out: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """What somebody was asked back: their sentence, and each command that may be the answer."""

    text: str
    language: str
    meanings: dict[str, Meaning]
    at: datetime


class ChatRouting:
    """``keep_warm`` is called again and again by whoever owns this process's loop."""

    EVERY = 5.0
    SETTLE = 3.0
    """Seconds after the start in which the box has better things to do."""

    def __init__(self, warm: WarmRouter | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.warm = warm or WarmRouter(Source(loading.load, loading.revision))
        self._answers: AnswerCache[str | None] = AnswerCache(clock)
        self._questions: dict[tuple[str, str, str], _Question] = {}

    async def keep_warm(self) -> None:
        """Django has one thread in a loop's process, which others wait for: only what reads tables is done there."""
        if not self.warm.is_warm:
            await asyncio.sleep(self.SETTLE)
        world = await in_django(self.warm.wanted)
        if world is not None:
            await asyncio.to_thread(self.warm.make, world)

    def reply(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> Reply | None:
        """To words that are no command; None where they mean nothing. Raises NotAllowed."""
        router = self.warm.router()
        routed = router.route(command.text, lambda name: _sees(person, name))
        if routed.intent is None:
            return self._which(routed.alternatives, command, sender)
        said = command_of(routed.intent, routed.meaning or Meaning(routed.intent.id))
        if routed.intent.effect is Effect.READ:
            if said:
                return Reply(carry_out=said)
            revision = router.knowledge.world.revision
            text = self._answers.get(
                routed.intent,
                routed.slots,
                f"{person.principal.name} {command.language}",
                revision,
                lambda: (
                    answer(routed.intent.id, routed.slots, person, command.received_at)
                    if routed.intent
                    else None
                ),
            )
            return Reply(text) if text else None
        if not said:
            return Reply(gettext("I understand, but this is done in the web admin, not in a chat."))
        if not routed.asks:
            return Reply(carry_out=said)
        return self._which((Meaning(routed.intent.id, routed.slots),), command, sender)

    def heard(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> None:
        """A command came: where it answers what was asked back, the sentence before it is an example from now on."""
        question = self._questions.pop(_where(sender), None)
        if question is None or command.received_at - question.at > REMEMBERED_FOR:
            return
        meaning = question.meanings.get(normalised(command.text))
        if meaning is not None:
            with suppress(MillwrightError):  # who may not do it is told so by the command itself
                confirm(question.text, meaning, question.language, person.principal, command.received_at)

    def _which(self, meanings: tuple[Meaning, ...], command: ChatCommand, sender: ChatSender) -> Reply | None:
        intents = self.warm.router().knowledge.intents
        commands = {command_of(intents[one.intent], one): one for one in meanings}
        commands.pop("", None)
        if not commands:
            return None
        if len(self._questions) >= MOST_QUESTIONS:
            self._questions.pop(next(iter(self._questions)))
        self._questions[_where(sender)] = _Question(
            command.text,
            command.language,
            {normalised(text): meaning for text, meaning in commands.items()},
            command.received_at,
        )
        text = "\n".join([gettext("Did you mean this? Then write it:"), *commands])
        return Reply(text, tuple(commands))


def warm_router(data: Path) -> WarmRouter:
    """With the student that was distilled on this box, where there is one that can be read."""
    try:
        student = installed(data / STUDENT_FOLDER)
    except MillwrightError as error:
        log.warning("the router goes without its student: %s", error)
        student = None
    return WarmRouter(Source(loading.load, loading.revision), (student,) if student is not None else ())


def command_of(intent: Intent, meaning: Meaning) -> str:
    """How it is said in chat; empty where there is no way to say it, or to say all of it."""
    said = intent.command
    for name, value in meaning.slots.items():
        if f"{{{name}}}" not in said:
            return ""
        said = said.replace(f"{{{name}}}", value)
    for slot in intent.slots:
        if not slot.required:
            said = said.replace(f"{{{slot.name}}}", "")
    said = " ".join(said.split())
    return "" if "{" in said else said


def _sees(person: Speaker, name: Name) -> bool:
    allowed = _SEEN_BY.get(name.type)
    return allowed is None or allowed(person, name.value)


def _where(sender: ChatSender) -> tuple[str, str, str]:
    return sender.platform, sender.user_id, sender.conversation
