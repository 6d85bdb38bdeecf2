"""The contract of a tool: a file in this folder, found by being there.

A tool says in one sentence what it is for, and turns arguments that fit into one step. What that step may do is decided
by the gate, as for every step; ``risk`` only says when an agent's own mode asks first.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from appliance.accounts.principal import Principal
from appliance.actions.contract import EffectClass
from appliance.actions.registry import registry
from appliance.agent.domain import Risk
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.tasks.definition.build import step_of


class Arguments(BaseModel):
    """What a model gives: flat, small, each with a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


A = TypeVar("A", bound=Arguments)


class Tool(ABC, Generic[A]):
    """Members are stateless.

    ``by_author``: arguments that only the author of a task gives, and a model never sees. ``must_fix``: those of them,
    or of the others, that the author has to give. ``leaves_to``: those that say where out of the box something goes.
    ``verbatim``: those that are kept as a text for people, in which templates and names of secrets are only read.
    ``reviewed``: a person decides on what comes of it, so that nobody is asked before.
    ``example``: what a model gives, with ``example_fixed`` from its author; ``also``: examples of another effect.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    arguments: ClassVar[type[Arguments]]
    risk: ClassVar[Risk]
    by_author: ClassVar[frozenset[str]] = frozenset()
    must_fix: ClassVar[frozenset[str]] = frozenset()
    leaves_to: ClassVar[frozenset[str]] = frozenset()
    verbatim: ClassVar[frozenset[str]] = frozenset()
    reviewed: ClassVar[bool] = False
    example: ClassVar[JsonObject] = {}
    example_fixed: ClassVar[JsonObject] = {}
    also: ClassVar[tuple[JsonObject, ...]] = ()
    from_outside: ClassVar[bool] = False
    """Whether ``says`` is somebody else's word."""

    def read(self, given: JsonObject) -> A:
        """What was given, checked. Raises pydantic's ValidationError."""
        found: A = self.arguments.model_validate(given)  # type: ignore[assignment]  # it is of its own kind
        return found

    def takes(self, fixed: Collection[str]) -> tuple[str, ...] | None:
        """The arguments that are a model's to give; None where nobody knows."""
        return tuple(
            name for name in self.arguments.model_fields if name not in self.by_author and name not in fixed
        )

    def words(self, fixed: JsonObject) -> str:
        """What somebody else says of it; empty for a tool of the box."""
        return ""

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

    def effect_of(self, given: A) -> EffectClass:
        """The effect class of the step that these arguments make, as its kind says."""
        spec, issues = step_of({**self.step(given)}, "call")
        if spec is None:
            raise ValueError("; ".join(issue.message for issue in issues))
        return EffectClass(spec.effect) if spec.effect else registry()[spec.type].effect(spec.params)

    @property
    def examples(self) -> Iterator[A]:
        """Its examples, whole."""
        for one in (self.example, *self.also):
            yield self.arguments.model_validate({**one, **self.example_fixed})  # type: ignore[misc]

    @property
    def effect(self) -> tuple[EffectClass, ...]:
        """The classes of the steps that its examples make, the mildest first: derived, never written."""
        return tuple(sorted({self.effect_of(one) for one in self.examples}, key=list(EffectClass).index))

    def schema(self, fixed: JsonObject) -> JsonObject:
        """The JSON schema of what a model gives, without what the author has given."""
        whole = _whole(self.arguments)
        hidden = self.by_author | fixed.keys()
        kept = {name: _plain(one) for name, one in whole.get("properties", {}).items() if name not in hidden}
        needed = [name for name in whole.get("required", []) if name not in hidden]
        return {"type": "object", "properties": kept, "required": needed, "additionalProperties": False}


@cache
def _whole(arguments: type[Arguments]) -> dict[str, Any]:
    """Made once: it is asked for in every turn."""
    return arguments.model_json_schema()


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
    of_files: ClassVar[bool] = False
    """It asks for no row of the database, and may take its time: it is answered in a thread of its own."""

    def step(self, given: A) -> JsonObject:
        return {"type": "agent_query", "query": self.name, "given": given.model_dump(mode="json")}

    @abstractmethod
    def answer(self, given: A, asking: Asking) -> JsonValue:
        """Called in a thread of Django's, or in one of its own (``of_files``).

        Raises MillwrightError, NotAllowed among them.
        """
