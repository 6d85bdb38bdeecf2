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
    "fields", ["template: net, egress: ['erp.example:443', '10.0.0.0/8:5432', '[fd00::/8]:443']"]
)
def test_addresses_are_taken_with_the_template_net(fields: str) -> None:
    step = f"    - {{type: container, image: tools, args: [x], {fields}}}"
    assert task_of(f"- name: t\n  trigger: manual\n  actions:\n{step}\n")


@pytest.mark.parametrize(
    "fields",
    [
        "egress: ['erp.example:443']",
        "template: trusted, egress: ['erp.example:443']",
        "template: net, egress: [erp.example]",
        "template: net, egress: ['https://erp.example']",
    ],
)
def test_what_could_not_be_kept_to_is_found_when_the_task_is_saved(fields: str) -> None:
    step = f"    - {{type: container, image: tools, args: [x], {fields}}}"
    with pytest.raises(Exception, match="egress"):
        task_of(f"- name: t\n  trigger: manual\n  actions:\n{step}\n")
