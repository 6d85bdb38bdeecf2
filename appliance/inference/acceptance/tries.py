"""Candidates and their tries in the database, as the keeper's process writes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Rollback
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import AuditEntry, append_async
from appliance.events import ModelChanged
from appliance.events.services import record_async
from appliance.inference.acceptance import sql
from appliance.inference.acceptance.domain import Result, way_of
from appliance.inference.acceptance.keys import key_now
from appliance.inference.backends.contract import Profile
from appliance.inference.domain import EngineKind
from appliance.inference.sql import HINT
from appliance.lib.clock import Clock
from appliance.lib.plain import plain, plain_text


@dataclass(frozen=True, slots=True)
class Claimed:
    """A candidate that is ours to test. ``revision`` fences: once it is another one nothing of ours counts."""

    name: str
    version: str
    digest: str
    profile: Profile
    revision: int
    asked_by: str
    number: int
    """Of the try."""

    @property
    def fence(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "digest": self.digest,
            "revision": self.revision,
            "try": self.number,
        }


class Tries:
    """``told`` is called after each change that was committed."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._told = told

    async def resume(self) -> None:
        """What an earlier life of the keeper was testing is tested from the beginning."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.RESUME)
            await connection.execute(sql.FORGET_ALL)

    async def claim(self) -> Claimed | None:
        """The candidate that has waited longest, as one that is being tested; None where none waits."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(row_factory=dict_row)
            row = await (await cursor.execute(sql.CLAIM)).fetchone()
            if row is None:
                return None
            profile = _profile(row)
            values = {**row, "way": Jsonb(way_of(profile)), "at": self._clock.now()}
            values |= {"profile": key_now(profile)}
            values.pop("options")
            await cursor.execute(sql.KEY, values)
            begun = await (await cursor.execute(sql.BEGIN, values)).fetchone()
            assert begun is not None
            await record_async(connection, _event(row["name"], "testing", "", row["version"]))
        self._told()
        return Claimed(
            row["name"],
            row["version"],
            row["digest"],
            profile,
            row["revision"],
            row["changed_by"],
            begun["id"],
        )

    async def progress(self, claimed: Claimed, results: Sequence[Result]) -> bool:
        """Keep what was found so far; False where somebody has said something else meanwhile."""
        async with self._pool.connection() as connection:
            done = await connection.execute(sql.PROGRESS, {**claimed.fence, "results": _json(results)})
            told = _event(claimed.name, "testing", results[-1].name, claimed.version)
            await record_async(connection, told)
        self._told()
        return done.rowcount == 1

    async def pause(self, claimed: Claimed, why: str) -> None:
        """It waits again, and this try never was."""
        async with self._pool.connection() as connection, connection.transaction():
            values = {"reason": plain_text(why)[:1000], "at": self._clock.now()}
            await connection.execute(sql.WAIT, {**claimed.fence, **values})
            await connection.execute(sql.FORGET, claimed.fence)
            await record_async(connection, _event(claimed.name, "candidate", why, claimed.version))
        self._told()

    async def refuse(
        self, claimed: Claimed, why: str, results: Sequence[Result] = (), golden: str = ""
    ) -> None:
        """It did not pass; what is live stays."""
        async with self._pool.connection() as connection, connection.transaction():
            await self._refuse(connection, claimed, why, results, golden)
        self._told()

    async def give_up(self, claimed: Claimed, why: str) -> None:
        """It could not be tested, which is no verdict: what it passed before still counts."""
        why = plain_text(why)[:1000]
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.FORGET, claimed.fence)
            done = await connection.execute(sql.REFUSE, {**claimed.fence, "reason": why})
            if done.rowcount == 1:
                await self._say(connection, claimed, "not_accepted", why)
        self._told()

    async def go_live(self, claimed: Claimed, results: Sequence[Result], golden: str) -> bool:
        """It passed: it becomes what is live. False, and nothing is changed, where somebody has said something else
        meanwhile: of this candidate, or of what is live."""
        async with self._pool.connection() as connection, connection.transaction() as whole:
            live = await connection.execute(sql.GO_LIVE, {**claimed.fence, "at": self._clock.now()})
            if live.rowcount != 1:
                raise Rollback(whole)
            values = self._finished(True, "", results, golden)
            await connection.execute(sql.FINISH, {**claimed.fence, **values})
            await self._say(connection, claimed, "served", "it passed its tests")
        if live.rowcount == 1:
            self._told()
        return live.rowcount == 1

    async def keep_passed(self, claimed: Claimed, why: str, results: Sequence[Result], golden: str) -> None:
        """It passed, and does not go live: somebody has changed what is. The next time it need not be tested."""
        async with self._pool.connection() as connection, connection.transaction():
            values = self._finished(True, why, results, golden)
            await connection.execute(sql.FINISH, {**claimed.fence, **values})
            await connection.execute(sql.REFUSE, {**claimed.fence, "reason": why})
        self._told()

    async def forget(self, claimed: Claimed) -> None:
        """Somebody has put another candidate in its place."""
        async with self._pool.connection() as connection:
            await connection.execute(sql.FORGET, claimed.fence)

    async def _refuse(
        self,
        connection: AsyncConnection[Any],
        claimed: Claimed,
        why: str,
        results: Sequence[Result],
        golden: str,
    ) -> None:
        why = plain_text(why)[:1000]
        await connection.execute(sql.FINISH, {**claimed.fence, **self._finished(False, why, results, golden)})
        done = await connection.execute(sql.REFUSE, {**claimed.fence, "reason": why})
        if done.rowcount == 1:
            await self._say(connection, claimed, "not_accepted", why)

    def _finished(self, passed: bool, why: str, results: Sequence[Result], golden: str) -> dict[str, Any]:
        return {
            "passed": passed,
            "reason": why,
            "results": _json(results),
            "golden": golden,
            "at": self._clock.now(),
        }

    async def _say(self, connection: AsyncConnection[Any], claimed: Claimed, change: str, why: str) -> None:
        """Event, hint and record; the record comes last in a transaction."""
        await record_async(connection, _event(claimed.name, change, why, claimed.version, claimed.asked_by))
        await connection.execute(HINT)
        detail = {
            "version": claimed.version,
            "digest": claimed.digest,
            "engine": claimed.profile.engine.value,
            "acceptance": claimed.number,
            **({"reason": why} if change != "served" else {}),
        }
        entry = AuditEntry(f"model.{change}", claimed.asked_by, f"model/{claimed.name}", detail)
        await append_async(connection, [entry])


def _event(name: str, change: str, why: str, version: str, by: str = "") -> ModelChanged:
    return ModelChanged(name, change, plain_text(why)[:1000], version, by)


def _json(results: Sequence[Result]) -> Jsonb:
    return Jsonb(plain([one.to_json() for one in results]))


def _profile(row: Mapping[str, Any]) -> Profile:
    return Profile(
        EngineKind(row["engine"]), row["context"], row["slots"], row["device"], dict(row["options"])
    )
