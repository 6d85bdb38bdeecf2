"""``manage.py audit``: verify, export, search, rules, alerts."""

import json
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.alerts.errors import RulesRefused
from appliance.audit.bundle.sealed import is_bundle, verify_bundle
from appliance.audit.checking import verify_database, verify_files
from appliance.audit.export import write_export
from appliance.audit.heads import Signer, fingerprint
from appliance.audit.models import AuditRecord
from appliance.audit.report import Report
from appliance.audit.search import Search, search
from appliance.audit.services import bounds, records_after, sign_head, signed_heads, start_of_record
from appliance.lib.atomic import write_atomically
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import visible
from appliance.runs.evidence.services import export_run
from appliance.runs.rules_console import add_rules, alerts_text, perform


class Command(BaseCommand):
    help = "Verify, search and export the audit record. Verifying a file needs no database and no service."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="exit status 1 when something was changed")
        verify.add_argument(
            "files",
            nargs="*",
            type=Path,
            metavar="FILE",
            help="bundles, exports or segments, not the database",
        )
        verify.add_argument(
            "--key", metavar="KEY", help="the key to trust: a file (audit_key.pub), or its fingerprint"
        )
        export = verbs.add_parser("export", help="the evidence of one run, or the whole record")
        export.add_argument("run", nargs="?", metavar="RUN", help="none: the whole record")
        export.add_argument("-o", "--output", type=Path, metavar="FILE")
        look = verbs.add_parser("search", help="what was asked, allowed and done, newest first")
        _add_search(look)
        told = verbs.add_parser("alerts", help="what made an alert, newest first")
        told.add_argument("--rule", default="", metavar="ID")
        told.add_argument("--before", type=int, metavar="NUMBER", help="alerts before this one")
        told.add_argument("--limit", type=int, default=50, metavar="N")
        add_rules(
            verbs.add_parser(
                "rules", help="which records make an alert: test, apply, show, history, rollback"
            )
        )
        for verb in (verify, export, look, told):
            verb.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except RulesRefused as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            raise CommandError(f"{len(error.problems)} problem(s); nothing was changed") from error
        except MillwrightError as error:
            raise CommandError(f"{error}" + (f" ({error.hint})" if error.hint else "")) from error

    def _export(self, options: dict[str, Any]) -> None:
        if options["run"] is not None:
            self._export_run(options)
            return
        home, now = get_config().home, datetime.now(UTC)
        file = options["output"] or Path(f"audit-{home.id}-{now:%Y%m%d}.jsonl")
        sign_head(now)
        start = start_of_record()
        heads, (head, highest) = [one for one in signed_heads() if one.seq >= start.seq], bounds()
        records = records_after(start.seq, head.seq if head else highest)
        signer = Signer.of_home(home.path, home.id)
        try:
            end = write_export(file, records, heads, signer, home.id, now, start)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}") from error
        said = f"{end.seq - start.seq} records and {len(heads)} signed heads are in {file}."
        self._say(options, said, {"file": str(file), "records": end.seq - start.seq, "heads": len(heads)})

    def _export_run(self, options: dict[str, Any]) -> None:
        try:
            run_id = UUID(options["run"])
        except ValueError as error:
            said = f"{options['run']!r} is not the identifier of a run; the whole record goes into a file with -o FILE"
            raise CommandError(said) from error
        bundle = export_run(run_id, CONSOLE, datetime.now(UTC))
        file = options["output"] or Path(bundle.name)
        try:
            write_atomically(file, bundle.content, mode=0o640)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}") from error
        key = fingerprint(bundle.key)
        said = f"The evidence of run {run_id} with {bundle.records} records is in {file}."
        self._say(
            options,
            f"{said}\nFingerprint of the key: {key}",
            {"file": str(file), "records": bundle.records, "fingerprint": key},
        )

    def _verify(self, options: dict[str, Any]) -> None:
        files: list[Path] = options["files"]
        key, wanted = _key(options["key"])
        reports = _file_reports(files, key) if files else [verify_database(get_config().home.path, key)]
        for report in reports:
            report.trust(wanted)
        if options["as_json"]:
            told = [report.to_json() for report in reports]
            self.stdout.write(json.dumps(told if len(told) > 1 else told[0]))
        for number, report in enumerate(reports if not options["as_json"] else ()):
            name = f"{files[number]}\n" if len(files) > 1 else ""
            self.stdout.write(name + _told(report))
        if not all(report.intact for report in reports):
            sys.exit(1)

    def _search(self, options: dict[str, Any]) -> None:
        names = ("since", "until", "kind", "principal", "about", "text")
        wanted = Search(
            **{name: options[name] or "" for name in names[2:]},
            since=options["since"],
            until=options["until"],
        )
        found = search(wanted, options["before"], options["limit"])
        if options["as_json"]:
            rows = [record_json(one) for one in found.records]
            self.stdout.write(json.dumps({"records": rows, "next": found.next}))
            return
        for one in found.records:
            self.stdout.write(
                f"{one.seq:>9}  {one.at:%Y-%m-%d %H:%M:%S}  {one.kind:<22} {one.principal:<24} {one.subject}"
            )
        if found.next:
            self.stdout.write(f"more: --before {found.next}")
        elif not found.records:
            self.stdout.write("Nothing on record fits.")

    def _alerts(self, options: dict[str, Any]) -> None:
        self.stdout.write(alerts_text(options))

    def _rules(self, options: dict[str, Any]) -> None:
        said, fine = perform(options)
        self.stdout.write(said)
        if not fine:
            raise CommandError("refused")

    def _say(self, options: dict[str, Any], said: str, data: JsonObject) -> None:
        self.stdout.write(json.dumps(data) if options["as_json"] else said)


def _add_search(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="as 2026-03-02T07:30+01:00; UTC without a zone"
    )
    parser.add_argument("--until", type=_moment, metavar="TIME")
    parser.add_argument("--kind", metavar="PATTERN", help="as run.* or approval.decided")
    parser.add_argument("--principal", metavar="PATTERN", help="who, as user:ana or chat:*")
    parser.add_argument("--about", metavar="SUBJECT", help="a run, a task, a device, or any other subject")
    parser.add_argument("--text", metavar="TEXT", help="anywhere in what the record says")
    parser.add_argument("--before", type=int, metavar="NUMBER", help="records before this one")
    parser.add_argument("--limit", type=int, default=50, metavar="N")


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def record_json(record: AuditRecord) -> JsonObject:
    """A record as commands and the API give it."""
    return {
        "seq": record.seq,
        "at": record.at.isoformat(),
        "kind": record.kind,
        "principal": record.principal,
        "subject": record.subject,
        "detail": record.detail,
    }


def _key(text: str | None) -> tuple[bytes | None, str]:
    """The key of a file, or the fingerprint that a key must have."""
    if text is None:
        return None, ""
    digits = text.replace(" ", "").replace(":", "").lower()
    if len(digits) == 32 and not Path(text).exists():
        return None, digits
    try:
        found = bytes.fromhex(Path(text).read_text().strip())
    except (OSError, ValueError) as error:
        raise CommandError(
            f"{text} is neither a file with a public key in hex, nor a fingerprint of 32 digits"
        ) from error
    return found, ""


def _file_reports(files: list[Path], key: bytes | None) -> list[Report]:
    bundles = [file for file in files if is_bundle(file)]
    others = [file for file in files if file not in bundles]
    found = {file: verify_bundle(file, key)[0] for file in bundles}
    found |= dict(zip(others, verify_files(others, key), strict=True))
    return [found[file] for file in files]


def _told(report: Report) -> str:
    lines = [f"{problem.finding.value}: {problem.message}" for problem in report.problems]
    lines += [f"note: {note}" for note in report.notes]
    verdict = "intact" if report.intact else f"NOT intact: {len(report.problems)} findings"
    lines.append(
        f"{report.records} records, {report.heads} signed heads, signed up to record {report.last_signed}: "
        f"{verdict}. Key {fingerprint(bytes.fromhex(report.key))}"
    )
    return "\n".join(map(visible, lines))
