"""A bare echo on paho-mqtt: what a script of twenty lines costs, without any product around it."""

from appliance.processes.bench.peers.contract import Peer
from appliance.processes.bench.peers.installing import python_with
from appliance.processes.bench.peers.versions import PAHO


class Paho(Peer):
    name = "paho"
    packages = (PAHO,)

    def install(self) -> None:
        self._python = python_with(self._cache, self.name, self.packages)

    def launch(self) -> None:
        self.spawn([str(self._python), str(self.write("paho.py.template", "echo.py"))])
