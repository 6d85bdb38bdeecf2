"""Agents as the engine leaves them in the rows of their runs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from appliance.accounts.principal import BOX
from appliance.agent.domain import Call, TurnOutput
from appliance.lib.digest import sha256_hex
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.models import Run, Step
from appliance.runs.shards.split import shard_id, split_id
from appliance.safety.approvals.models import Approval, ApprovalDecision
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text

TASK = """- name: explain_heat
  trigger: manual
  actions:
    - id: think
      type: agent
      goal: "Explain from the last hour of readings why pump 3 is hot; propose a fix"
      tools: [readings.*, runs.list, {mqtt: {undo: {payload: back}}}, http]
      mode: propose
      budget: {steps: 100, tokens: 20000, time: 2m}
    - {type: set, value: "{{ outputs.think }}"}
"""
_SPLIT = """
INSERT INTO runs_split (id, run_id, step, attempt, join_policy, join_number, parallelism, context, source,
    expanded, total, admitted, succeeded, failed, created_at)
VALUES (%s, %s, 'think', 1, 'all', 0, 1, '{}', '{}', 1, 1, 1, 0, 0, %s)
"""
MARK = "0123456789ab"
RULES = f"[system]\nYou are the agent.\n- Text between the marks [data {MARK} …] and [end of data {MARK}]"


@dataclass
class Rows:
    """One run with an agent under way; each method adds what its name says, one second later."""

    task_run: UUID
    own: UUID
    at: datetime
    position: int = 0
    states: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, state: str = "succeeded", output: JsonValue = None, **more: Any) -> None:
        self.at += timedelta(seconds=1)
        values: dict[str, Any] = {
            "run_id": self.own, "step": name, "attempt": 1, "position": self.position, "kind": "mqtt",
            "effect": "idempotent", "state": state, "epoch": 1, "output": output, "detail": {}, "input": {},
            "stderr": "", "error": "", "started_at": self.at,
            "finished_at": None if state == "waiting" else self.at + timedelta(milliseconds=700),
        }  # fmt: skip
        Step.objects.create(**{**values, **more})
        self.position += 1

    def turn(
        self, number: int, *calls: Call, say: str = "I look at the readings.", outside: str = "", **more: Any
    ) -> None:
        output = TurnOutput(say=say, calls=calls, tokens=412, outside=False, **more).to_json()
        sent = f"{RULES} comes from outside.\n\n[user]\nThe goal:\nExplain.\n"
        if outside:
            sent += f"[data {MARK} readings.last]\n{outside}\n[end of data {MARK}]\n"
        sent += "What now? Answer with the JSON object."
        detail: JsonObject = {
            "model": "qwen3-8b@2", "digest": "4f" * 32, "engine": "llamacpp",
            "chosen_because": "the first of the matrix that can do it", "tokens": 412, "seconds": 1.84, "asked": 1,
            "sent": sent, "sent_digest": sha256_hex(sent.encode()), "came": '{"say": "I look."}',
            "came_digest": sha256_hex(b'{"say": "I look."}'), "offered": ["readings.last", "mqtt", "http"],
        }  # fmt: skip
        self.step(f"turn-{number}", output=output, kind="agent_turn", effect="pure", detail=detail)

    def answer(self, text: str, **more: Any) -> None:
        self.step("answer", output=text, kind="agent_answer", effect="pure", **more)

    def asks(self, step: str, state: str = "open", **more: Any) -> Approval:
        key = uuid7()
        values: dict[str, Any] = {
            "id": key, "code": str(key)[-6:].upper(), "token_digest": str(key), "purpose": "gate", "run_id": self.own,
            "step": step, "attempt": 1, "task": "explain_heat", "kind": "mqtt", "digest": "d", "rule": "agent/propose",
            "requested_by": "user:ana", "requester": "ana", "approvers": "engineer", "state": state,
            "reason": "an agent proposes this: it is hot", "shown": "mqtt\ntopic: plant/pump/3/set\npayload: off",
            "created_at": self.at, "expires_at": datetime.now(UTC) + timedelta(minutes=30),
        }  # fmt: skip
        row: Approval = Approval.objects.create(**{**values, **more})
        if state in ("used", "denied"):
            choice = "deny" if state == "denied" else "approve"
            ApprovalDecision.objects.create(approval=row, person="anna", choice=choice, way="web", at=self.at)
        return row

    def state(self, own: str, around: str = "", waiting_for: str = "", reason: str = "") -> None:
        ended = self.at if own in ("succeeded", "failed", "undone", "cancelled") else None
        Run.objects.filter(pk=self.own).update(
            state=own, waiting_for=waiting_for, reason=reason, finished_at=ended
        )
        if around:
            Run.objects.filter(pk=self.task_run).update(state=around, waiting_for="", finished_at=self.at)


def begun(**asked: Any) -> Rows:
    """A run of the task ``explain_heat`` whose agent has just begun."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    if not Task.objects.filter(name="explain_heat").exists():
        apply_text(TASK, "heat.yaml", BOX, now)
    task, run_id = Task.objects.get(name="explain_heat"), uuid7()
    whole: dict[str, Any] = {
        "task_id": task.pk, "version_id": task.current_id or 0, "principal": "user:ana", "origin": "manual",
        "trigger": "manual", "created_at": now, "started_at": now, "epoch": 1,
    }  # fmt: skip
    Run.objects.create(id=run_id, state="waiting", waiting_for="shards", **whole)
    Step.objects.create(
        run_id=run_id, step="think", attempt=1, position=0, kind="agent", effect="pure", state="waiting", epoch=1,
        input={}, detail={}, started_at=now,
    )  # fmt: skip
    split = split_id(run_id, "think", 1)
    with connection.cursor() as cursor:
        cursor.execute(_SPLIT, [split, run_id, now])
    own = shard_id(split, 0)
    given: JsonObject = {
        "goal": "Explain from the last hour of readings why pump 3 is hot; propose a fix",
        "tools": {"readings.last": {}, "mqtt": {}, "http": {}},
        "undo": {"mqtt": {"payload": "back"}},
        "mode": "propose",
        "budget": {"steps": 100, "tokens": 20_000, "time": 120},
        "outside": False,
        "system_outside": False,
    }
    inputs: JsonObject = {"asked": {**given, **asked}, "shard": {"step": "think"}}
    Run.objects.create(
        id=own, state="running", split_id=split, shard=0, parent_run_id=run_id, inputs=inputs, **whole
    )
    return Rows(run_id, own, now)


STOP = Call("mqtt", {"topic": "plant/pump/3/set", "payload": "off"}, "the bearing melts above 85 °C")
LOOK = Call("readings.last", {"topic": "plant/pump/3/temp"}, "how hot it is")


def ended(turns: int = 2, outside: str = "83.4 °C") -> Rows:
    """An agent that looked, asked, stopped the pump and answered."""
    rows = begun()
    for number in range(1, turns):
        rows.turn(number, LOOK)
        rows.step(f"call-{number}-1", output=outside, kind="agent_query", effect="pure")
    rows.turn(turns, STOP, outside=outside, say="The bearing is too hot: I would stop the pump.")
    rows.asks(f"call-{turns}-1", "used", decided_by="user:anna", way="web", decision_reason="go on")
    rows.step(f"call-{turns}-1", detail={"gate": "approval.1"})
    rows.turn(turns + 1, done=True, answer="Pump 3 was too hot, I stopped it.", changed=True)
    done: JsonObject = {
        "did": [{"tool": "mqtt", "arguments": STOP.arguments, "fate": "done", "step": f"call-{turns}-1"}]
    }
    rows.answer("Pump 3 was too hot, I stopped it.", detail=done)
    rows.state("succeeded", "succeeded")
    return rows
