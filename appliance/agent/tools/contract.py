"""The contract of a tool: a file in this folder, found by being there.

A tool says in one sentence what it is for, and turns arguments that fit into one step. What that step may do is decided
by the gate, as for every step; ``risk`` only says when an agent's own mode asks first.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from appliance.accounts.principal import Principal
from appliance.agent.domain import Risk
from appliance.lib.jsontypes import JsonObject, JsonValue


class Arguments(BaseModel):
    """What a model gives: flat, small, each with a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


A = TypeVar("A", bound=Arguments)


class Tool(ABC, Generic[A]):
    """Members are stateless.

    ``by_author``: arguments that only the author of a task gives, and a model never sees. ``must_fix``: those of them,
    or of the others, that the author has to give. ``leaves_to``: those that say where out of the box something goes.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    arguments: ClassVar[type[Arguments]]
    risk: ClassVar[Risk]
    by_author: ClassVar[frozenset[str]] = frozenset()
    must_fix: ClassVar[frozenset[str]] = frozenset()
    leaves_to: ClassVar[frozenset[str]] = frozenset()
    example: ClassVar[JsonObject] = {}

    @abstractmethod
    def step(self, given: A) -> JsonObject:
        """The step that does it, as in a task file."""

    def risk_of(self, given: A) -> Risk:
        """Of these very arguments; never milder than what the step does."""
        return self.risk

    def leaves(self, given: A, fixed: Collection[str]) -> bool:
        """Whether these very arguments could carry off what a model was told, to where it says. ``fixed``: what of
        them the author has given."""
        return bool(self.leaves_to - set(fixed))

    def schema(self, fixed: JsonObject) -> JsonObject:
        """The JSON schema of what a model gives, without what the author has given."""
        whole: dict[str, Any] = self.arguments.model_json_schema()
        hidden = self.by_author | fixed.keys()
        kept = {name: _plain(one) for name, one in whole.get("properties", {}).items() if name not in hidden}
        needed = [name for name in whole.get("required", []) if name not in hidden]
        return {"type": "object", "properties": kept, "required": needed, "additionalProperties": False}


def _plain(schema: dict[str, Any]) -> JsonValue:
    """Without what an engine's grammar need not know."""
    return {key: value for key, value in schema.items() if key not in ("title", "default", "examples")}


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks the box about itself, and when."""

    by: Principal
    now: datetime


class QueryTool(Tool[A]):
    """A tool that reads what the box knows. Its step is the kind ``agent_query``."""

    risk = Risk.READ

    def step(self, given: A) -> JsonObject:
        return {"type": "agent_query", "query": self.name, "given": given.model_dump(mode="json")}

    @abstractmethod
    def answer(self, given: A, asking: Asking) -> JsonValue:
        """Called in a thread of Django's. Raises MillwrightError, NotAllowed among them."""
