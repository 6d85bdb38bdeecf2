"""A person talks to the box, sees what its assistant plans, approves it, sees it done, and stops another."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.processes.bench.box import Box
from tests.browser.test_approvals import log_in
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


SET_UP = """
from datetime import UTC, datetime
from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.tasks.services import apply_text
create_user("anna", {password!r}, Role.ENGINEER, BOX)
create_user("olga", {password!r}, Role.OPERATOR, BOX)
apply_text({tasks!r}, "heat.yaml", BOX, datetime.now(UTC))
"""
SLOW = 300


@pytest.fixture(scope="module")
def box(model: PlayingModel) -> Iterator[Box]:
    """With the playing model live, an operator who asks, an engineer who decides, and a task that listens."""
    with Box(MILLWRIGHT_REMOTE_MODELS=model.url) as running:
        serve_on(running, model)
        running.manage("shell", "-c", SET_UP.format(password=PASSWORD, tasks=HEAT), seconds=SLOW)
        yield running


def browsing(chromium: Browser, address: str, name: str) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    page = context.new_page()
    log_in(page, address, name)
    yield page
    context.close()


@pytest.fixture(scope="module")
def olga(chromium: Browser, box: Box, address: str) -> Iterator[Page]:
    yield from browsing(chromium, address, "olga")


@pytest.fixture(scope="module")
def anna(chromium: Browser, box: Box, address: str) -> Iterator[Page]:
    yield from browsing(chromium, address, "anna")


def test_somebody_asks_another_approves_the_plan_and_both_see_it_done(
    olga: Page, anna: Page, address: str
) -> None:
    olga.goto(f"{address}/chat/")
    expect(olga.locator("#live-word")).to_be_visible()
    field = olga.locator("#chat-text")
    field.fill("Why is pump 3 hot? Do something about it")
    field.press("Enter")
    expect(field).to_have_value("")
    chat = olga.locator("#chat")
    expect(chat.locator(".bubble.mine").last).to_contain_text("Why is pump 3 hot?")
    card = chat.locator(".talk-card").last
    expect(card).to_contain_text("It is too hot: I stop the pump", timeout=60_000)
    expect(card.locator(".approval")).to_contain_text("plant/lamp/3")
    anna.goto(f"{address}/approvals/")
    asked = anna.locator(".approval", has_text="An agent proposes")
    asked.get_by_role("button", name="Approve").click()
    expect(chat).to_contain_text("Pump 3 is stopped and its lamp is red.", timeout=60_000)
    card.get_by_role("link", name="its run").click()
    expect(olga.locator(".agent-answer")).to_contain_text("its lamp is red")
    olga.locator(".turn > summary").first.click()
    olga.get_by_role("link", name="Explain this turn").first.click()
    expect(olga.locator(".transcript")).to_contain_text("Why is pump 3 hot?")


def test_a_run_is_followed_and_decided_on_its_page_and_taken_back(box: Box, anna: Page, address: str) -> None:
    run_id = box.manage("tasks", "run", "cool_pump", seconds=SLOW).split()[-1]
    anna.goto(f"{address}/runs/{run_id}/")
    agent = anna.locator("#agents .agent")
    expect(agent.locator(".approval")).to_contain_text("plant/lamp/3", timeout=60_000)
    agent.get_by_role("button", name="Approve").click()
    expect(anna.locator(".agent-answer")).to_contain_text("its lamp is red", timeout=60_000)
    anna.once("dialog", lambda dialog: dialog.accept())
    anna.get_by_role("button", name="Undo all of it").click()
    expect(anna.locator("#messages")).to_contain_text("2 calls are being taken back.")


def test_another_one_is_stopped_where_it_stands(olga: Page, address: str, model: PlayingModel) -> None:
    model.goes_on.clear()
    olga.goto(f"{address}/chat/")
    olga.locator("#chat-text").fill("And pump 4?")
    olga.locator("#chat-text").press("Enter")
    last = olga.locator(".talk-card").last
    expect(last).to_contain_text("The model thinks", timeout=60_000)
    last.get_by_role("button", name="Stop").click()
    model.goes_on.set()
    expect(olga.locator(".talk-card").last).to_contain_text("cancelled", timeout=60_000)
