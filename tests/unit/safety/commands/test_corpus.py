"""The corpus: nothing that changes the world passes for reading, and everyday commands get the class people expect."""

from itertools import product

import pytest

from appliance.safety.commands import CommandClass, understand
from tests.unit.safety.commands.corpus import bypasses, everyday

VALUES = ["/srv/data", "on"]


@pytest.mark.parametrize("group", sorted({case.group for case in bypasses()}))
def test_a_bypass_does_not_pass_for_less_than_it_is(group: str) -> None:
    passed = []
    for case, values in product((case for case in bypasses() if case.group == group), (VALUES, None)):
        found = understand(case.command, values)
        explained = all(leaf.reason for leaf in found.leaves)
        if found.kind.rank < case.least.rank or found.repeatable or not explained:
            passed.append((case.command, found.as_json()))
    assert passed == []


@pytest.mark.parametrize("expected", sorted({kind for _, kind in everyday()}))
def test_an_everyday_command_has_the_class_that_people_expect(expected: CommandClass) -> None:
    found = {command: understand(command, VALUES) for command, kind in everyday() if kind is expected}
    assert [(command, one.as_json()) for command, one in found.items() if one.kind is not expected] == []


def test_the_corpus_is_as_large_as_it_must_be() -> None:
    cases = bypasses()
    assert len({case.command for case in cases}) >= 300
    assert len({case.group for case in cases}) >= 15
    assert len(everyday()) >= 150
