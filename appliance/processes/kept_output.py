"""What running steps have written so far, in Redis, for browsers that come late.

A convenience: it is bounded, it expires, Redis may be flushed at any time, and the committed output is the truth.
Keys: ``mw:output:<run>`` is the set of the run's steps; ``…:<step>:head`` and ``…:<step>:tail`` are lists of chunks.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import redis
import redis.asyncio

RUNNING = 24 * 3600
"""Seconds that the output of a silent step is kept; each chunk begins them anew."""
ENDED = 60
"""Seconds after its end: by then its result is committed, or it never will be."""
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of what one performance (``life``) of a step wrote, both streams as they came.

    It holds the bytes from ``begin`` to ``end`` of all that was written. ``after`` is the end of the chunk before;
    what lies between ``after`` and ``begin`` was too much to be kept.
    """

    step: str
    life: str
    after: int
    begin: int
    end: int
    text: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class OutputShelf:
    """The worker's side. Every call may fail as Redis does; the caller goes on without it."""

    def __init__(self, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
        )

    async def put(self, run: str, chunk: Chunk, *, first: bool, head: bool, tail: int) -> None:
        """Add a chunk; of the tail the newest ``tail`` stay. The ``first`` one clears what an earlier life left."""
        names = _names(run, chunk.step)
        async with self._redis.pipeline(transaction=True) as pipe:
            if first:
                pipe.delete(*names)
            pipe.rpush(names[0 if head else 1], json.dumps(chunk.to_json()))
            if not head:
                pipe.ltrim(names[1], -tail, -1)
            pipe.sadd(_steps(run), chunk.step)
            for name in (*names, _steps(run)):
                pipe.expire(name, RUNNING)
            await pipe.execute()

    async def ended(self, run: str, step: str) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in (*_names(run, step), _steps(run)):
                pipe.expire(name, ENDED)
            await pipe.execute()

    async def close(self) -> None:
        await self._redis.aclose()


def read_kept(url: str, run: str) -> list[Chunk]:
    """The chunks that are kept for a run, each step's in order; none where Redis is away."""
    try:
        with redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE) as client:
            steps = sorted(step.decode() for step in client.smembers(_steps(run)))
            with client.pipeline(transaction=True) as pipe:
                for name in (name for step in steps for name in _names(run, step)):
                    pipe.lrange(name, 0, -1)
                lists = pipe.execute()
    except (redis.RedisError, OSError):
        return []
    return [Chunk(**json.loads(entry)) for entries in lists for entry in entries]


def kept_texts(chunks: list[Chunk]) -> dict[str, str]:
    """The text by step, with a mark where something was left out."""
    texts: dict[str, str] = {}
    ends: dict[str, int] = {}
    for chunk in chunks:
        gap = "\n…\n" if chunk.begin > ends.get(chunk.step, 0) else ""
        texts[chunk.step] = texts.get(chunk.step, "") + gap + chunk.text
        ends[chunk.step] = chunk.end
    return texts


def _steps(run: str) -> str:
    return f"mw:output:{run}"


def _names(run: str, step: str) -> tuple[str, str]:
    return f"mw:output:{run}:{step}:head", f"mw:output:{run}:{step}:tail"
