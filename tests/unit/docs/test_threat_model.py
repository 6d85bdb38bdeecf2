"""The threat model names a control and a test for each of OWASP's agentic risks, and the tests are there."""

import re

from tests.unit.docs.pages import ROOT

PAGE = ROOT / "docs" / "explanation" / "threat-model.md"
_ROW = re.compile(r"^\| (ASI\d\d) ([^|]+) \| ([^|]+) \| `([^`|]+)::(test_\w+)` \|$", re.MULTILINE)
RISKS = {
    "ASI01": "Agent Goal Hijack",
    "ASI02": "Tool Misuse and Exploitation",
    "ASI03": "Identity and Privilege Abuse",
    "ASI04": "Agentic Supply Chain Vulnerabilities",
    "ASI05": "Unexpected Code Execution",
    "ASI06": "Memory and Context Poisoning",
    "ASI07": "Insecure Inter-Agent Communication",
    "ASI08": "Cascading Failures",
    "ASI09": "Human-Agent Trust Exploitation",
    "ASI10": "Rogue Agents",
}


def test_each_risk_has_its_control_and_a_test_that_is_there() -> None:
    rows = _ROW.findall(PAGE.read_text())
    assert {risk: name for risk, name, *_ in rows} == RISKS
    for risk, _name, control, file, test in rows:
        assert len(control) > 40, risk
        text = (ROOT / file).read_text()
        assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), f"{risk}: {file}::{test}"
