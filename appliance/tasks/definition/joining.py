"""When a step that was split is done: ``join:``."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from appliance.lib.said import say
from appliance.tasks.definition.base import refuse

_EXPECTED = say("all, any, {at_least: N} or {tolerate: M}")


class JoinPolicy(StrEnum):
    ALL = "all"
    AT_LEAST = "at_least"
    TOLERATE = "tolerate"


@dataclass(frozen=True, slots=True)
class Join:
    """``number`` is how many must succeed (AT_LEAST), or how many may fail (TOLERATE); 0 for ALL."""

    policy: JoinPolicy
    number: int = 0

    def __str__(self) -> str:
        return str(self.written())

    def written(self) -> str | dict[str, int]:
        if self.policy is JoinPolicy.ALL:
            return "all"
        if self == ANY:
            return "any"
        return {self.policy.value: self.number}


ALL = Join(JoinPolicy.ALL)
ANY = Join(JoinPolicy.AT_LEAST, 1)


def _read(value: Any) -> Join:
    if isinstance(value, Join):
        return value
    if value in ("all", "any"):
        return ALL if value == "all" else ANY
    if isinstance(value, dict) and len(value) == 1:
        ((word, number),) = value.items()
        if word in (JoinPolicy.AT_LEAST, JoinPolicy.TOLERATE):
            return Join(JoinPolicy(word), _number(word, number))
    raise refuse(say("this is not a way to join"), say("write %(expected)s", expected=_EXPECTED))


def _number(word: str, number: Any) -> int:
    least = 1 if word == JoinPolicy.AT_LEAST else 0
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= 1_000_000:
        raise refuse(say("`%(word)s` needs a whole number from %(least)s to 1000000", word=word, least=least))
    return number


JoinField = Annotated[
    Join,
    PlainValidator(_read),
    PlainSerializer(Join.written, return_type=Any),
    WithJsonSchema({"description": "`all`, `any`, `{at_least: N}` or `{tolerate: M}`"}),
]
