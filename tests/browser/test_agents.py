"""A person talks to the box, sees what its assistant plans, approves it, sees it done, and stops another."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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
        manage(running, "users", "add", "anna", "--role", "engineer", "--password-file", "-", given=PASSWORD)
        file = tmp_path_factory.mktemp("tasks") / "heat.yaml"
        file.write_text(HEAT)
        manage(running, "tasks", "apply", str(file))
        manage(running, "assistant", "on")
        yield running


def test_a_plan_is_seen_approved_done_explained_and_taken_back(box: Box, page: Page, address: str) -> None:
    log_in(page, address, "anna")
    manage(box, "tasks", "run", "cool_pump", "--as", "anna")
    page.goto(f"{address}/runs/")
    page.get_by_role("link", name="cool_pump").first.click()
    agent = page.locator("#agents .agent")
    expect(agent).to_contain_text("I look how hot it is.", timeout=20_000)
    card = agent.locator(".approval")
    expect(card).to_contain_text("plant/lamp/3", timeout=20_000)
    card.get_by_role("button", name="Approve").click()
    expect(page.locator(".agent-answer")).to_contain_text("its lamp is red", timeout=20_000)
    page.locator(".turn summary").nth(1).click()
    page.get_by_role("link", name="Explain this turn").nth(1).click()
    expect(page.locator(".piece.outside").first).to_be_visible()
    page.go_back()


def test_somebody_asks_approves_in_the_chat_and_reads_the_answer(box: Box, page: Page, address: str) -> None:
    page.goto(f"{address}/chat/")
    field = page.locator("#chat-text")
    field.fill("Why is pump 3 hot? Do something about it")
    field.press("Enter")
    expect(field).to_have_value("")
    chat = page.locator("#chat")
    expect(chat.locator(".bubble.mine")).to_contain_text("Why is pump 3 hot?")
    card = chat.locator(".talk-card .approval")
    expect(card).to_be_visible(timeout=30_000)
    card.get_by_role("button", name="Approve").click()
    expect(chat).to_contain_text("its lamp is red", timeout=30_000)


def test_another_one_is_stopped_where_it_stands(
    box: Box, page: Page, address: str, model: PlayingModel
) -> None:
    model.goes_on.clear()
    page.goto(f"{address}/chat/")
    page.locator("#chat-text").fill("And pump 4?")
    page.locator("#chat-text").press("Enter")
    stop = page.locator(".talk-card").last.get_by_role("button", name="Stop")
    expect(stop).to_be_visible(timeout=30_000)
    stop.click()
    model.goes_on.set()
    expect(page.locator(".talk-card").last).to_contain_text("cancelled", timeout=20_000)
