"""``manage.py install``: a systemd unit for this home."""

import os
import pwd
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from appliance.lib.config import ROOT, get_config
from appliance.lib.home import Home

UNITS = Path("/etc/systemd/system")

_UNIT = """\
[Unit]
Description=Millwright ({home})
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
User={user}
WorkingDirectory={root}
Environment={environment}
ExecStart={python} {manage} up
Restart=on-failure
RestartSec=5
TimeoutStartSec=120
TimeoutStopSec=150
KillMode=mixed
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


class Command(BaseCommand):
    help = "Print a systemd unit that starts this box with the machine, or write it with --write (as root)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help=f"write it to {UNITS}")

    def handle(self, *, write: bool = False, **options: Any) -> None:
        home = get_config().home
        unit = unit_of(home)
        if not write:
            self.stdout.write(unit)
            return
        path = UNITS / f"millwright-{home.id}.service"
        try:
            path.write_text(unit)
        except OSError as error:
            raise CommandError(
                f"{path} cannot be written: {error.strerror} (this needs root and systemd; without --write "
                "the unit is only printed)"
            ) from error
        self.stdout.write(f"Wrote {path}. Now: systemctl daemon-reload && systemctl enable --now {path.name}")


def unit_of(home: Home) -> str:
    """The unit; it runs the box as the user that the home belongs to."""
    uid = home.path.stat().st_uid
    owner = 0 if uid == home.service_uid else uid
    try:
        user = pwd.getpwuid(owner).pw_name
    except KeyError:
        user = str(owner)
    return _UNIT.format(
        home=_specifiers(str(home.path)),
        user=user,
        root=_specifiers(str(ROOT)),
        environment=_quote(f"MILLWRIGHT_HOME={home.path}"),
        python=_quote(os.path.abspath(sys.executable)),  # noqa: PTH100 - not resolved: it is the venv's link
        manage=_quote(str(ROOT / "manage.py")),
    )


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quote(text: str) -> str:
    """One word as systemd reads it."""
    escaped = _specifiers(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
