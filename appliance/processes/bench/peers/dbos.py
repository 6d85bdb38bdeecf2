"""DBOS on PostgreSQL: each matching event is a durable workflow of two steps."""

from appliance.processes.bench.box import Engines
from appliance.processes.bench.peers.contract import Peer
from appliance.processes.bench.peers.installing import python_with
from appliance.processes.bench.peers.versions import DBOS, PAHO, PSYCOPG


class Dbos(Peer):
    name = "dbos"
    packages = (DBOS, PSYCOPG, PAHO)
    _engines: Engines | None = None
    _starts = 0

    def install(self) -> None:
        self._python = python_with(self._cache, self.name, self.packages)

    def launch(self) -> None:
        """The database is that of a box without services: the same engine with the same settings. Another start
        gets another schema, so that it does not take up what the one before has left."""
        if self._engines is None:
            self._engines = Engines()
            self._engines.start()
        self._starts += 1
        values = {"DATABASE": self._engines.config.database_url, "SCHEMA": f"dbos_{self._starts}"}
        self.spawn([str(self._python), str(self.write("dbos.py.template", "echo.py", **values))])

    def close(self) -> None:
        super().close()
        if self._engines is not None:
            self._engines.close()
