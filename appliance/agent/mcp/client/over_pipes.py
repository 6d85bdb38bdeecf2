"""A talk with a command: it runs confined for this one talk, and a driver beside it speaks the protocol."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from appliance.agent.errors import McpAway, McpRefused, McpUnclear
from appliance.agent.mcp.client import driver
from appliance.agent.mcp.client.domain import ServerSpec, ToolSeen
from appliance.agent.mcp.client.talking import Talked, Wanted, answer_of, seen
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job, Limits, Outcome

OUTPUT = 8 << 20
MARGIN = 2.0
"""Seconds between the driver's own end and that of its job."""
DRIVER, SAID = "talk.py", "talk.json"

Run = Callable[[Job], Awaitable[Outcome]]
"""Runs a job confined. Raises SandboxUnavailable, JobRefused, JobLost."""


class OverPipes:
    def __init__(self, spec: ServerSpec, run: Run) -> None:
        self._spec, self._run = spec, run

    async def __call__(self, secret: str, wanted: Wanted | None, seconds: float) -> Talked:
        try:
            outcome = await self._run(self._job(secret, wanted, seconds))
        except SandboxUnavailable as error:
            raise McpAway(str(error)) from error
        except JobRefused as error:
            raise McpRefused(str(error)) from error
        except JobLost as error:
            raise McpUnclear(str(error)) from error
        return self._read(outcome, wanted)

    def _job(self, secret: str, wanted: Wanted | None, seconds: float) -> Job:
        said: JsonObject = {"command": [*self._spec.command], "seconds": max(1.0, seconds - MARGIN)}
        if wanted is not None:
            said["call"] = {"name": wanted.tool, "arguments": wanted.arguments, "digest": wanted.digest}
        return Job(
            # The interpreter itself, not its name in an environment that a job does not see.
            argv=(str(Path(sys.executable).resolve()), "-I", "-S", DRIVER),
            env={self._spec.env: secret} if self._spec.env and secret else {},
            files={DRIVER: Path(driver.__file__).read_text(), SAID: json.dumps(said)},
            reads=self._spec.reads,
            timeout=seconds,
            output_limit=OUTPUT,
            limits=Limits(processes=64),
            label=f"the server of tools {self._spec.name}",
        )

    def _read(self, outcome: Outcome, wanted: Wanted | None) -> Talked:
        lines = _lines(outcome)
        given, sent = (lines[-1] if lines else {}), any(one.get("sent") is True for one in lines)
        if "tools" not in given:
            said = str(
                given.get("failed") or outcome.stderr.text.strip()[-300:] or "the command gave no answer"
            )
            why = f"{self._spec.name}: {said}"
            raise McpUnclear(why) if sent else McpRefused(why)
        tools = tuple(_tool(one) for one in _list(given["tools"]) if isinstance(one, dict))
        result = given.get("result")
        if wanted is None or not isinstance(result, dict):
            return Talked(tools)
        content = [one for one in _list(result.get("content")) if isinstance(one, dict)]
        answer = answer_of(content, result.get("structuredContent"), result.get("isError") is True)
        return Talked(tools, answer)


def _lines(outcome: Outcome) -> list[JsonObject]:
    """What the driver wrote; a flood that was cut is no JSON any more."""
    found: list[JsonObject] = []
    for line in outcome.stdout.text.splitlines():
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict):
            found.append(one)
    return found


def _tool(one: JsonObject) -> ToolSeen:
    return seen(one.get("name"), one.get("description"), one.get("inputSchema"), one.get("annotations"))


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
