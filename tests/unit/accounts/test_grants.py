"""A grant adds to a role where a task's name or a topic fits, and nowhere else."""

import pytest

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import GrantRefused
from appliance.accounts.grants import ON_TASKS, ON_TOPICS, Grant
from appliance.accounts.principal import NotAllowed, Principal

LINE3 = Grant(Role.OPERATOR, "line3-*", "plant/line3/#")
VIC = Principal("user:vic", Role.VIEWER, (LINE3,))


def test_an_operator_of_line_3_runs_and_approves_there_and_nowhere_else() -> None:
    for ability in (Ability.RUN_TASKS, Ability.CANCEL_RUNS, Ability.APPROVE):
        assert VIC.can(ability, task="line3-fill")
        assert not VIC.can(ability, task="line1-fill")
        assert not VIC.can(ability)
        assert VIC.can_somewhere(ability)
    with pytest.raises(NotAllowed, match=r"user:vic is viewer on line1-fill, .* run tasks"):
        VIC.require(Ability.RUN_TASKS, task="line1-fill")


@pytest.mark.parametrize("ability", sorted(set(Ability) - ON_TASKS - ON_TOPICS - {Ability.VIEW}))
def test_what_is_about_the_whole_box_comes_from_the_role_alone(ability: Ability) -> None:
    everything = Principal("user:vic", Role.VIEWER, (Grant(Role.ENGINEER, "*", "#"),))
    assert not everything.can(ability, task="line3-fill", topic="plant/line3/x")
    assert not everything.can_somewhere(ability)


def test_publishing_by_hand_follows_the_topics_and_not_the_tasks() -> None:
    eve = Principal("user:eve", Role.VIEWER, (Grant(Role.ENGINEER, "line3-*", "plant/line3/#"),))
    assert eve.can(Ability.PUBLISH, topic="plant/line3/valve")
    assert not eve.can(Ability.PUBLISH, topic="plant/line1/valve")
    assert not eve.can(Ability.PUBLISH, topic="line3-fill")
    assert not eve.can(Ability.EDIT_TASKS, task="plant/line3/valve")


def test_devices_and_secrets_are_granted_each_by_their_own_names() -> None:
    mine = Grant(Role.ENGINEER, devices="line3-*", secrets="l3?api")
    eve = Principal("user:eve", Role.VIEWER, (mine,))
    assert str(mine) == "engineer on devices line3-* and secrets l3?api"
    assert eve.can(Ability.MANAGE_DEVICES, device="line3-press")
    assert not eve.can(Ability.MANAGE_DEVICES, device="line1-press")
    assert not eve.can(Ability.MANAGE_DEVICES)
    assert eve.can(Ability.USE_SECRETS, secret="l3-api")
    assert not eve.can(Ability.USE_SECRETS, secret="line3-press")
    assert not eve.can(Ability.EDIT_TASKS, task="line3-press")
    assert not eve.can_somewhere(Ability.PUBLISH)
    assert eve.can_somewhere(Ability.MANAGE_DEVICES)
    assert eve.limited_to(Role.VIEWER).can_somewhere(Ability.MANAGE_DEVICES) is False


def test_a_grant_never_takes_away_and_a_ceiling_bounds_it() -> None:
    ann = Principal("user:ann", Role.ENGINEER, (LINE3,))
    assert ann.role_on(task="line3-fill") is Role.ENGINEER
    assert VIC.limited_to(Role.VIEWER).role_on(task="line3-fill") is Role.VIEWER


def test_a_token_does_no_more_than_its_scopes_whatever_was_granted() -> None:
    token = VIC.limited_to_scopes([Ability.VIEW])
    assert not token.can(Ability.RUN_TASKS, task="line3-fill")
    assert not token.can_somewhere(Ability.RUN_TASKS)
    with pytest.raises(NotAllowed, match="has no right to run tasks"):
        token.require(Ability.RUN_TASKS, task="line3-fill")


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        (Grant(Role.ADMIN, "line3-*"), "admin cannot be granted"),
        (Grant(Role.VIEWER, "line3-*"), "viewer cannot be granted"),
        (Grant(Role.OPERATOR), "names tasks, topics, devices or secrets"),
        (Grant(Role.OPERATOR, "line[3]"), "no pattern of task names"),
        (Grant(Role.OPERATOR, "a%"), "no pattern of task names"),
        (Grant(Role.OPERATOR, "*a*b*c*d*"), "no pattern of task names"),
        (Grant(Role.ENGINEER, devices="a b"), "no pattern of device names"),
        (Grant(Role.ENGINEER, secrets="a/b"), "no pattern of secret names"),
        (Grant(Role.OPERATOR, devices="line3-*"), "an operator manages no devices"),
        (Grant(Role.OPERATOR, "", "plant/#/x"), "# stands alone"),
        (Grant(Role.OPERATOR, "", "plant line"), "character"),
    ],
)
def test_a_grant_that_cannot_be_meant_is_refused_with_what_was_expected(grant: Grant, said: str) -> None:
    with pytest.raises(GrantRefused, match=said):
        grant.checked()
