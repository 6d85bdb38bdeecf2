"""Node-RED as its users install it: one flow of an mqtt-in, a switch, a function and an mqtt-out node."""

import shutil

from appliance.processes.bench.peers.broker import free_port
from appliance.processes.bench.peers.contract import Peer
from appliance.processes.bench.peers.installing import node_program
from appliance.processes.bench.peers.versions import NODE_MAJOR, NODE_RED


class NodeRed(Peer):
    name = "node_red"
    packages = (NODE_RED,)

    def install(self) -> None:
        self._command = node_program(self._cache, NODE_RED, NODE_MAJOR)

    def launch(self) -> None:
        user = self._folder / "user"
        shutil.rmtree(user, ignore_errors=True)
        user.mkdir()
        settings = self.write("node_red_settings.js.template", "settings.js", ADMIN=free_port())
        flow = self.write("node_red.json.template", "user/flows.json")
        self.spawn([*self._command, "--userDir", str(user), "--settings", str(settings), str(flow)])
