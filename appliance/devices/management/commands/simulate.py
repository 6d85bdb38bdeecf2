import asyncio
import contextlib
import secrets
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.devices.simulation import Simulation
from appliance.devices.simulator import Line
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1e6:
            return float(text)
    raise ArgumentTypeError(f"{text!r} is not a number above 0")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 1 <= int(text) <= 500:
            return int(text)
    raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to 500")


class Command(BaseCommand):
    help = "Play a small line of pumps over MQTT: readings out, commands in. Ctrl-C ends it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=_positive, help="how long; without it, until Ctrl-C")
        parser.add_argument(
            "--rate", type=_positive, default=1.0, help="readings of each pump a second (default 1)"
        )
        parser.add_argument("--pumps", type=_count, default=3, help="how many pumps (default 3)")
        parser.add_argument("--hot", action="store_true", help="let pump p1 overheat within half a minute")
        parser.add_argument("--seed", type=int, help="the same chance each time")

    def handle(self, *args: Any, **options: Any) -> None:
        config = get_config()
        line = Line.of(options["pumps"], seed=options["seed"], hot=options["hot"])
        simulation = Simulation(
            config.mqtt_url,
            line,
            rate=options["rate"],
            client_id=f"{config.home.id}-simulator-{secrets.token_hex(4)}",
        )
        try:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(simulation.run(options["seconds"]))
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{simulation.published} messages of {options['pumps']} pumps were published")
