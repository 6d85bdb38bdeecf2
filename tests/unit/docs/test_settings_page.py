"""The table of settings is what the code reads."""

from appliance.lib.variables import VARIABLES
from tests.unit.docs.pages import ROOT

PAGE = ROOT / "docs" / "reference" / "settings.md"


def test_the_table_has_every_variable_of_the_code_and_no_other() -> None:
    shown = [line for line in PAGE.read_text().split("\n## ")[0].splitlines() if line.startswith("| `")]
    expected = [f"| `{v.name}` | {f'`{v.default}` ' if v.default else ''}| {v.meaning} |" for v in VARIABLES]
    assert shown == expected
