"""Which task a sentence in a chat means: pure, over the chat triggers of all enabled tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from appliance.lib.jsontypes import JsonObject
from appliance.tasks.matching import Armed
from appliance.tasks.phrases import Phrase, Sentence, normalised


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said, and where. ``person`` is the user name behind the identity."""

    text: str
    platform: str
    conversation: str
    person: str

    def to_json(self) -> JsonObject:
        return {
            "text": self.text,
            "platform": self.platform,
            "conversation": self.conversation,
            "person": self.person,
        }


@dataclass(frozen=True, slots=True)
class Meant:
    """A trigger whose sentence it is. ``text`` is the message as it was compared.

    Without a ``phrase`` it takes what nothing else understood: then ``text`` is what was said, as it was said.
    """

    armed: Armed
    phrase: Phrase | None
    captures: dict[str, str]
    text: str


class PhraseTable:
    """The chat triggers of all enabled tasks, by the names of their tasks; made anew when a task changes."""

    def __init__(self, armed: Iterable[Armed]) -> None:
        chats = [one for one in armed if one.trigger.chat is not None]
        self._armed = sorted(chats, key=lambda one: one.definition.name)

    def match(self, heard: Heard) -> list[Meant]:
        """The trigger that says most of it itself; of several tasks where they say the same much, each one."""
        said = normalised(heard.text)
        if not said:
            return []
        sentence = Sentence(said)
        found: dict[int, tuple[int, Meant]] = {}
        for armed in self._armed:
            chat = armed.trigger.chat
            if chat is None or not chat.counts_in(heard.platform, heard.conversation):
                continue
            for phrase in chat.phrases:
                captures = phrase.match(sentence)
                best = found.get(armed.task_id)
                if captures is not None and (best is None or phrase.literals > best[0]):
                    found[armed.task_id] = phrase.literals, Meant(armed, phrase, captures, said)
        most = max((literals for literals, _ in found.values()), default=0)
        return [one for literals, one in found.values() if literals == most]

    def otherwise(self, heard: Heard, *, private: bool) -> list[Meant]:
        """Who takes what nothing else understood: the one that names the place most closely; of several, each one."""
        found: dict[int, tuple[tuple[bool, bool], Meant]] = {}
        for armed in self._armed:
            chat = armed.trigger.chat
            if chat is None or not chat.otherwise or not chat.counts_in(heard.platform, heard.conversation):
                continue
            text = heard.text.strip() if private else chat.addressed(heard.text)
            if text:
                close = chat.conversation is not None, bool(chat.platform)
                if armed.task_id not in found or close > found[armed.task_id][0]:
                    found[armed.task_id] = close, Meant(armed, None, {}, text)
        closest = max((close for close, _ in found.values()), default=None)
        return [one for close, one in found.values() if close == closest]

    def sentences(
        self, platform: str, conversation: str, may: Callable[[str], bool]
    ) -> list[tuple[str, str]]:
        """Task and pattern of what counts there, of those tasks whose name ``may`` takes."""
        return [
            (armed.definition.name, pattern)
            for armed in self._armed
            if armed.trigger.chat is not None
            and armed.trigger.chat.counts_in(platform, conversation)
            and may(armed.definition.name)
            for pattern in armed.trigger.chat.sentences
        ]
