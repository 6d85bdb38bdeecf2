"""``manage.py tasks run`` starts nothing that must fail for want of what only a trigger brings."""

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from appliance.accounts.principal import BOX
from appliance.runs.models import Run
from appliance.tasks.services import apply_text

pytestmark = pytest.mark.django_db
HEAD = '- name: t\n  vars: {ready: false}\n  trigger: {mqtt: {topic: "plant/{pump}/temp", payload: json}}\n  actions:\n'


def load(actions: str) -> None:
    apply_text(HEAD + actions, "t.yaml", BOX, datetime.now(UTC))


@pytest.mark.parametrize(
    ("step", "needs", "given"),
    [
        (
            '{type: set, value: "{{ payload.n }}"}',
            r"payload.*give --payload JSON$",
            ["--payload", '{"n": 1}'],
        ),
        (
            '{type: mqtt, topic: "x/{{ pump }}", payload: "{{ payload }}"}',
            r"payload, pump.*give --payload JSON and --topic TOPIC$",
            ["--payload", "1", "--topic", "plant/p1/temp"],
        ),
        ('{type: set, value: 1, condition: "{{ payload > 1 }}"}', "payload", ["--payload", "2"]),
    ],
)
def test_a_task_that_needs_what_a_trigger_brings_is_refused_without(
    step: str, needs: str, given: list[str]
) -> None:
    load(f"    - {{type: set, value: 1}}\n    - {step}\n")
    with pytest.raises(CommandError, match=needs):
        call_command("tasks", "run", "t")
    assert not Run.objects.exists()
    call_command("tasks", "run", "t", *given)
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    "step",
    [
        '{type: set, value: "{{ payload | default(0) }}"}',
        '{type: set, value: "{{ payload }}", condition: "{{ vars.ready }}"}',
        '{type: set, value: "{{ payload }}", condition: "{{ output == 2 }}"}',
        '{type: set, value: "{{ payload }}", on_error: continue}',
    ],
)
def test_one_that_may_do_without_is_started(step: str) -> None:
    load(f"    - {{type: set, value: 1}}\n    - {step}\n")
    call_command("tasks", "run", "t")
    assert Run.objects.count() == 1
