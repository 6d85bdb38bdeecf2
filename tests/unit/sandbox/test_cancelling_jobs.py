"""Ending jobs while the engine cannot end one of them: no engine can be brought to that at will."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.sandbox.docker.engine import Engine, EngineRefused
from appliance.sandbox.docker.pool import Pool
from appliance.sandbox.docker.runner import Rules, Runner
from appliance.sandbox.docker.running import Running


@dataclass
class OneStaysAlive:
    """An engine that answers as the real one for a container in uninterruptible sleep."""

    killed: list[str] = field(default_factory=list)

    async def signal(self, container: str, name: str) -> None:
        if container == "stuck":
            raise EngineRefused(
                500, "cannot kill container: tried to kill, but did not receive an exit event"
            )
        self.killed.append(container)


def job(container: str, run: str) -> Running:
    given = SimpleNamespace(
        container=SimpleNamespace(id=container), request=SimpleNamespace(run=run), cancelled=False
    )
    return cast("Running", given)


async def test_a_container_that_cannot_be_ended_keeps_no_other_alive() -> None:
    engine = OneStaysAlive()
    runner = Runner(cast("Engine", engine), cast("Pool", None), cast("Rules", None))
    jobs: dict[str, Any] = {name: job(name, "run-1") for name in ("stuck", "one", "two")}
    runner.jobs.update(jobs)
    runner.jobs["other"] = job("other", "run-2")
    with pytest.raises(EngineRefused, match="cannot kill"):
        await runner.cancel("run-1")
    assert sorted(engine.killed) == ["one", "two"]
    assert [one.cancelled for one in runner.jobs.values()] == [True, True, True, False]
