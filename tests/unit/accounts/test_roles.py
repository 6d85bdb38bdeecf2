from itertools import pairwise

import pytest

from appliance.accounts.domain import NEEDED, Ability, Role, allowed, lower
from appliance.accounts.principal import NotAllowed, Principal
from appliance.lib.config import ROLES


def test_each_role_may_all_that_the_one_below_it_may() -> None:
    for weaker, stronger in pairwise(Role):
        assert {a for a in Ability if allowed(weaker, a)} < {a for a in Ability if allowed(stronger, a)}


def test_every_ability_names_the_role_it_needs() -> None:
    assert set(NEEDED) == set(Ability)


def test_a_viewer_changes_nothing() -> None:
    assert [ability for ability in Ability if allowed(Role.VIEWER, ability)] == [Ability.VIEW]


def test_the_lower_ceiling_holds() -> None:
    assert lower(Role.ADMIN, Role.OPERATOR) is lower(Role.OPERATOR, Role.ADMIN) is Role.OPERATOR
    assert Principal("user:a", Role.ADMIN).limited_to(Role.VIEWER).role is Role.VIEWER


def test_a_principal_is_held_to_its_role() -> None:
    Principal("user:a", Role.ENGINEER).require(Ability.EDIT_TASKS)
    with pytest.raises(NotAllowed, match="user:a is operator"):
        Principal("user:a", Role.OPERATOR).require(Ability.EDIT_TASKS)


def test_the_settings_name_the_roles_that_there_are() -> None:
    assert set(ROLES) == {role.value for role in Role}
