"""The world of a stand: a twin of a plant, in memory. What an agent's steps reach is this, and nothing else."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from appliance.agent.suite.files import Said, look
from appliance.agent.suite.problem import Situation
from appliance.bus.filters import check_not_own
from appliance.inference.asking import Question, Reply
from appliance.inference.leases import Wish
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify
from appliance.sandbox.docker.client import Where
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Captured, Job, Outcome, Usage

BOX = "suite"
Answering = Callable[[Question, Wish], Awaitable[Reply]]


@dataclass
class World:
    """The services of the steps (``appliance.actions.contract.Services``). ``changed`` is told what topics say now."""

    situation: Situation
    clock: Clock
    answering: Answering
    changed: Callable[[JsonObject], Awaitable[None]]
    published: list[tuple[str, str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """Those that do more than read."""
    used: set[int] = field(default_factory=set)
    """Commands of the situation that have been given, by their place."""

    async def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float, broker: str = ""
    ) -> None:
        check_not_own(topic, BOX)
        text = payload.decode(errors="replace")
        self.published.append((topic, text))
        so_often = sum(one == (topic, text) for one in self.published)
        for reaction in self.situation.reactions:
            fits = reaction.topic == topic and reaction.payload in (None, text)
            if fits and so_often >= reaction.from_the:
                await self.changed(reaction.then)

    async def reach(self, broker: str, patience: float) -> bool:
        return False

    async def run_confined(self, job: Job, on_output: Callable[[str, bytes], None] | None) -> Outcome:
        """Nothing is executed: the line is looked up in the situation, or read as one that looks at a file."""
        script = _script(job.argv)
        found, _ = classify("shell", {"command": {"script": script, "arguments": []}})
        if found is not CommandClass.READ:
            self.commands.append(script)
        for place, one in enumerate(self.situation.commands):
            if not (one.once and place in self.used) and re.fullmatch(one.match, script.strip()):
                self.used.add(place)
                await self.changed(one.then)
                return self._outcome(Said(one.exit, one.out, one.err))
        return self._outcome(look(script, self.situation.files))

    async def run_contained(
        self, job: Job, where: Where, on_output: Callable[[str, bytes], None] | None
    ) -> Outcome:
        raise SandboxUnavailable("There are no containers on the stand.")

    async def ask(self, question: Question, wish: Wish, on_text: Callable[[str], None] | None) -> Reply:
        return await self.answering(question, wish)

    def _outcome(self, said: Said) -> Outcome:
        out, err = said.out.encode(), said.err.encode()
        return Outcome(
            said.exit, None, False, False,
            Captured(out, b"", len(out)), Captured(err, b"", len(err)),
            self.clock.now(), timedelta(milliseconds=1), Usage(0.0, 0.0, 0),
        )  # fmt: skip


def _script(argv: tuple[str, ...]) -> str:
    """What was written as ``command:``, of how the step has a shell do it."""
    return argv[argv.index("-c") + 1] if "-c" in argv else " ".join(argv)


def as_said(value: JsonValue) -> str:
    """How a device says it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def same(text: str, wanted: Any) -> bool:
    """Whether a payload says what is wanted: as text, or as JSON."""
    if wanted is None or text == as_said(wanted):
        return True
    try:
        said = json.loads(text)
    except ValueError:
        return False
    if isinstance(wanted, str):
        try:
            wanted = json.loads(wanted)
        except ValueError:
            return False
    return bool(said == wanted)
