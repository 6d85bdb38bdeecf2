"""DBOS on PostgreSQL: each matching event is a durable workflow of two steps."""

from appliance.processes.bench.box import Engines
from appliance.processes.bench.peers.contract import Peer
from appliance.processes.bench.peers.installing import python_with
from appliance.processes.bench.peers.versions import DBOS, PAHO, PSYCOPG


class Dbos(Peer):
    name = "dbos"
    packages = (DBOS, PSYCOPG, PAHO)

    def install(self) -> None:
        self._python = python_with(self._cache, self.name, self.packages)

    def launch(self) -> None:
        """The database is that of a box without services: the same engine with the same settings."""
        self._engines = Engines()
        self._engines.start()
        url = self._engines.config.database_url
        self.spawn([str(self._python), str(self.write("dbos.py.template", "echo.py", DATABASE=url))])

    def stop(self) -> None:
        super().stop()
        engines = getattr(self, "_engines", None)
        if engines is not None:
            engines.close()
