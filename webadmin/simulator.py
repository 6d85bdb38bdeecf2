"""The simulated line behind the web admin's button: one per web process, on a loop of its own."""

import asyncio
import logging
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.devices.simulation import Simulation
from appliance.devices.simulator import Line
from appliance.lib.config import Config
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

PUMPS = 3


@dataclass(frozen=True, slots=True)
class Playing:
    """What the button shows. ``error`` is why the last one ended by itself."""

    running: bool
    since: datetime | None = None
    published: int = 0
    error: str = ""


class Player:
    """Starts and stops the line; both return at once and may be called at any time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._simulation: Simulation | None = None
        self._since: datetime | None = None
        self._error = ""

    def start(self, config: Config) -> bool:
        """False when it plays already."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return False
            self._error, self._since = "", datetime.now(UTC)
            client_id = f"{config.home.id}-simulator-{secrets.token_hex(4)}"
            line = Line.of(PUMPS, hot=True)
            self._thread = threading.Thread(
                target=self._play, args=(config.mqtt_url, client_id, line), name="simulator", daemon=True
            )
            self._thread.start()
            return True

    def stop(self) -> bool:
        """False when nothing plays. Waits until the line has left the bus."""
        with self._lock:
            thread, loop, task = self._thread, self._loop, self._task
            if thread is None or not thread.is_alive():
                return False
            if loop is not None and task is not None:
                loop.call_soon_threadsafe(task.cancel)
            self._since = None
        thread.join(10)
        return True

    def state(self) -> Playing:
        thread, simulation = self._thread, self._simulation
        running = thread is not None and thread.is_alive() and self._since is not None
        published = simulation.published if simulation is not None and running else 0
        return Playing(running, self._since if running else None, published, self._error)

    def _play(self, url: str, client_id: str, line: Line) -> None:
        try:
            asyncio.run(self._run(url, client_id, line))
        except asyncio.CancelledError:
            pass
        except MillwrightError as error:
            self._error = str(error)
        except Exception:
            log.exception("the simulated line ended")
            self._error = "the simulated line ended; the web log says why"

    async def _run(self, url: str, client_id: str, line: Line) -> None:
        self._simulation = Simulation(url, line, client_id=client_id)
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        await self._simulation.run()


PLAYER = Player()
