"""Who asked an agent may decide on what it proposes, as far as the policy says and would let them do it themselves."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.runs import services
from appliance.safety.approvals.domain import Choice
from appliance.safety.approvals.errors import ApprovalRefused
from tests.integration.agent.loop.conftest import ALLOW, Agent
from tests.scripted_model import end, turn

STOP = ("mqtt", {"topic": "pump/3", "payload": "off"})
LAMP = ("mqtt", {"topic": "lamp/3", "payload": "red"})
REMOVE = ("http", {"url": "http://127.0.0.1:9/x", "method": "DELETE"})


async def asked_by(
    agent: Agent, who: str, *, goal: str = "Stop the pump.", tools: str = "[mqtt, http]"
) -> UUID:
    await agent.load(
        "- name: t\n  trigger: manual\n  vars: {line: a}\n  actions:\n    - id: think\n      type: agent\n"
        f'      goal: "{goal}"\n      tools: {tools}\n'
    )
    by = await sync_to_async(lambda: User.objects.get(username=who).principal)()
    run_id = await sync_to_async(services.start_task)("t", by, agent.clock.now())
    await agent.go_on(run_id)
    assert await agent.state(await agent.inside()) == "waiting:approval"
    return run_id


@pytest.fixture
async def people(agent: Agent) -> None:
    for name, role in (("ben", "engineer"), ("olga", "operator")):
        await sync_to_async(User.objects.create)(username=name, role=role)


@pytest.mark.usefixtures("people")
async def test_who_asked_may_approve_what_their_agent_proposes(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP), end(changed=True))
    run_id = await asked_by(agent, "anna")
    (asked,) = await agent.approvals()
    assert (asked.requester, asked.self_approval) == ("anna", True)
    await agent.say(Choice.APPROVE)
    assert (await agent.go_on(run_id))["state"] == "succeeded"
    assert agent.world.published == [("pump/3", b"off")]


async def test_without_a_policy_of_its_own_a_box_lets_them_too(agent: Agent) -> None:
    agent.says(turn(STOP), end(changed=True))
    run_id = await asked_by(agent, "anna")
    await agent.say(Choice.APPROVE)
    assert (await agent.go_on(run_id))["state"] == "succeeded"


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    "policy",
    [
        f"{ALLOW}own_agent: never\n",
        f"{ALLOW}rules: [{{id: ask, kinds: [mqtt], decide: ask, approvers: engineer}}]\n",
        f"{ALLOW}rules: [{{id: ask, principal: 'user:anna', topic: 'pump/#', decide: ask}}]\n",
    ],
    ids=["the policy says never", "a rule asks for everybody's", "a rule asks for theirs"],
)
@pytest.mark.parametrize("calls", [[STOP], [STOP, LAMP]], ids=["one", "plan"])
async def test_a_second_person_decides_where_they_might_not_do_it_themselves(
    agent: Agent, policy: str, calls: list[tuple[str, Mapping[str, Any]]]
) -> None:
    await agent.policy(policy)
    agent.says(turn(*calls), end(changed=True))
    run_id = await asked_by(agent, "anna")
    for _ in range(2):
        if await agent.state(await agent.inside()) != "waiting:approval":
            break
        try:
            await agent.say(Choice.APPROVE)
        except ApprovalRefused:
            break
        await agent.go_on(run_id)
    assert ("pump/3", b"off") not in agent.world.published, "by anna's word alone"
    while await agent.state(await agent.inside()) == "waiting:approval":
        await agent.say(Choice.APPROVE, who="ben")
        await agent.go_on(run_id)
    assert (await agent.run(run_id))["state"] == "succeeded"
    assert ("pump/3", b"off") in agent.world.published


@pytest.mark.usefixtures("people")
async def test_a_role_that_is_not_asked_does_not_decide_for_having_asked_the_agent(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP), end())
    await asked_by(agent, "olga")
    with pytest.raises(ApprovalRefused):
        await agent.say(Choice.APPROVE, who="olga")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("word", "goal", "theirs"),
    [
        ("change", "Remove it.", False),
        ("destroy", "Remove it.", True),
        ("destroy", "Remove {{ vars.line }}.", False),
    ],
)
async def test_what_destroys_is_theirs_only_where_the_policy_says_so_and_nothing_was_read_outside(
    agent: Agent, word: str, goal: str, theirs: bool
) -> None:
    await agent.policy(f"{ALLOW}own_agent: {word}\n")
    agent.says(turn(REMOVE), end())
    await asked_by(agent, "anna", goal=goal)
    (asked,) = await agent.approvals()
    assert asked.self_approval is theirs
    if not theirs:
        with pytest.raises(ApprovalRefused):
            await agent.say(Choice.APPROVE)


@pytest.mark.usefixtures("people")
async def test_a_plan_is_theirs_too_and_is_asked_about_once(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP, LAMP), end(changed=True))
    run_id = await asked_by(agent, "anna")
    await agent.say(Choice.APPROVE)
    assert (await agent.go_on(run_id))["state"] == "succeeded"
    assert [topic for topic, _ in agent.world.published] == ["pump/3", "lamp/3"]
    assert len(await agent.approvals()) == 1


@pytest.mark.usefixtures("people")
async def test_a_plan_that_destroys_is_for_a_second_person(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP, REMOVE), end())
    await asked_by(agent, "anna")
    with pytest.raises(ApprovalRefused):
        await agent.say(Choice.APPROVE)
