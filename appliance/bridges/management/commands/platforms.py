"""``manage.py platforms``: load a configuration file, list what is configured, test one."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.bridges.exchange import export_platforms
from appliance.bridges.ports import ProbeState
from appliance.bridges.probing import probe_platform
from appliance.bridges.services import load_platforms, platforms
from appliance.lib.clock import SystemClock
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Load, list and test chat platforms."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        load = commands.add_parser("load", help="take over every platform of a configuration file")
        load.add_argument("file", type=Path)
        load.add_argument("--json", action="store_true", dest="as_json")
        listing = commands.add_parser("list", help="what is configured, and how it is")
        listing.add_argument("--json", action="store_true", dest="as_json")
        commands.add_parser("export", help="the present configuration as a file, without any secret")
        test = commands.add_parser("test", help="ask a platform who we are")
        test.add_argument("name")
        test.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['command']}")(**options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _load(self, file: Path, as_json: bool, **_: Any) -> None:
        loaded = load_platforms(file, CONSOLE, SystemClock().now())
        if as_json:
            rows = [
                {"name": one.name, "change": one.change, "note": one.note, "notices": list(one.notices)}
                for one in loaded
            ]
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for one in loaded:
            self.stdout.write(f"{one.name}: {one.change}" + (f" ({one.note})" if one.note else ""))
            for notice in one.notices:
                self.stdout.write(f"  {notice}")

    def _list(self, as_json: bool, **_: Any) -> None:
        views = platforms()
        if as_json:
            rows = [
                {
                    "name": view.name,
                    "kind": view.kind,
                    "enabled": view.enabled,
                    "state": view.state.value,
                    "message": view.message,
                    "waiting": view.waiting,
                }
                for view in views
            ]
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for view in views:
            state = view.state.value if view.enabled else "off"
            self.stdout.write(f"{view.name:20} {state:12} {view.message or view.identity}".rstrip())

    def _export(self, **_: Any) -> None:
        self.stdout.write(export_platforms(), ending="")

    def _test(self, name: str, as_json: bool, **_: Any) -> None:
        probe = probe_platform(name)
        if as_json:
            self.stdout.write(json.dumps({"name": name, **probe.to_json()}, ensure_ascii=False))
        else:
            trip = f" in {probe.round_trip_ms:g} ms" if probe.round_trip_ms is not None else ""
            self.stdout.write(f"{name}: {probe.state.value}{trip} {probe.identity} {probe.message}".rstrip())
        if probe.state is not ProbeState.OK:
            raise SystemExit(1)
