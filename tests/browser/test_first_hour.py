"""The first hour of a person with a new box, as one story in one browser."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.processes.bench.box import Box

pytestmark = pytest.mark.slow
NAME, PASSWORD = "ana", "a-long-secret-42"
PAGES = (
    *("/", "/tasks/", "/runs/", "/chat/", "/bus/", "/devices/", "/platforms/", "/audit/"),
    *("/people/", "/person/ana/", "/tokens/", "/secrets/", "/account/password/", "/account/"),
)
SLOW_TASK = """- name: slow_talker
  trigger: manual
  actions:
    - id: talk
      type: shell
      command: "for n in 1 2 3 4 5; do echo line $n; sleep 1; done; echo last; echo grumble >&2"
    - id: tell
      type: notification
      platform: webchat
      message: "It said: {{ outputs.talk }}"
"""


def log_in(page: Page, address: str) -> None:
    page.goto(f"{address}/login/")
    if "/login/" in page.url:
        page.get_by_label("User name").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_first_hour(box: Box, page: Page, address: str, setup_link: str, chromium: Browser) -> None:
    becomes_administrator(page, setup_link, address)
    logs_out_and_in(page, address)
    writes_a_task_with_an_error_and_mends_it(page, address)
    watches_a_run_finish(page)
    sees_a_pump_stopped(page, address)
    talks_to_the_box(page, address)
    stops_everything_and_lets_go(page, address)
    reads_it_on_a_phone(chromium, address)


def becomes_administrator(page: Page, setup_link: str, address: str) -> None:
    page.goto(setup_link)
    page.get_by_label("User name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Become administrator").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator("#parts .badge.ok").nth(7)).to_be_visible()
    expect(page.locator("#parts .badge.bad")).to_have_count(0)
    again = page.context.new_page()
    answer = again.goto(setup_link)
    assert answer is not None
    assert answer.status == 410
    again.close()


def logs_out_and_in(page: Page, address: str) -> None:
    page.get_by_role("button", name="Log out").first.click()
    expect(page).to_have_url(re.compile("/login/"))
    page.get_by_label("User name").fill(NAME)
    page.get_by_label("Password").fill("something-else")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not fit")
    log_in(page, address)


def writes_a_task_with_an_error_and_mends_it(page: Page, address: str) -> None:
    page.goto(f"{address}/tasks/new/")
    editor = page.get_by_label("Definition in YAML")
    editor.fill(SLOW_TASK.replace("type: shell", "type: shel"))
    problem = page.locator("#problems button.place")
    expect(problem).to_contain_text("line 5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#problems")).to_contain_text("shel")
    assert page.request.get(f"{address}/tasks/slow_talker/").status == 404
    what_the_box_would_not_read_stays_in_the_editor(page)
    page.get_by_label("Definition in YAML").fill(SLOW_TASK)
    expect(page.locator("#problems")).to_contain_text("No problems")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#messages")).to_contain_text("slow_talker v1")


def what_the_box_would_not_read_stays_in_the_editor(page: Page) -> None:
    here = page.url
    page.get_by_label("Definition in YAML").fill("# " + "x" * 5_000_000)
    expect(page.locator("#problems")).to_contain_text("too long to be sent")
    page.get_by_role("button", name="Save").click()
    assert page.evaluate("!document.querySelector('#text').validity.valid")
    assert page.url == here


def watches_a_run_finish(page: Page) -> None:
    """Nothing is reloaded here: output, states and the end come by themselves."""
    page.locator("summary", has_text="Run now").click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}/"))
    page.evaluate("window.notReloaded = true")
    expect(page.locator("[data-output=talk]")).to_contain_text("line")
    expect(page.locator("#run-head .badge.ok")).to_contain_text("succeeded", timeout=20_000)
    expect(page.locator("#steps")).to_contain_text("last")
    expect(page.locator("#steps .error-output")).to_contain_text("grumble")
    expect(page.locator("#run-head .message.warning")).to_contain_text("grumble")
    assert page.evaluate("window.notReloaded") is True


def sees_a_pump_stopped(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Start the line").click()
    run = page.locator("#last-runs tr", has_text="overheat_guard").first
    expect(run.locator(".badge")).to_contain_text("succeeded", timeout=90_000)
    expect(page.locator("#feed")).to_contain_text("was stopped at")
    page.goto(f"{address}/bus/?filter=temp")
    expect(page.locator("#topics tbody tr")).to_have_count(3)
    page.goto(address)
    page.get_by_role("button", name="Stop the line").click()
    expect(page.get_by_role("button", name="Start the line")).to_be_visible()


def talks_to_the_box(page: Page, address: str) -> None:
    page.goto(f"{address}/chat/")
    page.locator("#chat-text").fill("status")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#chat .bubble").last).to_contain_text("Tasks:")


def stops_everything_and_lets_go(page: Page, address: str) -> None:
    page.locator("summary", has_text="Stop").click()
    page.get_by_label("Reason").fill("trying it")
    page.get_by_role("button", name="Stop now").click()
    expect(page.get_by_role("alert")).to_contain_text("All-stop is engaged")
    page.get_by_role("button", name="Release").click()
    assert page.evaluate("!document.querySelector('.stop-banner input[name=reason]').validity.valid")
    page.get_by_label("Why it may act again").fill("tried it")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Release").click()
    expect(page.locator(".stop-banner")).to_have_count(0)


def reads_it_on_a_phone(chromium: Browser, address: str) -> None:
    phone = chromium.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, locale="zh-CN"
    )
    page = phone.new_page()
    log_in_on_phone(page, address)
    for path in PAGES:
        page.goto(f"{address}{path}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path} is {width} pixels wide"
        if path == "/tasks/":
            table = page.locator("#tasks .table-box")
            assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), (
                "the switch of a task is cut off"
            )
    page.locator(".nav .more summary").tap()
    expect(page.locator(".more-body")).to_be_visible()
    phone.close()


def log_in_on_phone(page: Page, address: str) -> None:
    page.goto(f"{address}/login/")
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    page.locator("[name=username]").fill(NAME)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button.primary").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_page_reads_without_scripts(chromium: Browser, address: str, setup_link: str) -> None:
    plain = chromium.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{address}/login/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    plain.close()
