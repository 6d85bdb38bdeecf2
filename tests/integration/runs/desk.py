"""The engine with a gate that asks, and people who may answer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.runs import approvals
from appliance.safety.allstop import AllStop
from appliance.safety.approvals.domain import Choice, Terms, Way
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word
from appliance.safety.gate import Action, Decision, Gate, Verdict
from tests.integration.runs.conftest import Engine, Pool, task

VALVE = """    - {id: open, type: mqtt, topic: plant/valve, payload: "{{ state('plant/mode') }}"}\n"""
CONTAINED = "    - {id: act, type: container, image: tools, args: [work]}\n"
PLAIN = "    - {id: open, type: mqtt, topic: plant/valve, payload: '1'}\n"


class AskingGate(Gate):
    """A gate whose policy says: a publish, or a container, needs one. The terms and the version are the test's."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.policy = "v1"
        self.terms = Terms(approvers=Role.ENGINEER)

    def decide(self, action: Action, stop: AllStop, role: Role | None) -> Verdict:
        verdict = super().decide(action, stop, role)
        if verdict.outcome is not Decision.ALLOW or action.kind not in ("mqtt", "container"):
            return verdict
        return replace(
            verdict,
            outcome=Decision.ASK,
            rule="valves.ask",
            reason="valves are dear",
            in_force=self.policy,
            terms=self.terms,
        )


class Desk(Engine):
    """The engine with a gate that asks, and people."""

    asking: AskingGate

    def gate(self) -> Gate:
        return self.asking

    async def asked(self, text: str = PLAIN, **keys: str) -> UUID:
        """A run that waits for an approval now."""
        run_id = await self.begin(task(text, **keys))
        await self.perform(run_id)
        assert await self.state(run_id) == "waiting:approval"
        return run_id

    async def rows(self) -> list[Approval]:
        return [row async for row in Approval.objects.order_by("id")]

    async def say(self, choice: Choice, who: str = "anna", ref: str | None = None, **more: Any) -> Approval:
        row = (await self.rows())[-1]
        by = await sync_to_async(lambda: User.objects.get(username=who).principal)()
        word = Word(choice, by, Way.WEB, self.clock.now(), **more)
        return await sync_to_async(approvals.decide)(ref or str(row.pk), word)

    async def mode(self, value: str) -> None:
        await self.sql(
            "INSERT INTO bus_topicvalue (topic, payload, size, retained, value, quality, at, count, rate) "
            "VALUES ('plant/mode', 'x', 1, false, to_jsonb(%s::text), 'good', now(), 1, 0) "
            "ON CONFLICT (topic) DO UPDATE SET value = excluded.value, at = excluded.at",
            value,
        )

    async def audit(self, kind: str) -> list[dict[str, Any]]:
        return await self.sql(
            "SELECT principal, subject, body::jsonb -> 'detail' AS detail FROM audit_record "
            "WHERE kind = %s ORDER BY seq",
            kind,
        )


@pytest.fixture
async def desk(pool: Pool, tmp_path: Path, silent_hints: None) -> AsyncIterator[Desk]:
    made = Desk(pool, tmp_path)
    made.asking = AskingGate(tmp_path)

    def people() -> None:
        for name, role in (
            ("anna", "engineer"),
            ("ben", "engineer"),
            ("olga", "operator"),
            ("vic", "viewer"),
        ):
            User.objects.create(username=name, role=role)

    await sync_to_async(people)()
    yield made
    await sync_to_async(connections.close_all)()
