"""Who stands before a lock in the test database."""

from tests.integration.runs.conftest import Engine


async def waits_for_a_lock(engine: Engine) -> bool:
    """Whether any session does now."""
    rows = await engine.sql(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)
