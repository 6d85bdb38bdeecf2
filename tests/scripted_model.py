"""A model that says what a test has written down, at the port by which steps ask models."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.inference.asking import Question, Reply
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelAnswerBad
from appliance.inference.leases import Chosen, Wish
from appliance.lib.jsontypes import JsonObject

CHOSEN = Chosen(model="tiny", version="1", digest="d" * 64, engine=EngineKind.LLAMACPP, reason="the only one")
Line = JsonObject | str | Exception | Callable[[Question], Any]


def turn(*calls: tuple[str, Mapping[str, Any]], say: str = "I look.") -> JsonObject:
    """A turn that calls tools."""
    wanted: list[Any] = [{"tool": name, "arguments": dict(given), "why": "it helps"} for name, given in calls]
    return {"say": say, "calls": wanted, "done": False, "answer": "", "changed": False}


def end(answer: str = "All is well.", *, changed: bool = False) -> JsonObject:
    return {"say": "I am done.", "calls": [], "done": True, "answer": answer, "changed": changed}


@dataclass
class Script:
    """``lines`` one after another: an answer, a text that is none, an error, or what makes one of the question."""

    lines: list[Line]
    asked: list[Question] = field(default_factory=list)
    tokens: int = 100
    wishes: list[Wish] = field(default_factory=list)

    async def __call__(self, question: Question, wish: Wish) -> Reply:
        self.asked.append(question)
        self.wishes.append(wish)
        line = self.lines.pop(0)
        if callable(line):
            line = line(question)
            line = await line if hasattr(line, "__await__") else line
        if isinstance(line, Exception):
            raise line
        if isinstance(line, str):
            raise ModelAnswerBad("the answer is no JSON: it is prose", said=line)
        return Reply(json.dumps(line), line, CHOSEN, 0.1, self.tokens - 10, 10)

    def told(self, number: int = -1) -> str:
        """All that the model was told in that question."""
        return "\n".join(text for _, text in self.asked[number].messages)
