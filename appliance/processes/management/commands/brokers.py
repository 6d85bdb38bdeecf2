from argparse import _SubParsersAction
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from appliance.accounts.principal import CONSOLE
from appliance.bus.brokers.by_hand import try_broker
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import find_broker, known_prefixes, list_brokers, save_broker
from appliance.lib.secret_input import read_secret
from appliance.lib.verbs import Told, VerbCommand, said
from appliance.processes.models import PartBeat
from appliance.processes.signs import BROKER_PART
from appliance.tasks.brokers import remove

FIELDS = {
    "url": "url",
    "username": "user",
    "password": "password",
    "ca": "ca",
    "client_id": "client_id",
    "prefix": "prefix",
    "filters": "listen",
}
"""Of a broker, each with the option that says it."""


class Command(VerbCommand):
    help = "Connect brokers beside the box's own, test them, list them, remove them."

    def verbs(self, verbs: "_SubParsersAction[Any]") -> None:
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
        verbs.add_parser("list", help="all of them and how they are")
        trial = verbs.add_parser("test", help="a real round trip: log in, subscribe, publish, receive")
        removal = verbs.add_parser("remove", help="forget one that no task names")
        for one in (trial, removal):
            one.add_argument("name")

    def perform(self, options: Mapping[str, Any]) -> Told:
        name = options.get("name", "")
        match options["verb"]:
            case "add":
                password = read_secret(options["password_file"])
                spec = save_broker(_told(options), CONSOLE, datetime.now(UTC), password=password)
                return Told(f"{spec.name} is kept. brokers test {spec.name} tries it.", _plain(spec))
            case "test":
                seconds = try_broker(name, CONSOLE)
                text = f"{name} answers: there and back took {seconds * 1000:.0f} ms."
                return Told(text, {"name": name, "seconds": seconds})
            case "remove":
                remove(name, CONSOLE)
                return Told(f"{name} is forgotten.", {"name": name, "removed": True})
            case _:
                rows = [_plain(spec) for spec in list_brokers()]
                none = "Only the box's own broker. `brokers add NAME URL` connects another."
                return Told("\n".join(map(_line, rows)) or none, rows)


def _told(options: Mapping[str, Any]) -> BrokerSpec:
    """The known row of that name, or a new one, with what the options say."""
    name = options["name"]
    if not options["url"] and name not in known_prefixes():
        raise CommandError("a new broker needs its URL: brokers add NAME mqtt://host:1883")
    spec = find_broker(name) if name in known_prefixes() else BrokerSpec(name, options["url"])
    return replace(spec, **said(options, FIELDS), verify=not options["insecure"], enabled=not options["off"])


def _plain(spec: BrokerSpec) -> dict[str, Any]:
    beat = PartBeat.objects.filter(part=f"{BROKER_PART}{spec.name}").first() if spec.enabled else None
    connected = {"healthy": beat.healthy, "message": beat.detail.get("message", "")} if beat else {}
    return {"healthy": None, "message": "", **asdict(spec), **connected}


def _line(row: dict[str, Any]) -> str:
    state = (
        "off" if not row["enabled"] else "connected" if row["healthy"] else row["message"] or "not connected"
    )
    return f"{row['name']:<24} {row['url']:<40} {state}"
