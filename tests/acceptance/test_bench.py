"""``bench --json`` writes the shape that its page promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_report_of_a_measurement_has_the_documented_shape(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "bench", "scale", "--json", str(file)],
        env={**os.environ, "MILLWRIGHT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    report = json.loads(file.read_text())
    assert set(report) == {"machine", "versions", "settings", "rows", "conditions"}
    assert {"python", "django", "celery"} <= report["versions"].keys()
    assert report["settings"] == {"MILLWRIGHT_POWER_SAFE": "no"}
    for row in report["rows"]:
        assert set(row) == {"name", "value", "unit", "bar", "better", "met", "busy"}
        assert row["value"] > 0
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == {
        "trigger_match_100_us",
        "trigger_match_10000_us",
        "trigger_scale_ratio",
        "command_understand_us",
    }
    ratio = rows["trigger_scale_ratio"]
    assert (ratio["unit"], ratio["better"], ratio["bar"]) == ("x", "lower", 2)
    assert ratio["met"] is (ratio["value"] <= 2)
    assert done.returncode == (0 if ratio["met"] else 1), done.stderr
    assert set(report["conditions"]) == {"scale"}
    busy = report["conditions"]["scale"]["busy"]
    assert [row["busy"] for row in report["rows"]] == [busy] * len(rows)
    assert ("The machine was busy" in done.stdout) is busy
