"""What is to be served, from the database and the repository; and which model for which work."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.inference import sql
from appliance.inference.backends.contract import Profile
from appliance.inference.catalogue.repository import Repository
from appliance.inference.domain import EngineKind, Need, Work
from appliance.inference.errors import ModelUnknown
from appliance.inference.leases import Wish
from appliance.inference.scheduling.ports import Served
from appliance.lib.errors import MillwrightError
from appliance.lib.located.issues import suggestion

log = logging.getLogger(__name__)


class DatabaseShelf:
    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], repository: Repository) -> None:
        self._pool = pool
        self._repository = repository
        self._served: Sequence[Served] = ()
        self._candidates: Sequence[Served] = ()
        self._chains: Mapping[str, Sequence[str]] = {}
        self._said: set[str] = set()

    async def served(self) -> Sequence[Served]:
        """A model whose files are not there, or are others, is left out, and the log says so once."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            rows = await (await cursor.execute(sql.SERVED)).fetchall()
            tested = await (await cursor.execute(sql.CANDIDATES)).fetchall()
            chains = await (await connection.execute(sql.CHAINS)).fetchall()
        self._chains = {work: [str(name) for name in names] for work, names in chains}
        self._served = [one for one in map(self._read, rows) if one is not None]
        found = [self._read(row, candidate=True) for row in tested]
        self._candidates = [one for one in found if one is not None]
        return [*self._served, *self._candidates]

    def _read(self, row: Mapping[str, Any], *, candidate: bool = False) -> Served | None:
        try:
            stored = self._repository.read(row["name"], row["version"])
            if stored.manifest.digest != row["digest"]:
                raise ModelUnknown(
                    f"{row['name']}@{row['version']} is not what was accepted: its digest is another"
                )
        except MillwrightError as error:
            if str(error) not in self._said:
                self._said.add(str(error))
                log.warning("%s is not served: %s", row["name"], error)
            return None
        profile = Profile(
            EngineKind(row["engine"]), row["context"], row["slots"], row["device"], dict(row["options"])
        )
        if candidate:
            return Served(stored.manifest, stored.folder, profile, keep_alive=0.0, candidate=True)
        return Served(stored.manifest, stored.folder, profile, row["keep_alive"])

    def chain(self, wish: Wish) -> Sequence[str]:
        """The one that was asked for; else the matrix' row; else whatever could do the work, by name.

        Raises ModelUnknown.
        """
        names = [one.name for one in self._served]
        if wish.candidate:
            if wish.model not in [one.name for one in self._candidates]:
                raise ModelUnknown(f"{wish.model} is not being tested")
            return [wish.model]
        if wish.model:
            name, _, version = wish.model.partition("@")
            live = next((one for one in self._served if one.name == name), None)
            if live is None:
                raise ModelUnknown(
                    f"the model {name!r} is not served on this box",
                    hint=suggestion(name, names) or "manage.py models list",
                )
            if version and version != live.manifest.version:
                raise ModelUnknown(f"of {name} the version {live.manifest.version} is live, not {version}")
            return [name]
        row = [name for name in self._chains.get(wish.work.value, ()) if name in names]
        return row or [one.name for one in self._served if _suits(one, wish)]


def _suits(served: Served, wish: Wish) -> bool:
    """Vectors are for embeddings, and text for all else."""
    wants_vectors = wish.work is Work.EMBEDDINGS
    return (Need.EMBEDDINGS in served.can) == wants_vectors
