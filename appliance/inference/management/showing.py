"""How far something is, for whoever sits before a terminal: a bar there, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from appliance.inference.catalogue.progress import Progress

_BAR, _EVERY_LINE, _EVERY_BAR = 28, 10.0, 0.1


class ProgressShown:
    """Writes to standard error, so that standard output is the result alone. ``quiet``: nothing at all."""

    def __init__(
        self, *, quiet: bool = False, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._clock, self._quiet = out or sys.stderr, clock, quiet
        self._bar = self._out.isatty()
        self._last, self._stage = -1e9, ""
        self._begun, self._first = clock(), 0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        stage = f"{progress.stage} {progress.file}".strip()
        if stage != self._stage:
            self._stage, self._begun, self._first = stage, now, progress.done
            self._last = -1e9
        whole = progress.total is not None and progress.done >= progress.total
        if self._quiet or (now - self._last < (_EVERY_BAR if self._bar else _EVERY_LINE) and not whole):
            return
        self._last = now
        line = self._line(progress, now)
        self._out.write(f"\r\x1b[2K{line}" if self._bar else f"{line}\n")
        self._out.flush()

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._bar and self._stage and not self._quiet:
            self._out.write("\r\x1b[2K")
            self._out.flush()

    def _line(self, progress: Progress, now: float) -> str:
        speed = (progress.done - self._first) / (now - self._begun) if now > self._begun else 0.0
        told = f"{size(int(speed))}/s" if speed and not progress.unit else ""
        if not progress.total:
            return f"{self._stage} {size(progress.done)} {told}".rstrip()
        whole = f"{progress.total} {progress.unit}" if progress.unit else size(progress.total)
        part = min(1.0, progress.done / progress.total)
        full = round(part * _BAR)
        bar = f"[{'#' * full}{'.' * (_BAR - full)}] " if self._bar else ""
        left = f" {_minutes((progress.total - progress.done) / speed)} left" if speed and part < 1 else ""
        return f"{self._stage} {bar}{part:.0%} of {whole} {told}{left}".rstrip()


def size(count: int) -> str:
    """Bytes, short: ``4.7 GB``."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def _minutes(seconds: float) -> str:
    whole = int(min(seconds, 359999))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
