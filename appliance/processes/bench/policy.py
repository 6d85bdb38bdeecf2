"""What a decision of the policy costs over a thousand rules: in this process, without a box around it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.accounts.domain import Role
from appliance.lib.jsontypes import JsonObject
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row
from appliance.safety.gate import Action, Gate
from appliance.safety.plant_state.domain import LockOut, Restraints, Scope, Target, Window, unfulfilled
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.policy.decision import LayerPolicy, Policy
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.keeper import PolicyKeeper
from appliance.safety.policy.model import PolicyFile, TimeIs
from appliance.safety.stop import AllStop
from appliance.safety.understood import classify as classify_command

CALM = AllStop()
RULES = 1000
DECISIONS = 2000
ROUNDS = 5
MODE = "plant/mode"


def _rule(number: int) -> dict[str, Any]:
    """Four of ten rules are about topics, half of those with a wildcard; the rest about the other kinds."""
    rule: dict[str, Any] = {"id": f"r{number}", "decide": "deny" if number % 3 else "allow"}
    match number % 10:
        case 0 | 1:
            return rule | {"topic": f"plant/line{number}/valve/cmd"}
        case 2 | 3:
            return rule | {"topic": f"plant/line{number}/+/cmd", "role": "operator"}
        case 4:
            return rule | {"kinds": "http", "arguments": {"url": f"https://host{number}.example/*"}}
        case 5:
            return rule | {"kinds": ["shell", "container"], "command": {"program": f"tool{number}"}}
        case 6:
            return rule | {"task": f"task{number}", "origin": ["cron", "mqtt"]}
        case 7:
            return rule | {"principal": f"user:person{number}", "time": {"from": "08:00", "to": "18:00"}}
        case 8:
            return rule | {"kinds": "device_write", "device": f"pump-{number}"}
    return rule | {"arguments": {"message": f"*word{number}*"}, "kinds": "notification"}


def _policy() -> Policy:
    file = {"policy": 1, "name": "bench", "layer": "box", "rules": [_rule(number) for number in range(RULES)]}
    return Policy([LayerPolicy(PolicyFile.model_validate(file), 1)])


def _action(number: int) -> tuple[Static, Facts]:
    """A publication that no rule matches: every rule that could is looked at."""
    arguments: JsonObject = {"topic": f"plant/hall{number % 50}/valve/cmd", "payload": number}
    static = Static("mqtt", "mqtt", "dose", "trigger:dose/hot")
    return static, Facts("mqtt", arguments, Role.OPERATOR, datetime.now(UTC), classify_command)


def _microseconds(decide: Callable[[int], object], count: int) -> float:
    """Per decision; the best of five rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(count):
            decide(number)
        best = min(best, (time.perf_counter() - began) / count * 1e6)
    return best


def busy_gate(home: Path) -> tuple[Gate, list[Action]]:
    """A gate with two budgets, a lock-out, a window and a condition on the plant, and what to ask it."""
    limits = {"kinds": "mqtt", "effects": 1000}
    file = {
        "policy": 1,
        "name": "bench",
        "layer": "box",
        "rules": [_rule(number) for number in range(RULES)],
        "budgets": [{"id": "all", **limits}, {"id": "each", "each": "task", **limits}],
        "plant": [{"id": "mode", "topic": "plant/#", "state": MODE, "is": "auto"}],
    }
    night = TimeIs.model_validate({"from": "00:00", "to": "24:00"})
    restraints = Restraints(
        [LockOut(1, Target(Scope.DEVICE, "press-*"), "user:ana", "open", datetime.now(UTC))],
        [Window(1, "nights", Target(Scope.TOPIC, "line9/#"), weekly=night)],
    )
    keeper = PolicyKeeper(Policy([LayerPolicy(PolicyFile.model_validate(file), 1)]), 10)
    gate = Gate(home, keeper=keeper, restraints=RestraintKeeper(restraints, 10))
    actions = [
        Action(
            static.kind,
            "idempotent",
            facts.arguments,
            static.principal,
            origin=static.origin,
            task=static.task,
        )
        for static, facts in map(_action, range(DECISIONS))
    ]
    return gate, actions


def _gate() -> Callable[[int], object]:
    """The gate as the reflex lane asks it."""
    gate, actions = busy_gate(Path("/nonexistent"))

    def decide(number: int) -> object:
        for one in gate.conditions(actions[number]):
            unfulfilled(one.rule, one.name, "auto")
        return gate.decide(actions[number], CALM, None)

    return decide


def policy(box: Box) -> list[Row]:
    """The box is not needed: this is the gate's own code."""
    found = _policy()
    actions = [_action(number) for number in range(DECISIONS)]

    def whole(number: int) -> object:
        """As for an action that comes once: nothing is decided beforehand."""
        return found.decide(*actions[number])

    def narrowed(number: int) -> object:
        """As for a task that acts again: its static part has been decided."""
        static, facts = actions[number]
        return found.narrow(static).decide(facts)

    return [
        Row("gate_decide_us", round(_microseconds(_gate(), DECISIONS), 1), "us", "lower", 50),
        Row("policy_decide_1000_us", round(_microseconds(whole, DECISIONS), 1), "us", "lower", 200),
        Row("policy_narrowed_us", round(_microseconds(narrowed, DECISIONS), 2), "us", "lower", 50),
    ]
