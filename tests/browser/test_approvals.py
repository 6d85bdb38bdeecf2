"""A person is asked on the page that they look at, and what they say goes on without a reload."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.lib.config import ROOT
from appliance.processes.bench.box import Box

pytestmark = pytest.mark.slow
PASSWORD = "a-long-secret-42"
TASK = """- name: open_valve
  trigger: manual
  vars: {valve: V7}
  actions:
    - id: sure
      type: approval
      question: "Open valve {{ vars.valve }}? The line stands still for about two minutes."
      show: ["Pressure before the valve: 2.1 bar", "Last opened: yesterday"]
      approvers: engineer
    - id: after
      type: set
      value: "opened by {{ outputs.sure.by }}"
"""


def manage(box: Box, *words: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=box.environment, input=given, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def people(box: Box, tmp_path_factory: pytest.TempPathFactory) -> None:
    manage(box, "users", "add", "anna", "--role", "engineer", "--password-file", "-", given=PASSWORD)
    manage(box, "users", "add", "vic", "--role", "viewer", "--password-file", "-", given=PASSWORD)
    file = tmp_path_factory.mktemp("tasks") / "valve.yaml"
    file.write_text(TASK)
    manage(box, "tasks", "apply", str(file))


def log_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/login/")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button.primary").click()
    expect(page).to_have_url(f"{address}/")


def test_a_question_appears_and_the_answer_goes_on_by_itself(
    box: Box, people: None, chromium: Browser, address: str, tmp_path: Path
) -> None:
    desktop = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = desktop.new_page()
    log_in(page, address, "anna")
    page.goto(f"{address}/approvals/")
    expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()
    expect(page.locator("#live-word")).to_be_visible()
    manage(box, "tasks", "run", "open_valve")
    card = page.locator(".approval")
    expect(card).to_contain_text("Open valve V7?", timeout=15_000)
    expect(page.locator("#nav-approvals")).to_have_text("1")
    page.screenshot(path=tmp_path / "approvals-1280.png")
    on_a_phone(chromium, address, tmp_path)
    card.get_by_label("Reason").fill("pressure is fine")
    card.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved: open_valve, sure")).to_be_visible()
    expect(page.locator("#decided")).to_contain_text("pressure is fine")
    expect(page.locator("#nav-approvals")).to_be_hidden()
    page.locator("#decided a").first.click()
    expect(page.locator("#steps")).to_contain_text("opened by anna", timeout=15_000)
    desktop.close()


def on_a_phone(chromium: Browser, address: str, folder: Path) -> None:
    """Everything fits, and the answers are large enough for a thumb."""
    phone = chromium.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="zh-CN"
    )
    page = phone.new_page()
    log_in(page, address, "anna")
    for path in ("/approvals/", "/approvals/code/", "/"):
        page.goto(f"{address}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto(f"{address}/approvals/")
    buttons = page.locator(".approval-answer button")
    assert all((one.bounding_box() or {"height": 0})["height"] >= 44 for one in buttons.all())
    page.screenshot(path=folder / "approvals-390.png", full_page=True)
    phone.close()


def test_the_run_s_page_shows_the_question_and_a_code_serves_the_one_at_the_box(
    box: Box, people: None, chromium: Browser, address: str, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="en-GB")
    page = context.new_page()
    log_in(page, address, "vic")
    manage(box, "tasks", "run", "open_valve")
    page.goto(f"{address}/runs/?state=waiting")
    page.get_by_role("link", name="open_valve").first.click()
    expect(page.locator(".approval")).to_contain_text("You cannot decide this one", timeout=15_000)
    page.screenshot(path=tmp_path / "run-390.png", full_page=True)
    (row,) = json.loads(manage(box, "approvals", "list", "--json"))
    code = manage(box, "approvals", "code", row["code"], "--as", "anna").strip()
    page.get_by_role("link", name="Type an approver's code").click()
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved: open_valve, sure")).to_be_visible()
    context.close()
