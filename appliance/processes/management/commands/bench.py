"""``manage.py bench``: measure the product."""

import signal
import subprocess
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.lib.config import get_config
from appliance.processes.bench.box import Box
from appliance.processes.bench.modes import CRASH_SAFE
from appliance.processes.bench.peers.beside import PEERS, measure_peer, ratio_rows
from appliance.processes.bench.quiet import OTHERS_BOUND, Conditions, Watch
from appliance.processes.bench.rows import Row, machine, report, write_report
from appliance.processes.bench.suite import SUITE

COMPARED = ("reflex", "reflex_1000", "sustained")
"""What a ratio needs of the box; without names they are all measured anyway."""


class Command(BaseCommand):
    help = f"Measure the running product in a home of its own: {', '.join(SUITE)}."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", help="which measurements; where none is named, the whole")
        parser.add_argument("--json", type=Path, dest="json_file", metavar="FILE", help="write a report")
        parser.add_argument(
            "--peers", action="store_true", help=f"install and measure {', '.join(PEERS)} in the same run"
        )
        parser.add_argument(
            "--peer", action="append", default=[], choices=PEERS, help="only this one; may be repeated"
        )

    def handle(
        self,
        *,
        names: list[str],
        json_file: Path | None = None,
        peers: bool = False,
        peer: list[str],
        **options: Any,
    ) -> None:
        unknown = [name for name in names if name not in SUITE]
        if unknown:
            raise CommandError(f"unknown: {', '.join(unknown)}; there are {', '.join(SUITE)}")
        # As Ctrl-C: what was started is ended.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.stdout.write(machine())
        self._conditions: dict[str, Conditions] = {}
        self._failed: list[str] = []
        chosen = peer or (list(PEERS) if peers else [])
        rows = self._measure_box(_chosen(names, bool(chosen)))
        beside = {name: self._measure_peer(name) for name in chosen}
        ratios = ratio_rows(rows, beside)
        self._show(ratios)
        for found in beside.values():
            rows += found
        rows += ratios
        if json_file is not None:
            versions = {f"peer_{name}": " ".join(PEERS[name].packages) for name in chosen}
            write_report(json_file, report(rows, CRASH_SAFE, self._conditions, versions))
        self._say_busy()
        self._judge(rows)

    def _judge(self, rows: list[Row]) -> None:
        missed = [row.name for row in rows if row.met is False]
        said = [f"below their bar: {', '.join(missed)}"] if missed else []
        said += [f"not measured: {', '.join(self._failed)}"] if self._failed else []
        if said:
            raise CommandError("; ".join(said))

    def _measure_box(self, names: list[str]) -> list[Row]:
        rows: list[Row] = []
        with ExitStack() as stack:
            box = Box(**CRASH_SAFE)
            stack.callback(box.close)
            if any(SUITE[name].needs_box for name in names):
                box.start()
            for name in names:
                rows += self._measure(name, box)
        return rows

    def _measure(self, name: str, box: Box) -> list[Row]:
        """One that fails does not take the others with it."""
        try:
            with Watch(box.lateness) as watch:
                rows = SUITE[name].measure(box)
        except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
            self.stderr.write(f"{name} could not be measured: {error}")
            self._failed.append(name)
            return []
        return self._take(name, rows, watch.conditions)

    def _measure_peer(self, name: str) -> list[Row]:
        rows, conditions = measure_peer(name, get_config().bench_cache.expanduser(), self.stdout.write)
        return self._take(f"peer_{name}", rows, conditions)

    def _take(self, name: str, rows: list[Row], conditions: Conditions | None) -> list[Row]:
        """Mark what was measured on a busy machine, and show it."""
        if conditions is not None:
            self._conditions[name] = conditions
            rows = [replace(row, busy=conditions.busy) for row in rows]
        self._show(rows)
        return rows

    def _show(self, rows: list[Row]) -> None:
        for row in rows:
            figure = "-" if row.value is None else f"{row.value:g}"
            bar = f"bar {row.bar:g}: {'met' if row.met else 'MISSED'}" if row.bar is not None else ""
            said = "  ".join(part for part in (bar, "busy" if row.busy else "", row.note) if part)
            self.stdout.write(f"{row.name:<34} {figure:>10} {row.unit:<15} {said}".rstrip())
        self.stdout.flush()

    def _say_busy(self) -> None:
        busy = {name: found for name, found in self._conditions.items() if found.busy}
        if busy:
            worst = max(found.others for found in busy.values())
            self.stdout.write(
                f"The machine was busy: other work took up to {100 * worst:.0f} % of its processors (at most "
                f"{100 * OTHERS_BOUND:.0f} % is fine), so measure again on a quiet machine: {', '.join(busy)}."
            )


def _chosen(names: list[str], compared: bool) -> list[str]:
    """The named ones, else the whole; what peers are compared with is always among them."""
    chosen = names or [name for name, one in SUITE.items() if not one.only_named]
    return chosen + [name for name in COMPARED if compared and name not in chosen]
