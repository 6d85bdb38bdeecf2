import json
from argparse import ArgumentParser
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.bus.brokers.by_hand import try_broker
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import find_broker, known_prefixes, list_brokers, save_broker
from appliance.lib.errors import MillwrightError
from appliance.lib.secret_input import read_secret
from appliance.processes.models import PartBeat
from appliance.processes.signs import BROKER_PART
from appliance.tasks.brokers import remove


class Command(BaseCommand):
    help = "Connect brokers beside the box's own, test them, list them, remove them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="connect a broker; with the name of a known one, change it")
        add.add_argument("name")
        add.add_argument("url", nargs="?", help="mqtt://host:1883 or mqtts://host:8883")
        add.add_argument("--user", metavar="NAME")
        add.add_argument("--password", metavar="secret:NAME", help="the secret that holds it, never itself")
        add.add_argument(
            "--password-file", metavar="FILE", help="keep what FILE (- is standard input) holds as secret"
        )
        add.add_argument("--ca", metavar="FILE", help="PEM file of the authority behind its certificate")
        add.add_argument("--insecure", action="store_true", help="do not check its certificate")
        add.add_argument("--client-id", metavar="ID")
        add.add_argument(
            "--listen",
            action="append",
            metavar="FILTER",
            help="keep last values of these topics; may be repeated",
        )
        add.add_argument("--prefix", metavar="TOPIC", help="see its topics under this in the box")
        add.add_argument("--off", action="store_true", help="keep it, and do not connect")
        listing = verbs.add_parser("list", help="all of them and how they are")
        trial = verbs.add_parser("test", help="a real round trip: log in, subscribe, publish, receive")
        removal = verbs.add_parser("remove", help="forget one that no task names")
        for one in (trial, removal):
            one.add_argument("name")
        for one in (add, listing, trial, removal):
            one.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    name, as_json = options.get("name", ""), options["json"]
    match options["verb"]:
        case "add":
            file = options["password_file"]
            password = read_secret(file) if file else ""
            spec = save_broker(_told(options), CONSOLE, datetime.now(UTC), password=password)
            return (
                json.dumps(_plain(spec))
                if as_json
                else f"{spec.name} is kept. brokers test {spec.name} tries it."
            )
        case "test":
            seconds = try_broker(name, CONSOLE)
            if as_json:
                return json.dumps({"name": name, "seconds": seconds})
            return f"{name} answers: there and back took {seconds * 1000:.0f} ms."
        case "remove":
            remove(name, CONSOLE)
            return json.dumps({"name": name, "removed": True}) if as_json else f"{name} is forgotten."
        case _:
            rows = [_plain(spec) for spec in list_brokers()]
            if as_json:
                return json.dumps(rows)
            return (
                "\n".join(map(_line, rows))
                or "Only the box's own broker. `brokers add NAME URL` connects another."
            )


def _told(options: dict[str, Any]) -> BrokerSpec:
    """The known row of that name, or a new one, with what the options say."""
    name = options["name"]
    if not options["url"] and name not in known_prefixes():
        raise CommandError("a new broker needs its URL: brokers add NAME mqtt://host:1883")
    spec = find_broker(name) if name in known_prefixes() else BrokerSpec(name, options["url"])
    told = {
        "url": options["url"],
        "username": options["user"],
        "password": options["password"],
        "ca": options["ca"],
        "client_id": options["client_id"],
        "prefix": options["prefix"],
        "filters": tuple(options["listen"]) if options["listen"] is not None else None,
    }
    given = {key: value for key, value in told.items() if value is not None}
    return replace(spec, **given, verify=not options["insecure"], enabled=not options["off"])


def _plain(spec: BrokerSpec) -> dict[str, Any]:
    beat = PartBeat.objects.filter(part=f"{BROKER_PART}{spec.name}").first() if spec.enabled else None
    connected = {"healthy": beat.healthy, "message": beat.detail.get("message", "")} if beat else {}
    return {"healthy": None, "message": "", **asdict(spec), **connected}


def _line(row: dict[str, Any]) -> str:
    state = (
        "off" if not row["enabled"] else "connected" if row["healthy"] else row["message"] or "not connected"
    )
    return f"{row['name']:<24} {row['url']:<40} {state}"
