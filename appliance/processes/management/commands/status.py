"""``manage.py status``: what runs."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from appliance.bridges.liveness import Liveness, liveness
from appliance.lib.config import Config, Durability, get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.outbox.services import counts
from appliance.processes.engines import nats
from appliance.processes.manager import Manager, NotRunning, Part

SENTENCES = {
    Durability.POWER_SAFE: "power-safe: what was acknowledged survives a power cut",
    Durability.CRASH_SAFE: "crash-safe: a power cut may lose the last second of what the broker acknowledged",
    Durability.OWN_BROKER: "own broker: its settings decide what survives a power cut",
}


class Command(BaseCommand):
    help = "Show each part of the box, and which chat platforms hear. Exit status 1 when not every part runs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="for scripts")

    def handle(self, *, as_json: bool = False, **options: Any) -> None:
        try:
            config = get_config()
            parts = Manager(config.home).parts()
        except NotRunning as error:
            if as_json:
                self._write_json(config, [])
            raise CommandError(str(error)) from error
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        if as_json:
            self._write_json(config, parts)
        else:
            self._write_table(config, parts)
        wrong = [part.name for part in parts if part.state not in ("running", "starting")]
        if wrong:
            raise CommandError(f"not running: {', '.join(wrong)}; the logs are in {config.home.logs}")

    def _durability(self, config: Config) -> Durability:
        return nats.started_as(config) if "nats" in config.embedded else Durability.OWN_BROKER

    def _write_json(self, config: Config, parts: list[Part]) -> None:
        found: JsonObject = {
            "running": bool(parts),
            "url": config.public_url,
            "home": str(config.home.path),
            "durability": self._durability(config).value,
        }
        found["platforms"] = self._platforms() if parts else None
        self.stdout.write(json.dumps({**found, "parts": [asdict(part) for part in parts]}))

    def _write_table(self, config: Config, parts: list[Part]) -> None:
        self.stdout.write(f"{config.public_url}   home {config.home.path}   logs {config.home.logs}")
        self.stdout.write(f"  {SENTENCES[self._durability(config)]}")
        for part in parts:
            shown = f"{part.uptime} s" if part.pid else part.description
            self.stdout.write(f"  {part.name:<10} {part.state:<10} {part.pid or '-':>8}  {shown}")
        for one in self._liveness() or ():
            self.stdout.write(f"  {one.name:<10} {_hearing(one)}")

    def _liveness(self) -> list[Liveness] | None:
        """None while the database is away: then nothing is known of the platforms."""
        try:
            return liveness(datetime.now(UTC))
        except DatabaseError:
            return None

    def _platforms(self) -> JsonValue:
        found = self._liveness()
        if found is None:
            return None
        waiting = counts()
        return [
            {
                "name": one.name,
                **one.to_json(),
                "message": one.message,
                "round_trip_ms": one.round_trip_ms,
                "messages_waiting": waiting[one.name].waiting if one.name in waiting else 0,
            }
            for one in found
        ]


def _hearing(one: Liveness) -> str:
    if one.deaf_since:
        return f"DEAF       since {one.deaf_since:%Y-%m-%d %H:%M:%S} UTC: {one.message}"
    trip = f", round trip {one.round_trip_ms} ms" if one.round_trip_ms is not None else ""
    return f"{one.state.value:<10} {one.message}{trip}".rstrip()
