"""``agent``: reach a goal with tools, turn by turn. It is made of steps, and each of them passes the gate."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from appliance.actions.contract import Connect, Params, StateReader, Written
from appliance.actions.model_params import ModelParams
from appliance.actions.secret_places import Places
from appliance.agent.domain import Approvals, Asked, Mode, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.growth import Growth
from appliance.agent.mcp.client.choosing import chosen, is_remote
from appliance.agent.tools.registry import check, check_undo, named, tools, undos
from appliance.expressions import Template
from appliance.expressions.fields import MessageField
from appliance.lib.glob import Glob
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue
from appliance.lib.located.fields import Duration, refuse
from appliance.lib.said import say
from appliance.runs.growing import GrowingKind
from appliance.safety.policy.vocabulary import Origin

_OF_THE_BOX = frozenset({"task", "now", "run"})
"""Names in a goal that no sender has a hand in."""
_OF_THE_PERSON = frozenset({"payload"})
"""What the person themselves has just said."""
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
    `{notify: {platform: webchat}}`. Nothing else can be called. Under `undo`, among what is fixed, stand the arguments
    with which a call of the tool is taken back: `{mqtt: {topic: plant/lamp, undo: {payload: off}}}`."""
    mode: Mode = Mode.PROPOSE
    """`watch`: tools that only read. `propose`: a person is asked before each change. `act`: as the policy says.
    `shadow`: changes are not made, and kept as what would have been done."""
    approvals: Approvals = Approvals.PLAN
    """`plan`: several changes of one turn are asked about together. `each`: one by one."""
    trust: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    """In `act`: tools that may change something though the model has read what came from outside."""
    budget: AgentBudget = AgentBudget()
    """`{steps: 16, tokens: 50000, time: 10m}`: what it may spend. Its last turn has to answer."""
    conversation: bool = False
    """Whether it goes on with a conversation: it is told what was said before where the person wrote, and its answer is
    kept there and told in place of the end of the run. What stands in `payload` is then the person's own word, where
    they said it in a chat."""


class AgentParams(ModelParams, Aimed):
    max_tokens: Annotated[int, Field(ge=64, le=32768)] = 1024
    """The longest answer of one turn."""


class AgentAction(GrowingKind[AgentParams]):
    name = "agent"
    params = AgentParams

    def written(self, params: AgentParams) -> Iterable[Written]:
        yield "tools", lambda: _fit(params)
        if params.trust:
            yield "trust", lambda: _trusted(params)

    def secrets(self, params: AgentParams) -> Places:
        """The databases that its author lets it ask."""
        fixed = _named(params)
        return {
            str(one["database"]): ()
            for name, one in fixed.items()
            if "database" in one and not is_remote(name)
        }

    def may_act(self, params: AgentParams) -> bool:
        """Also a tool that only reads may cost what cannot be taken back; only what is held back surely does not."""
        changing = any(is_remote(name) or tools()[name].risk is not Risk.READ for name in _named(params))
        return changing and params.mode not in (Mode.WATCH, Mode.SHADOW)

    def arguments(
        self, params: AgentParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        """As the turns find it in the row of their run: tools spelled out, and whether the goal is from outside."""
        rendered = super().arguments(params, scope, state)
        given: JsonObject = {name: dict(fixed) for name, fixed in _named(params).items()}
        own = _OF_THE_PERSON if params.conversation and _is_said(scope) else frozenset[str]()
        system = params.system is not None and _is_outside(params.system)
        return {
            **rendered,
            "tools": given,
            "outside": _is_outside(params.goal, own),
            "system_outside": system,
            **({"undo": dict(back)} if (back := _undos(params)) else {}),
        }

    def growth(self, asked: JsonMapping) -> Growth:
        return Growth(Asked.of(asked))

    async def pinned(self, arguments: JsonObject, connect: Connect) -> JsonObject:
        """With the tools of other servers as they are now: what a server says later changes nothing of this step."""
        given = arguments["tools"]
        assert isinstance(given, dict), "it was made above"
        wanted = {name: fixed for name, fixed in given.items() if is_remote(name) and isinstance(fixed, dict)}
        if not wanted:
            return arguments
        found = await in_django(chosen, wanted, str(arguments.get("goal", "")))
        own = {name: fixed for name, fixed in given.items() if not is_remote(name)}
        return {**arguments, "tools": {**own, **found.tools}, "remote": found.remote, "closed": found.closed}


def _is_said(scope: Mapping[str, JsonValue]) -> bool:
    """Whether the run answers what the person it acts for has said in a chat, by their own hand.

    ``event`` alone proves nothing: programs may give one, and a run that is begun again keeps it. The origin is the
    engine's word.
    """
    event, run = scope.get("event"), scope.get("run")
    by_chat = isinstance(run, dict) and run.get("origin") == Origin.CHAT
    return by_chat and isinstance(event, dict) and event.get("type") == "chat" and not event.get("forwarded")


def _is_outside(text: Template, own: frozenset[str] = frozenset()) -> bool:
    """Whether somebody else than its author, or the person with their ``own`` words, has a hand in the text.

    What it reads by ``state()`` it does not name.
    """
    used = {name.partition(".")[0] for name in text.names | text.guarded}
    return bool(used - _OF_THE_BOX - own) or (not text.is_literal and bool(_STATE.search(text.source)))


def _named(params: AgentParams) -> dict[str, JsonObject]:
    try:
        return named(params.tools)
    except ToolUnknown:
        return {}  # of a version that was saved when there was such a tool: it has none of them now


def _fit(params: AgentParams) -> None:
    check(named(params.tools))
    check_undo(undos(params.tools))


def _undos(params: AgentParams) -> dict[str, JsonObject]:
    try:
        return undos(params.tools)
    except ToolUnknown:
        return {}


def _trusted(params: AgentParams) -> None:
    known = named(params.tools)
    unknown = {one for one in params.trust if not any(Glob(name).matches(one) for name in known)}
    if unknown:
        raise ToolUnknown(
            f"`{min(unknown)}` is none of its tools", hint="only what stands under tools: is trusted"
        )
