import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.domain import Role
from appliance.accounts.mqtt import GRANTABLE, grants
from appliance.accounts.principal import CONSOLE
from appliance.devices.models import Device, Presence
from appliance.devices.presence import PresenceState
from appliance.devices.services import (
    add_device,
    grant_commands,
    list_devices,
    presences,
    revoke_device,
    set_silence,
)
from appliance.lib.config import get_config
from appliance.lib.duration import format_duration, parse_duration
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
        add.add_argument("--commands", choices=GRANTABLE, help="let it give the box commands, as this role")
        commands = verbs.add_parser("commands", help="let a device give the box commands, or no longer")
        commands.add_argument("name")
        commands.add_argument("role", choices=(*GRANTABLE, "none"))
        add.add_argument(
            "--silence", default="5m", help="after how long without a sign it is offline, such as 30s or 1h"
        )
        silence = verbs.add_parser("silence", help="change after how long without a sign a device is offline")
        silence.add_argument("name")
        silence.add_argument("length", metavar="LENGTH", help="such as 30s, 5m or 1h")
        listing = verbs.add_parser("list", help="all accounts and what they may use")
        listing.add_argument("--revoked", action="store_true", help="with those that were taken back")
        revoke = verbs.add_parser("revoke", help="take an account back and end its connections")
        revoke.add_argument("name")
        for verb_parser in (add, commands, silence, listing, revoke):
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
            return _added(options, as_json)
        case "commands":
            role = None if options["role"] == "none" else Role(options["role"])
            told = grant_commands(options["name"], role, CONSOLE)
            if as_json:
                said = {"name": options["name"], "commands": role and role.value, "broker_told": told}
                return json.dumps(said)
            right = f"may give commands as {role}" if role else "may give no commands"
            return f"{options['name']} {right}{_when(told)}"
        case "silence":
            length = parse_duration(options["length"])
            set_silence(options["name"], length, CONSOLE)
            if as_json:
                return json.dumps({"name": options["name"], "silence_seconds": length.total_seconds()})
            return f"{options['name']} is offline after {format_duration(length)} without a sign"
        case "revoke":
            told = revoke_device(options["name"], CONSOLE)
            if as_json:
                return json.dumps({"name": options["name"], "revoked": True, "broker_told": told})
            return f"{options['name']} has no account any more{_when(told)}"
        case _:
            devices, granted = list(list_devices(revoked=options["revoked"])), grants()
            known = presences(device.name for device in devices)
            if as_json:
                plain = (_plain(one, granted.get(one.username), known.get(one.name)) for one in devices)
                return json.dumps(list(plain))
            lines = (_line(one, granted.get(one.username), known.get(one.name)) for one in devices)
            return "\n".join(lines) or "No devices. `devices add NAME` gives one its account."


def _added(options: dict[str, Any], as_json: bool) -> str:
    account = add_device(
        options["name"],
        CONSOLE,
        publish=options["publish"],
        subscribe=options["subscribe"],
        commands=Role(options["commands"]) if options["commands"] else None,
        silence=parse_duration(options["silence"]),
    )
    host, port = get_config().mqtt_listen
    if as_json:
        return json.dumps(
            {
                **_plain(account.device, grants().get(account.device.username)),
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


def _plain(device: Device, commands: Role | None, presence: Presence | None = None) -> dict[str, Any]:
    return {
        "name": device.name,
        "username": device.username,
        "publish": device.publish,
        "subscribe": device.subscribe,
        "commands": commands and commands.value,
        "silence_seconds": device.silence_seconds,
        "state": presence.state if presence else PresenceState.UNKNOWN.value,
        "since": presence.since.isoformat() if presence else None,
        "last_seen": presence.last_seen.isoformat() if presence else None,
        "connected": presence.connected if presence else None,
        "created_at": device.created_at.isoformat(),
        "revoked_at": device.revoked_at.isoformat() if device.revoked_at else None,
    }


def _line(device: Device, commands: Role | None, presence: Presence | None) -> str:
    if device.revoked_at:
        state = f"revoked {device.revoked_at:%Y-%m-%d %H:%M}"
    elif presence:
        state = f"{presence.state}, seen {presence.last_seen:%Y-%m-%d %H:%M:%S}"
    else:
        state = "never seen"
    return (
        f"{device.name:<24} {state:<36} publishes {', '.join(device.publish)}; "
        f"reads {', '.join(device.subscribe)}{f'; commands as {commands}' if commands else ''}"
    )
