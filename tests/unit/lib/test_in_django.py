"""Whose thread a look into the database takes, and that its connection is looked after in each."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.lib.in_django import Apart, in_django


def thread() -> str:
    return threading.current_thread().name


async def test_a_process_has_one_thread_and_what_is_apart_another() -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="own") as threads:
        shared = await in_django(thread)
        assert await in_django(thread) == shared
        assert await Apart()(thread) not in (shared, thread())
        assert (await Apart(threads)(thread)).startswith("own")


async def test_what_waits_apart_holds_up_neither_the_others_apart_nor_the_process() -> None:
    gate, apart = threading.Event(), Apart()
    waiting = asyncio.create_task(apart(gate.wait, 30))
    assert await asyncio.wait_for(apart(int, "7"), 10) == 7
    assert await asyncio.wait_for(in_django(int, "7"), 10) == 7
    gate.set()
    assert await waiting


@pytest.mark.parametrize("call", [in_django, Apart()])
async def test_the_connection_is_looked_at_before_and_after_whatever_happens(
    call: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("appliance.lib.in_django.close_old_connections", lambda: seen.append("looked"))
    await call(seen.append, "worked")
    with pytest.raises(ValueError, match="invalid literal"):
        await call(int, "x")
    assert seen == ["looked", "worked", "looked", "looked", "looked"]
