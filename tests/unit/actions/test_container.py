"""The effect class of a command in a container is never `pure`: its programs are the image's."""

from typing import Any

import pytest

from appliance.actions.container import ContainerAction
from appliance.actions.contract import EffectClass
from appliance.actions.shell import ShellAction
from tests.definitions import task_of


@pytest.mark.parametrize(
    ("fields", "effect"),
    [
        ("command: cat /data/x", EffectClass.IDEMPOTENT),
        ("command: touch /data/x", EffectClass.UNSAFE),
        ("command: cat /data/x, template: net", EffectClass.UNSAFE),
        ("command: cat /data/x, writes: [/data]", EffectClass.UNSAFE),
    ],
)
def test_no_container_is_pure(fields: str, effect: EffectClass) -> None:
    step = f"    - {{type: container, image: 'sha256:{'0' * 64}', {fields}}}"
    params: Any = task_of(f"- name: t\n  trigger: manual\n  actions:\n{step}\n").actions[0].params
    assert ContainerAction().effect(params) is effect


@pytest.mark.parametrize(
    ("fields", "effect"),
    [
        ("command: cat /data/x", EffectClass.PURE),
        ("command: cat /data/x, sandbox: process", EffectClass.PURE),
        ("command: cat /data/x, sandbox: docker", EffectClass.IDEMPOTENT),
        ("command: touch /data/x, sandbox: docker", EffectClass.UNSAFE),
        ("args: [cat, /data/x], sandbox: docker", EffectClass.UNSAFE),
    ],
)
def test_nor_is_a_shell_step_in_one(fields: str, effect: EffectClass) -> None:
    step = f"    - {{type: shell, {fields}}}"
    params: Any = task_of(f"- name: t\n  trigger: manual\n  actions:\n{step}\n").actions[0].params
    assert ShellAction().effect(params) is effect


@pytest.mark.parametrize(
    "step",
    [
        "type: container, image: tools, args: [x], network: [erp.example]",
        "type: container, image: tools, args: [x], template: device, network: ['10.0.0.0/8:443']",
        "type: shell, sandbox: docker, command: x, network: any",
    ],
)
def test_a_network_that_there_is_not_is_found_when_the_task_is_saved(step: str) -> None:
    with pytest.raises(Exception, match="no network"):
        task_of(f"- name: t\n  trigger: manual\n  actions:\n    - {{{step}}}\n")
