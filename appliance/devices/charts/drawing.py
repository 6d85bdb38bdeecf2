"""The picture of a chart: a PNG of 800 x 400, drawn twice as large and made smaller, so that its lines are smooth.

Pillow is imported at the first picture. Takes some tens of milliseconds; call it in a thread.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from io import BytesIO
from typing import TYPE_CHECKING

from appliance.devices.charts.domain import NO_READINGS, ChartSpec, shown
from appliance.devices.charts.fonts import written
from appliance.devices.charts.ticks import Scale, scale_of, time_ticks, unbroken, zone_name
from appliance.devices.readings.domain import Point, Series
from appliance.lib.duration import format_duration

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

WIDTH, HEIGHT = 800, 400
COLOURS = ("#1f6feb", "#d9730d", "#2b8a3e", "#8250df")
_PAPER, _GRID, _FRAME, _INK, _QUIET, _LIMIT = "#ffffff", "#e9ecef", "#adb5bd", "#212529", "#6c757d", "#d1242f"
_TWICE = 2
_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 62, 22, 14, 52, 23
_XY = tuple[float, float]


class Drawing:
    """One chart. ``lines`` are the series of ``spec.topics``, in their order."""

    def __init__(self, spec: ChartSpec, lines: Sequence[Series], zone: tzinfo) -> None:
        self._spec, self._lines, self._zone = spec, lines, zone
        self._top = _TOP + _ROW * len(lines) + 12
        self._scale = _scale(spec, lines)
        self._length = spec.length.total_seconds()

    def png(self) -> bytes:
        from PIL import Image, ImageDraw

        large = Image.new("RGB", (WIDTH * _TWICE, HEIGHT * _TWICE), _PAPER)
        self._grid(ImageDraw.Draw(large))
        for colour, line in zip(COLOURS, self._lines, strict=False):
            large = self._band(large, line, colour)
        pen = ImageDraw.Draw(large)
        self._limit_line(pen)
        for colour, line in zip(COLOURS, self._lines, strict=False):
            self._line(pen, line, colour)
            self._marks(pen, line, colour)
        picture = large.reduce(_TWICE)
        self._words(ImageDraw.Draw(picture))
        out = BytesIO()
        picture.save(out, "PNG")
        return out.getvalue()

    # --- where things stand -------------------------------------------------------------------------

    def _x(self, at: datetime) -> float:
        share = (at - self._spec.since).total_seconds() / self._length
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        share = (value - self._scale.low) / (self._scale.high - self._scale.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - self._top)

    def _middle(self, line: Series, point: Point) -> float:
        return self._x(min(point.at + line.width / 2, self._spec.until))

    # --- lines, twice as large ----------------------------------------------------------------------

    def _grid(self, pen: "ImageDraw.ImageDraw") -> None:
        for tick in self._scale.ticks:
            pen.line(_large((_LEFT, self._y(tick)), (WIDTH - _RIGHT, self._y(tick))), _GRID, 2)
        for at, _ in self._times():
            pen.line(_large((self._x(at), self._top), (self._x(at), HEIGHT - _BOTTOM)), _GRID, 2)
        corner = (_LEFT, HEIGHT - _BOTTOM)
        pen.line(_large((_LEFT, self._top), corner, (WIDTH - _RIGHT, HEIGHT - _BOTTOM)), _FRAME, 2)

    def _band(self, large: "Image.Image", line: Series, colour: str) -> "Image.Image":
        """Between the least and the greatest of each point; of a single line, also what is under it."""
        from PIL import Image, ImageDraw

        mask = Image.new("L", large.size, 0)
        pen, ground = ImageDraw.Draw(mask), HEIGHT - _BOTTOM
        for piece in unbroken(line.points, line.width):
            upper = [(self._middle(line, one), self._y(one.high)) for one in piece]
            lower = [(self._middle(line, one), self._y(one.low)) for one in reversed(piece)]
            if len(self._lines) == 1 and len(piece) > 1:
                pen.polygon(_large(*upper, (upper[-1][0], ground), (upper[0][0], ground)), fill=26)
            if len(piece) > 1:
                pen.polygon(_large(*upper, *lower), fill=56)
            else:
                pen.line(_large(upper[0], lower[0]), 80, 4)
        large.paste(Image.new("RGB", large.size, colour), mask=mask)
        return large

    def _limit_line(self, pen: "ImageDraw.ImageDraw") -> None:
        if self._spec.limit is None:
            return
        y, end = self._y(self._spec.limit), float(WIDTH - _RIGHT)
        for dash in range(_LEFT, int(end), 12):
            pen.line(_large((dash, y), (min(dash + 7, end), y)), _LIMIT, 3)

    def _line(self, pen: "ImageDraw.ImageDraw", line: Series, colour: str) -> None:
        for piece in unbroken(line.points, line.width):
            track = [(self._middle(line, one), self._y(one.mean)) for one in piece]
            if len(track) > 1:
                pen.line(_large(*track), colour, 4, joint="curve")
            else:
                _dot(pen, track[0], 2, colour)

    def _marks(self, pen: "ImageDraw.ImageDraw", line: Series, colour: str) -> None:
        """A ring at the least and the greatest, a dot at the last."""
        if line.last is None or line.last_at is None:
            return
        for extreme in self._extremes(line):
            _dot(pen, extreme, 4.5, colour)
            _dot(pen, extreme, 2.5, _PAPER)
        _dot(pen, (self._x(line.last_at), self._y(line.last)), 6, _PAPER)
        _dot(pen, (self._x(line.last_at), self._y(line.last)), 4.5, colour)

    def _extremes(self, line: Series) -> tuple[_XY, _XY]:
        """Where the greatest and the least stand."""
        highest = max(line.points, key=lambda one: one.high)
        lowest = min(line.points, key=lambda one: one.low)
        return (
            (self._middle(line, highest), self._y(highest.high)),
            (self._middle(line, lowest), self._y(lowest.low)),
        )

    # --- words, in their own size -------------------------------------------------------------------

    def _words(self, pen: "ImageDraw.ImageDraw") -> None:
        for number, line in enumerate(self._lines):
            self._legend(pen, _TOP + _ROW * number + _ROW / 2, COLOURS[number], line)
        for tick in self._scale.ticks:
            _write(pen, (_LEFT - 9, self._y(tick)), self._scale.label(tick), 13, _QUIET, "rm")
        for at, said in self._times():
            _write(pen, (self._x(at), HEIGHT - _BOTTOM + 8), said, 13, _QUIET, "mt")
        self._label_limit(pen)
        if len(self._lines) == 1 and self._lines[0].points:
            self._label_extremes(pen, self._lines[0])
        until = self._spec.until.astimezone(self._zone)
        said = (
            f"{format_duration(self._spec.length)} to {until:%Y-%m-%d %H:%M}, {zone_name(until, self._zone)}"
        )
        _write(pen, (WIDTH - _RIGHT, HEIGHT - 12), said, 12, _QUIET, "rm")

    def _legend(self, pen: "ImageDraw.ImageDraw", y: float, colour: str, line: Series) -> None:
        pen.rounded_rectangle((20, y - 5, 30, y + 5), 3, colour)
        figures = NO_READINGS
        if line.last is not None:
            figures = f"last {shown(line.last)} · min {shown(line.low)} · max {shown(line.high)}"
        room = WIDTH - _RIGHT - 38 - 24 - _write(pen, (WIDTH - _RIGHT, y), figures, 14, _QUIET, "rm")
        name = f"{line.topic} {self._spec.path}".strip()
        _write(pen, (38, y), _cut(pen, name, 16, room), 16, _INK, "lm")

    def _label_limit(self, pen: "ImageDraw.ImageDraw") -> None:
        limit = self._spec.limit
        if limit is not None:
            below = self._y(limit) - self._top < 18
            at = (_LEFT + 6, self._y(limit) + (4 if below else -4))
            _write(pen, at, f"limit {shown(limit)}", 12, _LIMIT, "lt" if below else "lb")

    def _label_extremes(self, pen: "ImageDraw.ImageDraw", line: Series) -> None:
        (high_x, high_y), (low_x, low_y) = self._extremes(line)
        for x, y, value, anchor in ((high_x, high_y - 8, line.high, "s"), (low_x, low_y + 8, line.low, "t")):
            side = "l" if x < _LEFT + 30 else "r" if x > WIDTH - _RIGHT - 30 else "m"
            _write(pen, (x, y), shown(value), 13, COLOURS[0], side + anchor, around=2)

    def _times(self) -> list[tuple[datetime, str]]:
        return time_ticks(self._spec.since, self._spec.until, self._zone)


def _scale(spec: ChartSpec, lines: Sequence[Series]) -> Scale:
    told = [line for line in lines if line.points]
    ends = [end for line in told for end in (line.low, line.high)]
    if spec.limit is not None:
        ends.append(spec.limit)
    return scale_of(min(ends), max(ends)) if ends else scale_of(0, 1)


def _large(*points: _XY) -> list[_XY]:
    return [(x * _TWICE, y * _TWICE) for x, y in points]


def _dot(pen: "ImageDraw.ImageDraw", at: _XY, radius: float, colour: str) -> None:
    [(x, y)] = _large(at)
    size = radius * _TWICE
    pen.ellipse((x - size, y - size, x + size, y + size), colour)


def _write(
    pen: "ImageDraw.ImageDraw", at: _XY, text: str, size: int, colour: str, anchor: str, around: int = 0
) -> float:
    """Write one line, on as much paper ``around`` it; gives its width."""
    text, font = written(text, size)
    pen.text(at, text, colour, font, anchor, stroke_width=around, stroke_fill=_PAPER)
    return pen.textlength(text, font)


def _cut(pen: "ImageDraw.ImageDraw", text: str, size: int, room: float) -> str:
    """What fits of a name: its end says more than its beginning."""
    whole, font = written(text, size)
    if pen.textlength(whole, font) <= room:
        return whole
    while whole and pen.textlength(f"...{whole}", font) > room:
        whole = whole[1:]
    return f"...{whole}"
