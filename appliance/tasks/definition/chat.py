"""What a `chat` trigger says: the sentences that start the task, and where they count."""

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from appliance.expressions.fields import MessageField
from appliance.lib.said import say
from appliance.tasks.definition.base import Model, PlatformName, checked, refuse
from appliance.tasks.definition.reserved import RESERVED
from appliance.tasks.phrases import Phrase, parse_phrase

MOST_PATTERNS = 20


def _check(text: str) -> str:
    for name in parse_phrase(text).names:
        if name in RESERVED:
            raise refuse(
                say("{%(name)s} would hide the name `%(name)s`", name=name),
                say("choose another name for this word"),
            )
    return text


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Pattern = Annotated[str, checked(_check)]
AddressedAs = Annotated[str, Field(min_length=2, max_length=40, pattern=r"^\S+$")]


class ChatSpec(Model):
    pattern: Pattern | None = None
    """The sentence, as `restart pump {pump}`: `{name}` is one word, `{name...}` the rest of the line. Large and small
    letters, blanks and full-width forms make no difference."""
    patterns: Annotated[tuple[Pattern, ...], Field(max_length=MOST_PATTERNS)] = ()
    """Several sentences instead of one. They capture the same names."""
    otherwise: bool = False
    """Instead of a sentence: whatever nothing else understood, neither as a command nor as a sentence or request that
    the box knows. In private chats."""
    rooms: bool = False
    """With `otherwise`: also what is said in rooms, where people mostly talk to each other."""
    names: Annotated[tuple[AddressedAs, ...], Field(max_length=10)] = ()
    """With `otherwise`: in rooms only what begins with one of these names, as `millwright, …` or `@millwright …`."""
    platform: Annotated[tuple[PlatformName, ...], BeforeValidator(_listed), Field(max_length=20)] = ()
    """Only there: one platform, or a list; without it, on each."""
    conversation: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Only in this conversation, as the platform names it."""
    answer: MessageField | None = None
    """What is answered when a run was started; without it, that it was, and its number."""

    @model_validator(mode="after")
    def _sentences(self) -> "ChatSpec":
        said = (self.pattern is not None) + bool(self.patterns) + self.otherwise
        if said != 1:
            raise refuse(
                say("a chat trigger has one of `pattern`, `patterns` and `otherwise: true`"),
                say("as in restart pump {pump}"),
            )
        if (self.rooms or self.names) and not self.otherwise:
            raise refuse(
                say("`rooms` and `names` go with `otherwise: true`"), say("a sentence counts in rooms anyway")
            )
        names = {frozenset(phrase.names) for phrase in self.phrases}
        if len(names) > 1:
            raise refuse(
                say("the patterns of one trigger capture the same names"),
                say("make a trigger of its own of each"),
            )
        return self

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Its patterns as they are written."""
        return self.patterns or ((self.pattern,) if self.pattern is not None else ())

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        return tuple(parse_phrase(one) for one in self.sentences)

    def addressed(self, text: str) -> str | None:
        """What is left of a text in a room for a trigger ``otherwise``; None where the box was not spoken to."""
        beginning = text.strip()
        for name in self.names:
            for call in (f"@{name}", name):
                rest = beginning[len(call) :]
                if beginning[: len(call)].lower() == call.lower() and (not rest or not rest[0].isalnum()):
                    return rest.lstrip(" ,:;，：；、")
        return beginning if self.rooms and not self.names else None

    def counts_in(self, platform: str, conversation: str) -> bool:
        """Whether it listens there."""
        return (not self.platform or platform in self.platform) and self.conversation in (None, conversation)
