"""What one program may cost the others at /mcp, and that it costs nothing while none comes."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from webadmin.gateway.flow import BURST
from webadmin.mcp.door import VERSION, Door, Refused
from webadmin.mcp.limits import IDLE, MOST_OPEN, REMEMBERED, Programs, Session

HEAVY = ("mcp", "mcp_types", "starlette", "opentelemetry", "sse_starlette", "uvicorn", "jsonschema", "httpx2")


def test_the_protocol_is_not_loaded_before_somebody_speaks_it() -> None:
    looked = (
        "import sys, webadmin.asgi; "
        f"print([one for one in {HEAVY!r} if one in sys.modules and one != 'jsonschema'])"
    )
    done = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_session_that_rests_too_long_is_forgotten_and_one_that_works_is_not() -> None:
    programs = Programs()
    one = programs.of(1, 0.0)
    one.sessions = {"rests": Session("rests", 0.0), "works": Session("works", 0.0, open=1)}
    one.forget_idle(IDLE - 1)
    assert set(one.sessions) == {"rests", "works"}
    one.forget_idle(IDLE)
    assert set(one.sessions) == {"works"}


def test_the_session_that_has_rested_longest_makes_room() -> None:
    one = Programs().of(1, 0.0)
    assert one.resting() is None
    one.sessions = {"a": Session("a", 5.0), "b": Session("b", 3.0), "c": Session("c", 1.0, open=1)}
    resting = one.resting()
    assert resting is not None
    assert resting.key == "b"


def test_a_program_is_remembered_while_it_could_still_be_too_fast() -> None:
    programs = Programs()
    programs.of(1, 0.0)
    programs.tidy(REMEMBERED - 1)
    assert [one.token_id for one in programs] == [1]
    programs.tidy(REMEMBERED)
    assert list(programs) == []


def nothing() -> Any:
    raise AssertionError("nobody has passed")


async def admitted(times: int, *, leave: bool) -> None:
    """So many requests of one token, as fast as they can be."""
    door, token = Door(nothing), SimpleNamespace(pk=1)
    for _ in range(times):
        exchange = await door._admitted(token, {VERSION: b"2026-07-28"})  # type: ignore[arg-type]
        if leave:
            door._leave(exchange)


async def test_who_has_too_much_under_way_is_told_when_to_come_again() -> None:
    await admitted(MOST_OPEN, leave=False)
    with pytest.raises(Refused) as refused:
        await admitted(MOST_OPEN + 1, leave=False)
    assert (refused.value.status, refused.value.headers) == (429, ((b"retry-after", b"1"),))


async def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    await admitted(BURST, leave=True)
    with pytest.raises(Refused) as refused:
        await admitted(BURST * 20, leave=True)
    assert (refused.value.status, refused.value.headers) == (429, ((b"retry-after", b"1"),))
