"""An agent on the real engine: the model is a script, everything that it reaches is the engine's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.actions.registry import registry
from appliance.runs import approvals
from appliance.runs.executor import Executor
from appliance.runs.shards.keeper import ShardKeeper
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word
from appliance.safety.policy.services import apply
from tests.integration.runs.conftest import Engine, Pool, clean, pool, silent_hints
from tests.scripted_model import Line, Script

__all__ = ["clean", "pool", "silent_hints"]

ALLOW = "policy: 1\nname: t\nlayer: box\ndefault: allow\n"


class Agent(Engine):
    """``script`` is what the model says."""

    script: Script

    def says(self, *lines: Line) -> Script:
        self.script = Script(list(lines))
        self.world.answering = self.script
        return self.script

    async def policy(self, text: str = ALLOW) -> None:
        await sync_to_async(apply)(text, "p.yaml", CONSOLE, self.clock.now(), kinds=registry())

    async def ask(
        self, *, goal: str = "Find out why pump 3 is hot.", tools: str = "[readings.last, mqtt]", **keys: str
    ) -> UUID:
        """A run of one task ``t`` with a step ``think``, and one after it that has its output."""
        said = "".join(f"      {key}: {value}\n" for key, value in keys.items())
        return await self.begin(
            "- name: t\n  trigger: manual\n  vars: {line: ''}\n  actions:\n    - id: think\n      type: agent\n"
            f'      goal: "{goal}"\n      tools: {tools}\n{said}'
            '    - {id: after, type: set, value: "{{ outputs.think }}"}\n'
        )

    async def go_on(self, run_id: UUID, worker: Executor | None = None) -> dict[str, Any]:
        """Run and shard are worked on until both wait for something or are at their end."""
        await self.perform(run_id, worker)
        for row in await self.shards():
            if row["state"] == "queued":
                await self.perform(row["id"], worker)
        await ShardKeeper(self.pool).look()
        if (await self.run(run_id))["state"] == "queued":
            await self.perform(run_id, worker)
        return await self.run(run_id)

    async def shards(self) -> list[dict[str, Any]]:
        return await self.sql("SELECT * FROM runs_run WHERE split_id IS NOT NULL ORDER BY id")

    async def inside(self) -> UUID:
        """The run of the agent itself."""
        (row,) = await self.shards()
        found: UUID = row["id"]
        return found

    async def row(self, step: str, run_id: UUID | None = None) -> dict[str, Any]:
        rows = await self.sql(
            "SELECT * FROM runs_step WHERE run_id = %s AND step = %s ORDER BY attempt DESC",
            run_id or await self.inside(),
            step,
        )
        return rows[0] if rows else {}

    async def approvals(self) -> list[Approval]:
        return [row async for row in Approval.objects.order_by("id")]

    async def say(self, choice: Choice, reason: str = "", who: str = "anna") -> None:
        row = (await self.approvals())[-1]
        by = await sync_to_async(lambda: User.objects.get(username=who).principal)()
        word = Word(choice, by, Way.WEB, self.clock.now(), reason=reason)
        await sync_to_async(approvals.decide)(str(row.pk), word)


@pytest.fixture
async def agent(pool: Pool, tmp_path: Path, silent_hints: None) -> AsyncIterator[Agent]:
    made = Agent(pool, tmp_path)
    await sync_to_async(User.objects.create)(username="anna", role="engineer")
    yield made
    await sync_to_async(connections.close_all)()
