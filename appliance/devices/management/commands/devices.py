import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.devices.models import Device
from appliance.devices.services import add_device, list_devices, revoke_device
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Give devices their own MQTT accounts on the embedded broker, list them, take them back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="a new account; its password is shown once")
        add.add_argument("name")
        for verb in ("publish", "subscribe"):
            add.add_argument(
                f"--{verb}",
                action="append",
                default=[],
                metavar="PATTERN",
                help=f"topics it may {verb} to beside devices/NAME/#, such as plant/#; may be repeated",
            )
        listing = verbs.add_parser("list", help="all accounts and what they may use")
        listing.add_argument("--revoked", action="store_true", help="with those that were taken back")
        revoke = verbs.add_parser("revoke", help="take an account back and end its connections")
        revoke.add_argument("name")
        for verb_parser in (add, listing, revoke):
            verb_parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(_perform(options))
        except MillwrightError as error:
            raise CommandError(str(error)) from error


def _perform(options: dict[str, Any]) -> str:
    as_json = options["json"]
    match options["verb"]:
        case "add":
            return _added(options["name"], options["publish"], options["subscribe"], as_json)
        case "revoke":
            told = revoke_device(options["name"], CONSOLE)
            if as_json:
                return json.dumps({"name": options["name"], "revoked": True, "broker_told": told})
            return f"{options['name']} has no account any more{_when(told)}"
        case _:
            devices = list(list_devices(revoked=options["revoked"]))
            if as_json:
                return json.dumps([_plain(device) for device in devices])
            return "\n".join(map(_line, devices)) or "No devices. `devices add NAME` gives one its account."


def _added(name: str, publish: list[str], subscribe: list[str], as_json: bool) -> str:
    account = add_device(name, CONSOLE, publish=publish, subscribe=subscribe)
    host, port = get_config().mqtt_listen
    if as_json:
        return json.dumps(
            {
                **_plain(account.device),
                "password": account.password,
                "host": host,
                "port": port,
                "broker_told": account.active,
            }
        )
    return "\n".join(
        (
            f"host      {host}, port {port}",
            f"username  {account.device.username}",
            f"password  {account.password}   (shown once)",
            f"publish   {', '.join(account.device.publish)}",
            f"subscribe {', '.join(account.device.subscribe)}{_when(account.active)}",
        )
    )


def _when(told: bool) -> str:
    return "" if told else "\nThe broker does not run; it reads the change at its next start."


def _plain(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "username": device.username,
        "publish": device.publish,
        "subscribe": device.subscribe,
        "created_at": device.created_at.isoformat(),
        "revoked_at": device.revoked_at.isoformat() if device.revoked_at else None,
    }


def _line(device: Device) -> str:
    state = f"revoked {device.revoked_at:%Y-%m-%d %H:%M}" if device.revoked_at else "active"
    return (
        f"{device.name:<24} {state:<24} publishes {', '.join(device.publish)}; "
        f"reads {', '.join(device.subscribe)}"
    )
