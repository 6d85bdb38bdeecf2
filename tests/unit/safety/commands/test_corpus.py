"""The corpus: nothing that changes the world passes for reading, and everyday commands get the class people expect."""

import pytest

from appliance.safety.commands import CommandClass, understand
from tests.unit.safety.commands.corpus import Bypass, bypasses, everyday

VALUES = ["/srv/data", "on"]


@pytest.mark.parametrize("case", bypasses(), ids=lambda case: f"{case.group}: {case.command}"[:80])
def test_a_bypass_does_not_pass_for_less_than_it_is(case: Bypass) -> None:
    for values in (VALUES, None):
        found = understand(case.command, values)
        assert found.kind.rank >= case.least.rank, found.as_json()
        assert not found.repeatable
        assert all(leaf.reason for leaf in found.leaves)


@pytest.mark.parametrize(("command", "expected"), everyday(), ids=lambda value: str(value)[:60])
def test_an_everyday_command_has_the_class_that_people_expect(command: str, expected: CommandClass) -> None:
    found = understand(command, VALUES)
    assert found.kind is expected, found.as_json()


def test_the_corpus_is_as_large_as_it_must_be() -> None:
    cases = bypasses()
    assert len({case.command for case in cases}) >= 300
    assert len({case.group for case in cases}) >= 15
    assert len(everyday()) >= 150
