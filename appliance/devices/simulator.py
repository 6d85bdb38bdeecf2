"""A small line of pumps, as physics and as an MQTT client.

The model is pure: time and chance come in as parameters. A pump's motor heats its bearing, the air cools it;
now and then the cooling of a running pump fails, and it overheats until it is stopped. Stopping it is the
cure, as with real ones.
"""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from appliance.lib.jsontypes import JsonObject

AMBIENT = 22.0  # °C
RUNNING = 61.0  # °C at which a healthy, running pump settles
FAULTY = 112.0  # °C towards which one without cooling goes
MELTS = 105.0  # °C at which the motor protection trips by itself
COOLED = 35.0  # °C below which a failed cooling counts as mended
HEATING_SECONDS = 25.0  # time constant while running
COOLING_SECONDS = 40.0  # time constant while standing
FAULTS_PER_SECOND = 1 / 240
HOT_AFTER = 5.0  # seconds of running after which a pump that is made hot loses its cooling


class PumpState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    TRIPPED = "tripped"


@dataclass(frozen=True, slots=True)
class Publication:
    topic: str
    payload: bytes
    retain: bool = False


@dataclass(slots=True)
class Pump:
    """One pump. ``cooling`` is lost by chance, and back when the bearing has cooled down."""

    name: str
    random: random.Random
    hot: bool = False
    """Whether its cooling fails a few seconds after each start: for demonstrations."""
    state: PumpState = PumpState.RUNNING
    temperature: float = RUNNING
    cooling: bool = True
    ran_for: float = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if self.state is not PumpState.RUNNING:
            self.temperature += (AMBIENT - self.temperature) * -math.expm1(-seconds / COOLING_SECONDS)
            self.cooling = self.cooling or self.temperature < COOLED
            return
        self.ran_for += seconds
        if self.random.random() < -math.expm1(-seconds * FAULTS_PER_SECOND):
            self.cooling = False
        if self.hot and self.ran_for > HOT_AFTER:
            self.cooling = False
        target = (RUNNING if self.cooling else FAULTY) + self.random.gauss(0, 1.0)
        self.temperature += (target - self.temperature) * -math.expm1(-seconds / HEATING_SECONDS)
        if self.temperature >= MELTS:
            self.state = PumpState.TRIPPED

    @property
    def vibration(self) -> float:
        """mm/s: of a healthy pump about 1.8, more when the bearing is hot, next to nothing when it stands."""
        if self.state is not PumpState.RUNNING:
            return abs(self.random.gauss(0, 0.02))
        strain = max(0.0, self.temperature - 70.0) * 0.08
        return max(0.0, 1.8 + strain + self.random.gauss(0, 0.15))

    def command(self, payload: bytes) -> bool:
        """Obey ``{"running": true|false}``; True if the state changed. Anything else is ignored."""
        try:
            wanted = json.loads(payload)
        except (ValueError, RecursionError):
            return False
        running = wanted.get("running") if isinstance(wanted, dict) else None
        if not isinstance(running, bool) or running is (self.state is PumpState.RUNNING):
            return False
        self.state = PumpState.RUNNING if running else PumpState.STOPPED
        self.ran_for = 0.0
        return True


@dataclass(slots=True)
class Line:
    """The pumps of one line, and what they say: ``plant/<line>/pump/<pump>/…``."""

    name: str
    pumps: dict[str, Pump] = field(default_factory=dict)

    @classmethod
    def of(cls, pumps: int, *, seed: int | None = None, hot: bool = False, name: str = "line1") -> "Line":
        """``pumps`` pumps; with ``hot`` the first one overheats soon after each start."""
        source = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        made = [
            Pump(f"p{n}", random.Random(source.random()), hot=hot and n == 1)  # noqa: S311
            for n in range(1, pumps + 1)
        ]
        return cls(name, {pump.name: pump for pump in made})

    @property
    def command_filter(self) -> str:
        return f"plant/{self.name}/pump/+/cmd"

    def advance(self, seconds: float) -> list[str]:
        """Let time pass; the pumps whose state changed by it."""
        before = {name: pump.state for name, pump in self.pumps.items()}
        for pump in self.pumps.values():
            pump.advance(seconds)
        return [name for name, pump in self.pumps.items() if pump.state is not before[name]]

    def command(self, topic: str, payload: bytes) -> str | None:
        """A message on a command topic; the pump whose state it changed."""
        levels = topic.split("/")
        pump = self.pumps.get(levels[3]) if len(levels) == 5 and levels[4] == "cmd" else None
        return pump.name if pump and levels[1] == self.name and pump.command(payload) else None

    def readings(self, now: datetime) -> Iterator[Publication]:
        """Temperature and vibration of every pump."""
        for pump in self.pumps.values():
            yield self._publication(pump, "temp", {"value": round(pump.temperature, 2), "unit": "C"}, now)
            yield self._publication(
                pump, "vibration", {"value": round(pump.vibration, 3), "unit": "mm/s"}, now
            )

    def state_of(self, name: str, now: datetime) -> Publication:
        """The state of one pump, kept by the broker for those who come later."""
        pump = self.pumps[name]
        body: JsonObject = {"state": pump.state.value, "running": pump.state is PumpState.RUNNING}
        return self._publication(pump, "state", body, now, retain=True)

    def _publication(
        self, pump: Pump, what: str, body: JsonObject, now: datetime, *, retain: bool = False
    ) -> Publication:
        stamped = {**body, "t": now.isoformat(timespec="milliseconds")}
        return Publication(f"plant/{self.name}/pump/{pump.name}/{what}", json.dumps(stamped).encode(), retain)
