"""``agent``: reach a goal with tools, turn by turn. It is made of steps, and each of them passes the gate."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from appliance.actions.contract import Params, StateReader, Written
from appliance.actions.model_params import ModelParams
from appliance.actions.secret_places import Places
from appliance.agent.domain import Approvals, Asked, Mode, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.growth import Growth
from appliance.agent.tools.registry import check, named, tools
from appliance.expressions import Template
from appliance.expressions.fields import MessageField
from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue
from appliance.lib.located.fields import Duration, refuse
from appliance.lib.said import say
from appliance.runs.growing import GrowingKind

_OF_THE_BOX = frozenset({"task", "now", "run"})
"""Names in a goal that no sender has a hand in."""
_STATE = re.compile(r"\bstate\b")


class AgentBudget(Params):
    steps: Annotated[int, Field(ge=1, le=100)] = 16
    """Turns and calls together."""
    tokens: Annotated[int, Field(ge=100, le=10_000_000)] = 50_000
    """Tokens of the model, read and written."""
    time: Duration = timedelta(minutes=10)
    """Time of work; waiting for people does not count."""


def _tool(value: Any) -> Any:
    fits = isinstance(value, str) or (
        isinstance(value, dict) and len(value) == 1 and all(isinstance(one, dict) for one in value.values())
    )
    if not fits:
        raise refuse(say("a tool is a name, or a name with what is fixed"), "{sql_query: {database: shop}}")
    return value


ToolField = Annotated[str | dict[str, dict[str, Any]], BeforeValidator(_tool)]


class Aimed(Params):
    goal: MessageField
    """What it is to reach. ``{% if %}`` and ``{% for %}`` are allowed here."""
    tools: Annotated[tuple[ToolField, ...], Field(max_length=50)] = ()
    """What it may call, by name (`readings.query`), by pattern (`readings.*`), or with arguments that are fixed:
    `{notify: {platform: webchat}}`. Nothing else can be called."""
    mode: Mode = Mode.PROPOSE
    """`watch`: tools that only read. `propose`: a person is asked before each change. `act`: as the policy says.
    `shadow`: changes are not made, and kept as what would have been done."""
    approvals: Approvals = Approvals.PLAN
    """`plan`: several changes of one turn are asked about together. `each`: one by one."""
    trust: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    """In `act`: tools that may change something though the model has read what came from outside."""
    budget: AgentBudget = AgentBudget()
    """`{steps: 16, tokens: 50000, time: 10m}`: what it may spend. Its last turn has to answer."""


class AgentParams(ModelParams, Aimed):
    max_tokens: Annotated[int, Field(ge=64, le=32768)] = 1024
    """The longest answer of one turn."""


class AgentAction(GrowingKind[AgentParams]):
    name = "agent"
    params = AgentParams

    def written(self, params: AgentParams) -> Iterable[Written]:
        yield "tools", lambda: check(named(params.tools))
        if params.trust:
            yield "trust", lambda: _trusted(params)

    def secrets(self, params: AgentParams) -> Places:
        """The databases that its author lets it ask."""
        fixed = _named(params)
        return {str(one["database"]): () for name, one in fixed.items() if "database" in one}

    def may_act(self, params: AgentParams) -> bool:
        """Also a tool that only reads may cost what cannot be taken back; only what is held back surely does not."""
        changing = any(tools()[name].risk is not Risk.READ for name in _named(params))
        return changing and params.mode not in (Mode.WATCH, Mode.SHADOW)

    def arguments(
        self, params: AgentParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        """As the turns find it in the row of their run: tools spelled out, and whether the goal is from outside."""
        rendered = super().arguments(params, scope, state)
        given: JsonObject = {name: dict(fixed) for name, fixed in _named(params).items()}
        system = params.system is not None and _is_outside(params.system)
        return {
            **rendered,
            "tools": given,
            "outside": _is_outside(params.goal),
            "system_outside": system,
        }

    def growth(self, asked: JsonMapping) -> Growth:
        return Growth(Asked.of(asked))


def _is_outside(text: Template) -> bool:
    """Whether somebody else than its author has a hand in the text. What it reads by ``state()`` it does not name."""
    used = {name.partition(".")[0] for name in text.names | text.guarded}
    return bool(used - _OF_THE_BOX) or (not text.is_literal and bool(_STATE.search(text.source)))


def _named(params: AgentParams) -> dict[str, JsonObject]:
    try:
        return named(params.tools)
    except ToolUnknown:
        return {}  # of a version that was saved when there was such a tool: it has none of them now


def _trusted(params: AgentParams) -> None:
    unknown = set(params.trust) - named(params.tools).keys()
    if unknown:
        raise ToolUnknown(
            f"`{min(unknown)}` is none of its tools", hint="only what stands under tools: is trusted"
        )
