"""Draws one chart: an order (`order`) on standard input, the PNG on standard output."""

import os
import sys

from appliance.devices.charts.drawing import Drawing
from appliance.devices.charts.order import read_order
from appliance.devices.charts.zone import box_zone


def main() -> None:
    os.nice(5)  # whoever acts comes before whoever draws
    spec, lines = read_order(sys.stdin.buffer.read())
    sys.stdout.buffer.write(Drawing(spec, lines, box_zone()).png())


if __name__ == "__main__":
    main()
