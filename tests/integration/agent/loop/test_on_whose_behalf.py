"""What a model chooses is what whoever it acts for might have chosen; what an author fixed is the author's."""

from datetime import UTC, datetime
from uuid import UUID

from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.granting import grant
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.runs import services
from appliance.tasks.models import Task
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

OTHER = "- name: other\n  trigger: manual\n  actions: [{type: mqtt, topic: other}]\n"
CALL = ("task_run", {"task": "other"})


async def load(agent: Agent, tools: str) -> None:
    await agent.policy()
    await agent.load(OTHER)
    await agent.load(
        "- name: t\n  trigger: manual\n  actions:\n"
        f"    - {{id: think, type: agent, goal: Run it, tools: {tools}, mode: act, trust: [task_run]}}\n"
    )


async def by_ben(agent: Agent) -> UUID:
    """A run of ``t`` for somebody who may run that task, and no other."""

    def begin() -> UUID:
        ben = User.objects.create(username="ben", role=Role.VIEWER)
        now = datetime.now(UTC)
        grant("ben", Grant(Role.OPERATOR, "t"), CONSOLE, now)
        ben.refresh_from_db()
        return services.start_task("t", ben.principal, now)

    return await sync_to_async(begin)()


async def children(agent: Agent) -> int:
    rows = await agent.sql("SELECT id FROM runs_run WHERE trigger = 't' AND split_id IS NULL")
    return len(rows)


async def test_a_model_starts_no_task_that_its_person_may_not_start(agent: Agent) -> None:
    await load(agent, "[task_run]")
    agent.says(turn(CALL), end("No."))
    await agent.go_on(await by_ben(agent))
    assert await children(agent) == 0
    assert "may not run the task 'other'" in (await agent.row("call-1-1"))["error"]


async def test_a_task_that_the_author_has_named_is_the_authors_word(agent: Agent) -> None:
    await load(agent, "[{task_run: {task: other}}]")
    agent.says(turn(("task_run", {})), end("Done.", changed=True))
    await agent.go_on(await by_ben(agent))
    assert await children(agent) == 1


async def test_a_task_that_is_switched_off_is_started_by_no_model(agent: Agent) -> None:
    await load(agent, "[task_run]")
    await Task.objects.filter(name="other").aupdate(enabled=False)
    agent.says(turn(CALL), end("No."))
    await agent.go_on(await agent.start("t"))
    assert await children(agent) == 0
    assert "is switched off" in (await agent.row("call-1-1"))["error"]
