"""What every backend keeps, whatever engine stands behind it."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from appliance.inference.backends.contract import Backend, Plan, Readiness, Running, Sign
from appliance.inference.errors import ModelRefused
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.ports import Served
from appliance.lib.jsontypes import JsonObject
from tests.contract.inference.members import HARDWARE, Member
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
ASKED: JsonObject = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0}


def planned(member: Member, backend: Backend) -> Plan:
    return backend.plan(member.model, member.folder, member.profile, HARDWARE, None)


@asynccontextmanager
async def built(member: Member) -> AsyncIterator[Backend]:
    backend = member.build()
    yield backend
    await backend.close()


@asynccontextmanager
async def loaded(member: Member, backend: Backend, generation: int) -> AsyncIterator[Running]:
    running = await backend.start(planned(member, backend), generation)
    try:
        seen = await until(backend, running, Sign.READY)
        yield replace(running, url=seen.url)
    finally:
        await backend.stop(running, 5.0)


async def until(backend: Backend, running: Running, sign: Sign) -> Readiness:
    seen = await backend.ready(running)

    async def look() -> bool:
        nonlocal seen
        seen = await backend.ready(running)
        return seen.sign is sign

    await wait_for_async(look, 60, what=f"the engine is {sign.value}")
    return seen


async def asked(backend: Backend, running: Running, body: JsonObject) -> httpx.Response:
    """As the gateway does: what the dialect names, as it shapes it."""
    name = running.served_as or running.model
    sent = backend.dialect.shape({key: value for key, value in body.items() if key in backend.dialect.fields})
    headers = {"Authorization": f"Bearer {running.key}"} if running.key else {}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:
        return await client.post(f"{running.url}/v1/chat/completions", json={**sent, "model": name})


async def test_it_can_run_here_and_plans_the_same_twice(member: Member) -> None:
    async with built(member) as backend:
        assert (await backend.probe()).available
        first, second = planned(member, backend), planned(member, backend)
        assert first == second
        assert first.digest == second.digest
        other = backend.plan(
            member.model, member.folder, replace(member.profile, context=128), HARDWARE, None
        )
        assert other.digest != first.digest


async def test_it_answers_and_is_gone_when_it_was_stopped(member: Member) -> None:
    async with built(member) as backend:
        trial = Completion({member.profile.engine: backend})
        async with loaded(member, backend, 1) as running:
            served = Served(member.model, member.folder, member.profile)
            assert await trial.completes(served, running) == ""
            again = await backend.start(planned(member, backend), 1)
            assert (again.name, again.generation) == (running.name, 1)
            await backend.stats(running)
        await trial.close()
        if member.kill:
            assert (await backend.ready(running)).sign is Sign.GONE
            await backend.stop(running, 1.0)
        assert await backend.found() == []


async def test_a_schema_is_kept_and_what_would_kill_it_does_not(member: Member) -> None:
    schema: JsonObject = {"name": "a", "schema": {"enum": ["yes", "no"]}}
    form: JsonObject = {"type": "json_schema", "json_schema": schema}
    async with built(member) as backend, loaded(member, backend, 2) as running:
        if member.name != "remote":  # whose dialect is not known: it is asked in OpenAI's own words
            answer = await asked(backend, running, {**ASKED, "response_format": form, "max_tokens": 32})
            assert answer.status_code == 200, answer.text
            assert json.loads(answer.json()["choices"][0]["message"]["content"]) in ("yes", "no")
            await asked(backend, running, {**ASKED, "max_tokens": 0, "top_k": -1, "unheard_of": 1})
        assert (await asked(backend, running, ASKED)).status_code == 200
        assert (await backend.ready(running)).sign is Sign.READY


async def test_a_refusal_is_one_sentence_for_people(member: Member) -> None:
    async with built(member) as backend, loaded(member, backend, 3) as running:
        answer = await asked(backend, running, {"max_tokens": 1})
        said = backend.dialect.refusal(answer.status_code, answer.content)
        assert answer.status_code >= 400
        assert "messages" in said
        assert not said.startswith("{")
        assert backend.dialect.refusal(502, b"") == "the engine answered with status 502"


async def test_what_it_cannot_do_is_said_before_anything_starts(member: Member) -> None:
    async with built(member) as backend:
        for change in ({"context": 4096}, {"options": {"unheard_of": 1}}):
            profile = replace(member.profile, **change)
            with pytest.raises(ModelRefused):
                backend.plan(member.model, member.folder, profile, HARDWARE, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_death_is_told_with_its_status_and_in_words(member: Member, number: signal.Signals) -> None:
    if member.kill is None:
        pytest.skip("nothing of it runs here")
    async with built(member) as backend, loaded(member, backend, 10 + number) as running:
        member.kill(running.name, number)
        seen = await until(backend, running, Sign.GONE)
        assert seen.exit_status == member.died(number)
        assert "ended with" in seen.reason


async def test_what_runs_is_found_by_the_next_keeper_or_has_ended(member: Member) -> None:
    async with built(member) as first:
        running = await first.start(planned(member, first), 5)
        await until(first, running, Sign.READY)
    async with built(member) as second:
        found = await second.found()
        if not member.adopts:
            assert found == []
            return
        assert [(one.name, one.generation, one.model) for one in found] == [
            (running.name, 5, member.model.name)
        ]
        assert found[0].plan == planned(member, second).digest
        seen = await until(second, found[0], Sign.READY)
        answer = await asked(second, replace(found[0], url=seen.url), ASKED)
        assert answer.status_code == 200
        await second.stop(found[0], 5.0)
        assert await second.found() == []
