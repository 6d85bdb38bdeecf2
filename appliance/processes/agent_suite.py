"""The agent's suite in a place of its own: a box's engines in a home that is made for it and taken away after it.

A stand empties the tables of its box before each problem. So it works on a home that says that it is one of these, and
on no other; the box that the command was called on is asked for nothing but, where a model is named, its models.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.core.management import call_command
from django.db import connection

from appliance.agent.suite.errors import NoScratchPlace
from appliance.agent.suite.judging import faults
from appliance.agent.suite.playing import NAME
from appliance.agent.suite.problem import Problem
from appliance.agent.suite.seen import Seen
from appliance.agent.suite.shop import Shop
from appliance.agent.suite.stand import new_stand
from appliance.agent.suite.world import Answering
from appliance.inference.asking import Asker, Question, Reply
from appliance.inference.client import KeeperClient
from appliance.inference.leases import Wish
from appliance.lib.config import ROOT, Config
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.processes.bench.box import Engines
from appliance.processes.bench.modes import CRASH_SAFE
from appliance.processes.parts import open_pool

MARK = "agent-suite"
"""The file in a home that says that whatever is in it may be thrown away."""
_KEPT = ("django_migrations", "django_content_type", "auth_permission")
_FILLED = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relname = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 32 = 32)
"""


@dataclass(frozen=True, slots=True)
class Result:
    problem: Problem
    seen: Seen
    faults: tuple[str, ...]

    def to_json(self) -> JsonObject:
        said: list[JsonValue] = list(self.faults)
        return {"problem": self.problem.id, "solved": not self.faults, "faults": said, **self.seen.to_json()}


def in_a_home_of_its_own(arguments: Sequence[str], keeper: Path) -> int:
    """Start engines in a new home, have ``manage.py agent_suite`` run there, and take it all away; its exit status.

    Raises RuntimeError where the engines do not start.
    """
    with Engines(**CRASH_SAFE) as box:
        (box.home / MARK).touch()
        command = [
            sys.executable,
            str(ROOT / "manage.py"),
            "agent_suite",
            "--inside",
            str(keeper),
            *arguments,
        ]
        return subprocess.run(command, env={**os.environ, **box.environment}, check=False).returncode


def inside(
    config: Config, problems: Sequence[Problem], model: str, keeper: Path, told: Callable[[Result], None]
) -> list[Result]:
    """In such a home: go through the problems, one after another. Raises NoScratchPlace."""
    if not (config.home.path / MARK).exists():
        raise NoScratchPlace(f"{config.home.path} is a box's home, and no place to try things out in")
    call_command("migrate", interactive=False, verbosity=0)
    answering = _asking(model, keeper) if model else None
    return asyncio.run(_through(config, problems, answering, told))


async def _through(
    config: Config, problems: Sequence[Problem], answering: Answering | None, told: Callable[[Result], None]
) -> list[Result]:
    shop = Shop(config.home)
    await in_django(shop.open)
    pool, results = await open_pool(config), []
    try:
        for problem in problems:
            await in_django(_emptied)
            seen = await new_stand(pool, config.home.path, shop, answering).go_through(problem)
            results.append(Result(problem, seen, tuple(faults(problem.check, seen))))
            told(results[-1])
    finally:
        await pool.close()
    return results


def _asking(model: str, keeper: Path) -> Answering:
    """That model of the box that the command was called on, whatever a problem's task names."""
    asker = Asker(KeeperClient(keeper))

    async def ask(question: Question, wish: Wish) -> Reply:
        return await asker.ask(question, wish.model_copy(update={"model": model}))

    return ask


def _emptied() -> None:
    """A box on which nothing has happened yet. Tables that nobody may empty (the audit record) stay as they are."""
    tables = {one._meta.db_table for one in apps.get_models(include_auto_created=True)}
    with connection.cursor() as cursor:
        cursor.execute(_FILLED, [sorted((tables | {"devices_reading", "outbox_item"}) - set(_KEPT))])
        names = ", ".join(f'"{row[0]}"' for row in cursor.fetchall())
        cursor.execute(f"TRUNCATE {names} CASCADE")


def report(results: Sequence[Result], model: str) -> JsonObject:
    rows: list[JsonValue] = [one.to_json() for one in results]
    solved = sum(not one.faults for one in results)
    return {
        "model": model or NAME,
        "problems": len(results),
        "solved": solved,
        "rate": round(solved / len(results), 4) if results else None,
        "results": rows,
    }


def written(report: JsonObject) -> str:
    return json.dumps(report, ensure_ascii=False, indent=1)
