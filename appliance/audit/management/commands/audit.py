import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.audit.export import verify_export, write_export
from appliance.audit.heads import Signer
from appliance.audit.services import bounds, records_after, sign_head, signed_heads, verify_database
from appliance.audit.verify import Report
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Verify the audit record, or export it. Verifying an export needs no database and no service."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="exit status 1 when the record was changed")
        verify.add_argument(
            "--export", metavar="FILE", type=Path, help="verify this export, not the database"
        )
        verify.add_argument(
            "--key", metavar="FILE", type=Path, help="the public key to trust (audit_key.pub)"
        )
        verify.add_argument("--json", action="store_true")
        export = verbs.add_parser("export", help="write records, signed heads and a signed end")
        export.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["verb"] == "export":
                self._export(options["file"])
            else:
                self._verify(options)
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _export(self, file: Path) -> None:
        home, now = get_config().home, datetime.now(UTC)
        sign_head(now)
        heads, (head, highest) = list(signed_heads()), bounds()
        try:
            end = write_export(
                file,
                records_after(0, head.seq if head else highest),
                heads,
                Signer.of_home(home.path, home.id),
                home.id,
                now,
            )
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}") from error
        self.stdout.write(f"{end.seq} records and {len(heads)} signed heads are in {file}.")

    def _verify(self, options: dict[str, Any]) -> None:
        key = _key(options["key"])
        if options["export"] is not None:
            report = verify_export(options["export"], key)
        else:
            report = verify_database(get_config().home.path, key)
        self.stdout.write(json.dumps(report.to_json()) if options["json"] else _told(report))
        if not report.intact:
            sys.exit(1)


def _key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return bytes.fromhex(file.read_text().strip())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} does not hold a public key in hex") from error


def _told(report: Report) -> str:
    lines = [f"{problem.finding.value}: {problem.message}" for problem in report.problems]
    lines += [f"note: {note}" for note in report.notes]
    verdict = "intact" if report.intact else f"NOT intact: {len(report.problems)} findings"
    lines.append(
        f"{report.records} records, {report.heads} signed heads, signed up to record {report.last_signed}: "
        f"{verdict}. Key {report.key[:16]}…"
    )
    return "\n".join(lines)
