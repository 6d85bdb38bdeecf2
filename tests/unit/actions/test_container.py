"""The effect class of a container is never `pure`: its programs are the image's."""

from typing import Any

import pytest

from appliance.actions.container import ContainerAction
from appliance.actions.contract import EffectClass
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
