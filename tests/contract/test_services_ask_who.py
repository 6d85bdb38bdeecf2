"""Every service that takes a principal asks what it may do: the door that led there is never the only check.

The services are found, not listed: one that is new fails here until it says what it needs.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

import appliance
from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, NotAllowed, Principal
from appliance.accounts.services import create_user
from appliance.agent.router.domain import Meaning
from appliance.bus.brokers.domain import BrokerSpec
from appliance.runs.services import start_task
from appliance.safety.allstop import Level
from appliance.safety.approvals.errors import ApprovalRefused
from appliance.tasks.loader import load_text
from appliance.tasks.matching import Armed
from appliance.tasks.phrase_table import Meant
from appliance.tasks.phrases import parse_phrase
from appliance.tasks.services import apply_text

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TASK = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: 1}]\n"

KNOWLEDGE = ("files", "search", "section", "sections_of", "troubles")
EXEMPT = {
    # What decides on others, or is told who it was.
    "appliance.accounts.announcing.announce": "puts on record who it was",
    "appliance.accounts.services.replace_password": "its callers have seen the proof",
    "appliance.accounts.mqtt.forget": "ends with the device's account, whose service asks",
    "appliance.safety.read_only.refuse_changes": "asks only what stands",
    "appliance.safety.secrets.keep_secret": "of a setting whose own service asks",
    "appliance.safety.secrets.forget_secret": "of a setting whose own service asks",
    "appliance.bridges.taking.take": "part of load_platforms and save_platform",
    "appliance.bridges.taking.forget_own": "part of save_platform and remove_platform",
    "appliance.bridges.pairing.new_code": "for oneself alone; it refuses everybody else",
    "appliance.bridges.secrets.adopt_variables": "part of load_platforms and save_platform",
    "appliance.safety.approvals.domain.not_theirs": "is the question itself",
    "appliance.safety.approvals.domain.objection": "is the question itself",
    "appliance.safety.approvals.services.may_decide": "is the question itself",
    "appliance.escalations.services.may_answer": "is the question itself",
    "appliance.safety.approvals.codes.mint": "asks by objection(); its door is runs.approvals.mint_code",
    "appliance.safety.approvals.codes.word_of": "the word is the approver's, who is asked about",
    "appliance.tasks.services.load_here": "changes nothing; it suggests only secrets that they may use",
    "appliance.devices.readings.services.between": "asks for the right to look, which these have",
    **dict.fromkeys(
        (f"appliance.agent.knowledge.services.{name}" for name in KNOWLEDGE),
        "asks for the right to look, which these have",
    ),
    "appliance.agent.explaining.services.agents_in": "asks for the right to look, which these have",
    "appliance.agent.explaining.services.agents": "asks for the right to look, which these have",
    "appliance.agent.explaining.services.explain": "asks for the right to look, which these have",
    "appliance.agent.router.examples.examples": "shows one's own only, to who may not edit tasks",
    "appliance.agent.assistant.status": "asks for the right to look, which these have",
    "appliance.agent.conversations.whose.is_hidden_from": "says only whether, and hides from whoever may not",
    "appliance.agent.conversations.whose.person_behind": "says whose it is; the services that call it ask",
    "appliance.agent.mcp.server.offering.answer": "asks for the right to look, which these have",
    "appliance.agent.mcp.server.offering.offered": "gives what they may call, and nothing else",
    "appliance.agent.mcp.server.offering.task_named": "gives only what they may run",
    "appliance.agent.mcp.server.runs.told": "of a run that they began; its outputs only with the right to look",
    "appliance.runs.approvals.by_code": "the word is the approver's, who is asked about",
}
"""Functions that take a principal and do not ask, each with its reason."""


def services() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the appliance with a parameter of type Principal."""
    for module in pkgutil.walk_packages(appliance.__path__, "appliance."):
        if ".migrations." in module.name or ".management." in module.name or ".bench" in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for name, found in inspect.getmembers(loaded, inspect.isfunction):
            if found.__module__ != module.name or name.startswith("_"):
                continue
            kinds = [p.annotation for p in inspect.signature(found).parameters.values()]
            if any(kind in (Principal, "Principal") for kind in kinds):
                yield f"{module.name}.{name}", found


SERVICES = dict(services())
ASKED = sorted(SERVICES.keys() - EXEMPT.keys())


def arguments(found: Callable[..., Any], by: Principal) -> dict[str, Any]:
    """Something of the right kind for each parameter that must be given: it comes to the question, or fails."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(found).parameters.items():
        if parameter.annotation in (Principal, "Principal"):
            given[name] = by
        elif parameter.default is inspect.Parameter.empty:
            given[name] = _something(name, str(parameter.annotation))
    return given


KNOWN: dict[str, Callable[[], Any]] = {
    "run_id": lambda: start_task("greet", BOX, datetime.now(UTC)),
    "now": lambda: NOW,
    "ref": lambda: "K7Q2M",
    "text": lambda: TASK,
    "username": lambda: "vic",
    "user": lambda: User.objects.get(username="vic"),
    "ability": lambda: Ability.RUN_TASKS,
    "wanted": lambda: Grant(Role.OPERATOR, "greet"),
    "unwanted": lambda: Grant(Role.OPERATOR, "greet"),
    "item_id": lambda: UUID(int=7),
    "role": lambda: Role.VIEWER,
    "level": lambda: Level.FREEZE,
    "scopes": lambda: [Ability.VIEW],
    "messages": list,
    "meant": lambda: _meant(),
    "meaning": lambda: Meaning("task.run", {"task": "greet"}),
    "payload": lambda: b"1",
    "spec": lambda: BrokerSpec("hall", "mqtt://192.0.2.1"),
}


def _meant() -> Meant:
    """A sentence of the task that everybody knows."""
    definition = load_text(TASK, "greet.yaml")[0].definition
    armed = Armed(1, 1, definition, definition.triggers[0])
    return Meant(armed, parse_phrase("greet them"), {}, "greet them")


def _something(name: str, kind: str) -> Any:
    if name in KNOWN:
        return KNOWN[name]()
    if "bool" in kind or "int" in kind:
        return 1
    return "greet" if "str" in kind else None


@pytest.fixture
def _a_task(db: None) -> None:
    create_user("vic", "hammer-and-anvil-7", Role.VIEWER, BOX)
    apply_text(TASK, "greet.yaml", BOX, NOW)


def test_there_are_services_and_every_exemption_is_one() -> None:
    assert len(ASKED) > 50
    assert EXEMPT.keys() <= SERVICES.keys()


ONLY_LOOK = {
    "who may only look": Principal("user:eve", Role.VIEWER),
    "a token that may only look": Principal(
        "token:admin/panel", Role.ADMIN, scopes=frozenset({Ability.VIEW})
    ),
    "an engineer of other tasks": Principal(
        "user:eve", Role.VIEWER, (Grant(Role.ENGINEER, "line3-*", "plant/line3/#"),)
    ),
}


@pytest.mark.usefixtures("_a_task")
@pytest.mark.parametrize("name", ASKED)
def test_a_service_refuses_whoever_may_not(name: str) -> None:
    found = SERVICES[name]
    let_in = []
    for who, by in ONLY_LOOK.items():
        given = arguments(found, by)
        try:
            found(**given)
        except (NotAllowed, ApprovalRefused):
            continue
        let_in.append(who)
    assert let_in == []


def test_every_ability_has_a_role() -> None:
    assert set(NEEDED) == set(Ability)
