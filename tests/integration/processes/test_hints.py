"""A hint reaches every worker that listens, by the real Redis, and nothing is kept for those who do not."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import redis.asyncio
from django.conf import settings

from appliance.lib.identity import uuid7
from appliance.runs.hints import hear, send
from tests.wait import wait_for_async


async def test_a_hint_is_heard_by_every_worker_and_a_broken_connection_is_made_anew() -> None:
    heard: list[list[UUID]] = [[], []]

    def ear(index: int) -> "asyncio.Task[None]":
        def take(run_ids: Sequence[UUID]) -> None:
            heard[index] += run_ids

        return asyncio.create_task(hear(settings.CONFIG, take))

    async def reached(run_id: UUID) -> None:
        def both() -> bool:
            send([run_id])
            return all(run_id in one for one in heard)

        await wait_for_async(both, 10)

    ears = [ear(0), ear(1)]
    try:
        await reached(uuid7())
        async with redis.asyncio.Redis.from_url(settings.CONFIG.redis_url) as client:
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await reached(uuid7())
    finally:
        for one in ears:
            one.cancel()
        await asyncio.gather(*ears, return_exceptions=True)


async def test_what_cannot_be_read_does_not_end_the_listening() -> None:
    heard: list[UUID] = []
    one = asyncio.create_task(hear(settings.CONFIG, heard.extend))
    run_id = uuid7()
    try:
        async with redis.asyncio.Redis.from_url(settings.CONFIG.redis_url) as client:
            channel = f"mw:{settings.CONFIG.home.id}:runs"
            await wait_for_async(lambda: client.publish(channel, "no identifier"), 10)

        def reached() -> bool:
            send([run_id])
            return run_id in heard

        await wait_for_async(reached, 10)
    finally:
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
