"""Plain Celery behind paho: a listener puts each matching event into Redis, two prefork workers publish."""

import shutil

from appliance.processes.bench.peers.contract import Peer, wait_for_socket
from appliance.processes.bench.peers.installing import python_with
from appliance.processes.bench.peers.versions import CELERY, PACKAGING, PAHO, REDIS
from appliance.processes.engines import redis


class Celery(Peer):
    name = "celery"
    packages = (CELERY, REDIS, PACKAGING, PAHO)

    def install(self) -> None:
        self._python = python_with(self._cache, self.name, self.packages)

    def launch(self) -> None:
        folder = self._folder / "redis"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        socket = folder / "redis.sock"
        keeping = ("--appendonly", "no", "--save", "")
        self.spawn(
            [redis.program(), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), *keeping]
        )
        wait_for_socket(socket)
        self.write("celery.py.template", "echo_celery.py", SOCKET=socket)
        worker = ("-m", "celery", "-A", "echo_celery", "worker", "-P", "prefork", "-c", "2", "-l", "warning")
        self.spawn([str(self._python), *worker])
        self.spawn([str(self._python), "echo_celery.py"])
