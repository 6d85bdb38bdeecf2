"""A person talks to the box, sees what its assistant plans, approves it, sees it done, and stops another."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.processes.bench.box import Box
from tests.browser.test_approvals import log_in, manage
from tests.scripted_model import end, turn
from tests.standins.playing_model import PlayingModel, playing, serve_on

pytestmark = pytest.mark.slow
PASSWORD = "a-long-secret-42"
OFF = ("mqtt", {"topic": "plant/pump/3/set", "payload": "off"})
LAMP = ("mqtt", {"topic": "plant/lamp/3", "payload": "red"})
LOOK = ("readings.last", {"topic": "plant/pump/3/temp"})
HEAT = """- name: cool_pump
  trigger: manual
  actions:
    - id: think
      type: agent
      goal: "Pump 3 is hot: stop it and light the lamp"
      tools: [readings.last, {mqtt: {undo: {payload: back}}}]
      mode: propose
    - {type: set, value: "{{ outputs.think }}"}
- name: helper
  triggers: [{id: talk, chat: {otherwise: true}}]
  actions:
    - id: answer
      type: agent
      conversation: true
      goal: "{{ payload.text }}"
      tools: [readings.last, mqtt]
"""


def play(told: str) -> Any:
    """Looks, then proposes two changes together, then answers."""
    if "handed over" in told or "2. mqtt: done" in told:
        return end("Pump 3 is stopped and its lamp is red.", changed=True)
    if "1. readings.last: done" in told or "FAILED" in told:
        return turn(OFF, LAMP, say="It is too hot: I stop the pump and light its lamp.")
    return turn(LOOK, say="I look how hot it is.")


@pytest.fixture(scope="module")
def model() -> Iterator[PlayingModel]:
    with playing(play) as made:
        yield made


@pytest.fixture(scope="module")
def box(model: PlayingModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """With the playing model live, an engineer, and the assistant switched on."""
    with Box(MILLWRIGHT_REMOTE_MODELS=model.url) as running:
        serve_on(running, model)
        for name, role in (("anna", "engineer"), ("olga", "operator")):
            manage(running, "users", "add", name, "--role", role, "--password-file", "-", given=PASSWORD)
        file = tmp_path_factory.mktemp("tasks") / "heat.yaml"
        file.write_text(HEAT)
        manage(running, "tasks", "apply", str(file))
        yield running


@pytest.fixture(scope="module")
def engineer(chromium: Browser, box: Box, address: str) -> Iterator[Page]:
    """Anna's browser: she decides about what others ask for."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = context.new_page()
    log_in(page, address, "anna")
    yield page
    context.close()


def test_somebody_asks_another_approves_the_plan_and_both_see_it_done(
    box: Box, page: Page, engineer: Page, address: str
) -> None:
    log_in(page, address, "olga")
    page.goto(f"{address}/chat/")
    expect(page.locator("#live-word")).to_be_visible()
    field = page.locator("#chat-text")
    field.fill("Why is pump 3 hot? Do something about it")
    field.press("Enter")
    expect(field).to_have_value("")
    chat = page.locator("#chat")
    expect(chat.locator(".bubble.mine")).to_contain_text("Why is pump 3 hot?")
    card = chat.locator(".talk-card")
    expect(card).to_contain_text("It is too hot: I stop the pump", timeout=60_000)
    expect(card.locator(".approval")).to_contain_text("plant/lamp/3")
    engineer.goto(f"{address}/approvals/")
    engineer.locator(".approval").get_by_role("button", name="Approve").click()
    expect(chat).to_contain_text("Pump 3 is stopped and its lamp is red.", timeout=60_000)
    card.get_by_role("link", name="its run").click()
    expect(page.locator(".agent-answer")).to_contain_text("its lamp is red")
    page.locator(".turn > summary").first.click()
    page.get_by_role("link", name="Explain this turn").first.click()
    expect(page.locator(".transcript")).to_contain_text("Why is pump 3 hot?")


def test_a_run_is_followed_and_decided_on_its_page_and_taken_back(
    box: Box, engineer: Page, address: str
) -> None:
    run_id = manage(box, "tasks", "run", "cool_pump").split()[-1]
    engineer.goto(f"{address}/runs/{run_id}/")
    agent = engineer.locator("#agents .agent")
    expect(agent.locator(".approval")).to_contain_text("plant/lamp/3", timeout=60_000)
    agent.get_by_role("button", name="Approve").click()
    expect(engineer.locator(".agent-answer")).to_contain_text("its lamp is red", timeout=60_000)
    engineer.once("dialog", lambda dialog: dialog.accept())
    engineer.get_by_role("button", name="Undo all of it").click()
    expect(engineer.locator("#messages")).to_contain_text("Being taken back: call-2-2, call-2-1")


def test_another_one_is_stopped_where_it_stands(
    box: Box, page: Page, address: str, model: PlayingModel
) -> None:
    model.goes_on.clear()
    page.goto(f"{address}/chat/")
    page.locator("#chat-text").fill("And pump 4?")
    page.locator("#chat-text").press("Enter")
    last = page.locator(".talk-card").last
    expect(last).to_contain_text("The model thinks", timeout=60_000)
    last.get_by_role("button", name="Stop").click()
    model.goes_on.set()
    expect(page.locator(".talk-card").last).to_contain_text("cancelled", timeout=60_000)
