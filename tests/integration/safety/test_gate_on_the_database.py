import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.services import create_user, set_active, set_role
from appliance.safety.allstop import engage, release
from appliance.safety.gate import Action, Decision, Gate
from appliance.safety.stop import Level
from tests.database import connect_async

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def decide(home: Path, principal: str) -> str:
    async with await connect_async() as db:
        action = Action("shell", "unsafe", {"command": "uptime"}, principal)
        return (await Gate(home).pass_(db, action)).outcome


async def in_thread(work: object, *arguments: object) -> None:
    def call() -> None:
        try:
            assert callable(work)
            work(*arguments)
        finally:
            connection.close()

    await asyncio.to_thread(call)


async def test_a_stop_of_a_moment_ago_counts(tmp_path: Path) -> None:
    assert await decide(tmp_path, "trigger:t/a") == Decision.ALLOW
    await in_thread(engage, Level.FREEZE, "r", CONSOLE, NOW, tmp_path)
    assert await decide(tmp_path, "trigger:t/a") == Decision.HOLD
    assert await decide(tmp_path / "elsewhere", "trigger:t/a") == Decision.HOLD, (
        "the database alone stops too"
    )
    await in_thread(release, "r", Principal("user:ana", Role.ADMIN), NOW, tmp_path)
    assert await decide(tmp_path, "trigger:t/a") == Decision.ALLOW


async def test_a_person_who_lost_the_role_loses_it_in_runs_under_way(tmp_path: Path) -> None:
    await in_thread(create_user, "ana", "quiet-lathe-4711", Role.OPERATOR, CONSOLE)
    assert await decide(tmp_path, "user:ana") == Decision.ALLOW
    await in_thread(set_role, "ana", Role.VIEWER, CONSOLE)
    assert await decide(tmp_path, "user:ana") == Decision.DENY
    await in_thread(set_role, "ana", Role.OPERATOR, CONSOLE)
    await in_thread(set_active, "ana", False, CONSOLE)
    assert await decide(tmp_path, "user:ana") == Decision.DENY
    assert await decide(tmp_path, "user:nobody") == Decision.DENY
