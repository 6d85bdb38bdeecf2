"""Whether memory grows: ten minutes of 100 events/s, and what each process holds after two of them and at the end."""

import threading

from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.events import load_task, run_load
from appliance.processes.bench.load import Report
from appliance.processes.bench.rows import Row

RATE, EARLY, LATE = 100.0, 120.0, 600.0
"""Events a second, and the seconds after which memory is looked at. At the first one, caches are filled."""


def soak(box: Box) -> list[Row]:
    load_task(box)
    found: dict[float, dict[str, float]] = {}
    ended = threading.Event()
    began = threading.Thread(target=_look, args=(box, found, ended))
    began.start()
    try:
        report = run_load(box, "in", RATE, LATE + 5, first=60_000_000)
    finally:
        ended.set()
        began.join()
    return rows_of(found[EARLY], found[LATE], report)


def rows_of(early: dict[str, float], late: dict[str, float], report: Report) -> list[Row]:
    rows = []
    for name in sorted(early.keys() & late.keys()):
        for minute, held in ((2, early), (10, late)):
            rows.append(Row(f"soak_{name}_{minute}min_mib", round(held[name], 1), "MiB", "lower"))
    grown = sum(late.values()) - sum(early.values())
    return [
        *rows,
        Row("soak_growth_mib", round(grown, 1), "MiB", "lower"),
        Row("soak_lost", report.lost, "events", "lower", 0),
        Row("soak_twice", report.twice, "events", "lower", 0),
    ]


def _look(box: Box, found: dict[float, dict[str, float]], ended: threading.Event) -> None:
    passed = 0.0
    for moment in (EARLY, LATE):
        if ended.wait(moment - passed):
            return
        passed = moment
        found[moment] = {name: pss_mib(pid) for name, pid in box.parts().items()}
