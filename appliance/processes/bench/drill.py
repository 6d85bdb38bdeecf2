"""From the order to stop everything to the last effect, and to the last command dead: the box's own drill."""

import json

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row

TIMES = 5
BAR = 1000


def drill(box: Box) -> list[Row]:
    """The worst of a few."""
    who, _ = box.add_person("engineer")
    found = [
        json.loads(box.manage("allstop", "drill", "--as", who, "--anyway", "--json")) for _ in range(TIMES)
    ]
    return [
        Row("allstop_last_effect_ms", max(one["last_effect_ms"] for one in found), "ms", "lower", BAR),
        Row("allstop_sandbox_ms", max(one["sandbox_ms"] for one in found), "ms", "lower", BAR),
    ]
