"""``manage.py bench``: measure the product."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, machine, write_report
from appliance.processes.bench.suite import CRASH_SAFE, SUITE


class Command(BaseCommand):
    help = f"Measure the running product in a home of its own: {', '.join(SUITE)}."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", help="which measurements; all where none is named")
        parser.add_argument("--json", type=Path, dest="json_file", metavar="FILE", help="write a report")

    def handle(self, *, names: list[str], json_file: Path | None = None, **options: Any) -> None:
        unknown = [name for name in names if name not in SUITE]
        if unknown:
            raise CommandError(f"unknown: {', '.join(unknown)}; there are {', '.join(SUITE)}")
        self.stdout.write(machine())
        rows: list[Row] = []
        with Box(**CRASH_SAFE) as box:
            for name in names or list(SUITE):
                for row in SUITE[name](box):
                    rows.append(row)
                    self._show(row)
        if json_file is not None:
            write_report(json_file, rows)
        missed = [row.name for row in rows if row.met is False]
        if missed:
            raise CommandError(f"below their bar: {', '.join(missed)}")

    def _show(self, row: Row) -> None:
        bar = f"bar {row.bar:g}: {'met' if row.met else 'MISSED'}" if row.bar is not None else ""
        self.stdout.write(f"{row.name:<28} {row.value:>10g} {row.unit:<7} {bar}")
        self.stdout.flush()
