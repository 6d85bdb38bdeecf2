"""What the tools of this box do when a program calls them. It knows no protocol: see ``application``."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import McpRefused
from appliance.agent.loop.outside import bounded
from appliance.agent.mcp.server import offering
from appliance.agent.mcp.server.offering import Offered, TaskTool
from appliance.agent.mcp.server.runs import Caller, Once, Told, begin, run_number, told
from appliance.lib.clock import Clock
from appliance.lib.in_django import Apart
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs import services as runs
from appliance.tasks import services as tasks
from appliance.tasks.models import Task

Progress = Callable[[int, str], Awaitable[None]]
"""How many steps are at their end, and how the run is."""
Begun = Callable[[str], None]
"""Is told the number of the run that a call has begun."""

LONGEST_ANSWER = 64_000
"""Characters of what a question gives."""
MOST_RESOURCES = 100
FIRST_LOOK, LAST_LOOK = 0.1, 1.0
"""Seconds between two looks at a run that is waited for: each is half as long again as the one before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool gave. ``failed``: it says why not."""

    body: JsonValue
    failed: bool = False

    @property
    def text(self) -> str:
        said = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        return bounded(said, LONGEST_ANSWER)

    @property
    def structured(self) -> JsonObject | None:
        """As an object, where it is short enough to be given whole."""
        if len(self.text) >= LONGEST_ANSWER or isinstance(self.body, str):
            return None
        return self.body if isinstance(self.body, dict) else {"result": self.body}


class Desk:
    """``once`` keeps a call that comes twice from being done twice."""

    def __init__(self, clock: Clock, once: Once) -> None:
        self._clock, self._once = clock, once
        self._in_thread = Apart(ThreadPoolExecutor(4, thread_name_prefix="mcp"))

    async def tools(self, by: Principal) -> list[Offered]:
        return await self._in_thread(offering.offered, by)

    async def call(
        self, name: str, given: JsonObject, caller: Caller, progress: Progress, begun: Begun
    ) -> Answer:
        """Raises McpRefused for what is no tool, MillwrightError for what is not to be done."""
        now, query = self._clock.now(), offering.query_named(name)
        if query is not None:
            return Answer(await self._in_thread(offering.answer, query, given, caller.by, now))
        if name == offering.CANCEL:
            return Answer(await self._in_thread(self._cancel, given, caller.by))
        tool = await self._in_thread(offering.task_named, name, caller.by)
        if tool is None:
            raise McpRefused(f"there is no tool {name[:80]!r}", hint="tools/list gives those that there are")
        return await self._task(tool, given, caller, progress, begun)

    async def cancel(self, run: str, by: Principal) -> None:
        """Whoever asked for a run withdraws it. Raises what ``runs.cancel`` raises."""
        await self._in_thread(self._cancel, {"run": run}, by)

    async def resources(self, by: Principal) -> list[tuple[str, str]]:
        """Tasks that ``by`` may look at: each name with what it is for."""
        return await self._in_thread(_resources, by)

    async def read(self, kind: str, name: str, by: Principal) -> str:
        """The text of a task, or a run as ``runs.show`` gives it. Raises MillwrightError."""
        if kind == "runs":
            query = offering.query_named("runs.show")
            assert query is not None, "it ships with the box"
            now = self._clock.now()
            return Answer(await self._in_thread(offering.answer, query, {"run": name}, by, now)).text
        return await self._in_thread(_task_text, name, by)

    async def _task(
        self, tool: TaskTool, given: JsonObject, caller: Caller, progress: Progress, begun: Begun
    ) -> Answer:
        run_id = await self._in_thread(begin, tool, given, caller, self._clock.now(), self._once)
        begun(str(run_id))
        until, pause, before = self._clock.monotonic() + tool.wait, FIRST_LOOK, ""
        while True:
            seen: Told = await self._in_thread(told, run_id, caller.by, self._clock.now())
            if f"{seen.done} {seen.line}" != before:
                before = f"{seen.done} {seen.line}"
                await progress(seen.done, seen.line)
            left = until - self._clock.monotonic()
            if seen.ended or left <= 0:
                return Answer(seen.body, seen.failed)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, LAST_LOOK)

    def _cancel(self, given: JsonObject, by: Principal) -> JsonObject:
        run_id = run_number(given.get("run"))
        runs.cancel(run_id, by)
        return {"run": str(run_id), "state": "it is being ended"}


def _resources(by: Principal) -> list[tuple[str, str]]:
    rows = Task.objects.filter(current__isnull=False).select_related("current").order_by("name")
    found = [
        (task.name, str(task.current.definition.get("description") or "")[: offering.LONGEST_SAY])
        for task in rows[: MOST_RESOURCES * 5]
        if task.current is not None and by.can(Ability.VIEW, task=task.name)
    ]
    return found[:MOST_RESOURCES]


def _task_text(name: str, by: Principal) -> str:
    by.require(Ability.VIEW, task=name)
    task = tasks.find(name)
    return task.current.text if task.current is not None else ""
