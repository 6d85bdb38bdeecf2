"""Sentences in a chat that are no commands: answered, or asked back, by what the router takes them for."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Semaphore

from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.router import loading
from appliance.agent.router.answers import AnswerCache
from appliance.agent.router.domain import Effect, How, Intent, Meaning, Routed, SlotType
from appliance.agent.router.examples import confirm
from appliance.agent.router.lexicon import Name
from appliance.agent.router.router import Router
from appliance.agent.router.student import FOLDER as STUDENT_FOLDER
from appliance.agent.router.student import installed
from appliance.agent.router.voices import Heard, Voices
from appliance.agent.router.warm import Source, WarmRouter
from appliance.audit.services import append_here
from appliance.bridges.ports import ChatCommand, ChatSender
from appliance.inference.embeddings.normalising import is_chinese, normalised
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.processes.chat_buttons import Speaker
from appliance.processes.chat_queries import answer

log = logging.getLogger(__name__)

REMEMBERED_FOR = timedelta(minutes=10)
MOST_QUESTIONS = 500
LISTENING = 2
"""Sentences that the slow voices hear at once. Who comes then is answered without them: other chats have their turn."""
_SEEN_BY = {
    SlotType.TASK: lambda by, value: by.can(Ability.VIEW, task=value),
    SlotType.DEVICE: lambda by, value: by.can(Ability.VIEW, device=value),
    SlotType.TOPIC: lambda by, value: by.can(Ability.VIEW, topic=value),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """``text`` for people, with ``commands`` as buttons under it; or ``carry_out``: a command as if it was written.

    ``note`` stands above what the command answers.
    """

    text: str = ""
    commands: tuple[str, ...] = ()
    carry_out: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A sentence that nothing quick has understood, for the slow voices."""

    router: Router
    routed: Routed
    principal: Principal

    @property
    def text(self) -> str:
        return self.routed.text


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

    def __init__(
        self,
        warm: WarmRouter | None = None,
        clock: Callable[[], float] = time.monotonic,
        voices: Voices | None = None,
    ) -> None:
        self.warm = warm or WarmRouter(Source(loading.load, loading.revision))
        self._voices = voices
        self._threads = ThreadPoolExecutor(LISTENING, thread_name_prefix="voices")
        self._free = Semaphore(LISTENING)
        self._answers: AnswerCache[str | None] = AnswerCache(clock)
        self._questions: dict[tuple[str, str, str], _Question] = {}

    async def keep_warm(self) -> None:
        """Django has one thread in a loop's process, which others wait for: only what reads tables is done there."""
        if not self.warm.is_warm:
            await asyncio.sleep(self.SETTLE)
        world = await in_django(self.warm.wanted)
        if world is not None:
            await asyncio.to_thread(self.warm.make, world)
        if self._voices is not None:
            await self._voices.keep_warm()

    def reply(
        self, command: ChatCommand, sender: ChatSender, person: Speaker, *, otherwise: bool = False
    ) -> Reply | Unclear | None:
        """To words that are no command; None where they mean nothing. Raises NotAllowed.

        ``otherwise``: somebody takes what is not understood. Then no model is asked what it may mean, and nothing
        that it is only like is offered.
        """
        router, principal = self.warm.router(), person.principal
        routed = router.route(command.text, lambda name: _sees(principal, name))
        if otherwise and routed.intent is None and not routed.torn:
            return None
        if routed.open and self._voices is not None and self._voices.any_there:
            return Unclear(router, routed, principal)
        return self._reply(routed, command, sender, person)

    async def listen(self, unclear: Unclear) -> Heard:
        """The slow voices, in a thread of theirs: seconds at most, and nobody waits in line for them."""
        by = unclear.principal
        assert self._voices is not None
        if not self._free.acquire(blocking=False):
            return Heard(unclear.routed, None, False)
        # Whoever gives up waiting leaves a thread at work: only its end makes room.
        hearing = self._threads.submit(
            self._voices.hear, unclear.router, unclear.text, by.name, lambda name: _sees(by, name)
        )
        hearing.add_done_callback(lambda _: self._free.release())
        return await asyncio.wrap_future(hearing)

    def reply_to_heard(
        self, heard: Heard, command: ChatCommand, sender: ChatSender, person: Speaker
    ) -> Reply | None:
        """As ``reply``, once the slow voices were heard; that a model was asked is put on record."""
        model = ""
        if heard.understood is not None:
            model = heard.understood.chosen.model
            if heard.asked:
                _put_on_record(heard, person.principal)
        return self._reply(heard.routed, command, sender, person, model)

    def _reply(
        self, routed: Routed, command: ChatCommand, sender: ChatSender, person: Speaker, model: str = ""
    ) -> Reply | None:
        if routed.intent is None:
            return self._which(routed.alternatives, command, sender)
        by_model = model if routed.how is How.MODEL else ""
        said = command_of(routed.intent, routed.meaning or Meaning(routed.intent.id))
        if routed.intent.effect is Effect.READ:
            note = _note(by_model, routed.intent, routed.slots, command.language)
            if said:
                return Reply(carry_out=said, note=note)
            revision = self.warm.router().knowledge.world.revision
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
            return Reply(f"{note}\n{text}" if note else text) if text else None
        if not said:
            return Reply(gettext("I understand, but this is done in the web admin, not in a chat."))
        if not routed.asks:
            return Reply(carry_out=said)
        return self._which((Meaning(routed.intent.id, routed.slots),), command, sender, by_model)

    def heard(self, command: ChatCommand, sender: ChatSender, person: Speaker) -> None:
        """A command came: where it answers what was asked back, the sentence before it is an example from now on."""
        question = self._questions.pop(_where(sender), None)
        if question is None or command.received_at - question.at > REMEMBERED_FOR:
            return
        meaning = question.meanings.get(normalised(command.text))
        if meaning is not None:
            with suppress(MillwrightError):  # who may not do it is told so by the command itself
                confirm(question.text, meaning, question.language, person.principal, command.received_at)

    def _which(
        self, meanings: tuple[Meaning, ...], command: ChatCommand, sender: ChatSender, model: str = ""
    ) -> Reply | None:
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
        asks = gettext("Did you mean this? Then write it:")
        if model:
            asks = gettext("The model %(model)s takes it for this. Is it meant? Then write it:") % {
                "model": model
            }
        return Reply("\n".join([asks, *commands]), tuple(commands))


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


def _sees(by: Principal, name: Name) -> bool:
    allowed = _SEEN_BY.get(name.type)
    return allowed is None or allowed(by, name.value)


def _note(model: str, intent: Intent, slots: Mapping[str, str], language: str) -> str:
    """That a model has understood it, and as what: in a known sentence of the person's language."""
    if not model:
        return ""
    chinese = language.startswith("zh")
    known = [text for text in intent.exemplars if any(map(is_chinese, text)) is chinese] or intent.exemplars
    whole = [text for text in known if all(f"{{{name}}}" in text for name in slots)]
    what = (whole or known)[0]
    for name, value in slots.items():
        what = what.replace(f"{{{name}}}", value)
    return gettext("The model %(model)s understood: %(what)s") % {"model": model, "what": what}


def _put_on_record(heard: Heard, by: Principal) -> None:
    assert heard.understood is not None
    chosen, meaning = heard.understood.chosen, heard.understood.meaning
    append_here(
        "router.model_asked",
        by.name,
        f"model/{chosen.model}",
        {
            "version": chosen.version,
            "digest": chosen.digest,
            "reason": chosen.reason,
            "sentence": heard.routed.text[:200],
            "said": meaning.intent if meaning is not None else "none",
            "agreed": heard.routed.how is How.MODEL,
            "seconds": round(heard.understood.seconds, 3),
        },
    )


def _where(sender: ChatSender) -> tuple[str, str, str]:
    return sender.platform, sender.user_id, sender.conversation
