"""``manage.py tls``: the certificate of what listens on the LAN, for people to compare and to make anew."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from django.core.management.base import BaseCommand, CommandError

from appliance.lib.config import Config, get_config
from appliance.lib.folders import held_folder, inside
from appliance.lib.listening import names_of
from appliance.processes.certificate import make_certificate
from appliance.processes.layout import service_folder
from appliance.processes.privilege import Privilege


class Command(BaseCommand):
    help = "Show the certificate of the web admin and the broker, or make the box's own anew."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        shown = verbs.add_parser("show", help="names, end and fingerprint, to compare with the browser's")
        shown.add_argument("--json", action="store_true", dest="as_json")
        renew = verbs.add_parser("renew", help="a new one of the box's own, with a new key")
        renew.add_argument(
            "--name", action="append", default=[], help="one more host name or address by which it is reached"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = get_config()
        if options["verb"] == "renew":
            _renew(config, options["name"])
            self.stdout.write("Made. It is used when the box is started again; browsers will ask once more.")
        said = _said(config.tls_certificate)
        if options.get("as_json"):
            self.stdout.write(json.dumps(said))
            return
        for name, value in said.items():
            text = ", ".join(value) if isinstance(value, list) else value
            self.stdout.write(f"{name:<12} {text}")


def _renew(config: Config, names: list[str]) -> None:
    if not config.tls_own:
        raise CommandError(
            "MILLWRIGHT_TLS_CERTIFICATE names a certificate of yours: the box makes no other", returncode=1
        )
    privilege = Privilege.of(config.home)
    known = [*names_of(config.http_listen[0]), *names_of(config.mqtt_listen[0]), "localhost", "127.0.0.1"]
    folder = service_folder(config.home.path / "tls", privilege)
    # Services are at work and can rename what is theirs: the files go into the folder that was looked at.
    with held_folder(folder) as handle:
        own = inside(handle)
        make_certificate(own / config.tls_certificate.name, own / config.tls_key.name, [*names, *known])
    privilege.hand_over(folder)


def _said(file: Path) -> dict[str, str | list[str]]:
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
    except FileNotFoundError as error:
        raise CommandError(
            f"there is no certificate at {file}: nothing of this box listens with TLS yet", returncode=1
        ) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read as a certificate: {error}", returncode=1) from error
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {
        "file": str(file),
        "names": [str(name.value) for name in names],
        "until": f"{found.not_valid_after_utc:%Y-%m-%d}",
        "SHA-256": found.fingerprint(hashes.SHA256()).hex(":").upper(),
    }
