"""What the soak and the browser make of what they saw."""

from appliance.processes.bench.load import Report
from appliance.processes.bench.soak import rows_of
from appliance.processes.bench.watching import latencies_of


def test_the_soak_tells_of_the_processes_that_were_there_twice() -> None:
    rows = rows_of({"web": 100.0, "worker": 50.0}, {"web": 101.5, "worker": 49.0}, Report(lost=3))
    found = {row.name: row.value for row in rows}
    assert found["soak_web_2min_mib"] == 100.0
    assert found["soak_web_10min_mib"] == 101.5
    assert found["soak_growth_mib"] == 0.5
    assert [row.name for row in rows if row.met is False] == ["soak_lost"]


def test_the_browser_counts_runs_that_succeeded_from_their_journal_time() -> None:
    def event(type_: str, state: str) -> dict[str, object]:
        return {"type": type_, "at": "2026-11-25T12:00:00+00:00", "data": {"state": state}}

    noon = 1795608000.0
    heard = [
        event("run.changed", "succeeded"),
        event("run.changed", "running"),
        event("step.changed", "succeeded"),
    ]
    assert latencies_of({"events": heard}, noon + 0.25) == [250.0]
    assert latencies_of({"output": {}}, noon) == []
