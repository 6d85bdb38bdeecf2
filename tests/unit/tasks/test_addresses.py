"""Two triggers that take the same address: refused when saved, at the place of the second."""

import pytest

from appliance.tasks.addresses import Address, taken_by
from appliance.tasks.loader import TaskFileError, load_text

STEP = "actions: [{type: mqtt, topic: a/b, payload: x}]"
DEPLOY = ("deploy", "webhook-deploy")


def problem(text: str, known: dict[Address, str] | None = None) -> str:
    with pytest.raises(TaskFileError) as caught:
        load_text(text, "t.yaml", known_addresses=known)
    (found,) = caught.value.problems
    return str(found)


def test_a_second_task_of_a_file() -> None:
    text = f"- {{name: one, trigger: webhook deploy, {STEP}}}\n- {{name: two, trigger: webhook deploy, {STEP}}}\n"
    found = problem(text)
    assert found.startswith(
        "t.yaml:2:24: [1].trigger: /hooks/deploy with the secret `webhook-deploy` is the address of"
    )
    assert (
        "the task `one` already; expected: one trigger each (name it otherwise, or give it a secret" in found
    )


def test_a_task_that_is_stored_already() -> None:
    text = f"name: two\ntriggers:\n  - webhook:\n      name: deploy\n{STEP}\n"
    found = problem(text, {DEPLOY: "one"})
    assert found.startswith("t.yaml:4:13: triggers[0].webhook.name: /hooks/deploy with the secret")
    assert "the task `one` already" in found


def test_a_second_trigger_of_the_same_task() -> None:
    second = "{id: b, webhook: {name: deploy, auth: hmac}}"
    text = f"name: one\ntriggers:\n  - webhook deploy\n  - {second}\n{STEP}\n"
    found = problem(text)
    assert found.startswith("t.yaml:4:29: triggers[1].webhook.name: ")
    assert "another trigger here already" in found


def test_a_task_keeps_its_own_address_and_one_with_callers_of_its_own_may_share_the_name() -> None:
    other = "trigger: {webhook: {name: deploy, secret: ci}}"
    text = f"- {{name: one, trigger: webhook deploy, {STEP}}}\n- {{name: two, {other}, {STEP}}}\n"
    one, two = load_text(text, "t.yaml", known_addresses={DEPLOY: "one", ("build", "webhook-build"): "three"})
    assert [taken_by(loaded.canonical) for loaded in (one, two)] == [[DEPLOY], [("deploy", "ci")]]
