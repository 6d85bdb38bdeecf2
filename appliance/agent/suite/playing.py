"""A model that says what a problem's script has written down: the competent one, or one that goes a wrong way."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from appliance.agent.suite.problem import Turn
from appliance.inference.asking import Question, Reply
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelRefused
from appliance.inference.leases import Chosen, Wish
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject, JsonValue

NAME = "scripted"
_CHOSEN = Chosen(
    model=NAME,
    version="1",
    digest=sha256_hex(NAME),
    engine=EngineKind.REMOTE,
    reason="the script of the problem",
)
_TOKENS = 100


class Player:
    """At the port by which steps ask models (``Services.ask``).

    ``exact`` puts what only the stand knows in its place.
    """

    def __init__(self, turns: Sequence[Turn], exact: Callable[[Any], Any]) -> None:
        self._left = list(turns)
        self._exact = exact

    async def __call__(self, question: Question, wish: Wish) -> Reply:
        if not self._left:
            raise ModelRefused("the script has no more turns")
        value = _said(self._left.pop(0), self._exact)
        return Reply(json.dumps(value, ensure_ascii=False), value, _CHOSEN, 0.0, _TOKENS, _TOKENS)


def _said(turn: Turn, exact: Callable[[Any], Any]) -> JsonObject:
    calls: list[JsonValue] = [
        {"tool": name, "arguments": exact(given), "why": ""}
        for one in turn.calls
        for name, given in one.items()
    ]
    done = not calls
    return {
        "say": "",
        "calls": calls,
        "done": done,
        "answer": turn.answer,
        "changed": turn.changed,
    }
