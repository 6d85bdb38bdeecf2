"""A real box and a real browser: the system's Chromium, driven by Playwright. Both for one file.

Playwright keeps an event loop going in the thread of the tests: while it does, no other test can have one.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from appliance.processes.bench.box import Box
from tests.wait import wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_LINK = re.compile(r"https?://\S+/setup/\S+")


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box() as running:
        yield running


@pytest.fixture(scope="module")
def address(box: Box) -> str:
    host, port = box.config.http_listen
    return f"http://{host}:{port}"


@pytest.fixture(scope="module")
def setup_link(box: Box) -> str:
    """The one-time link as the person at the console reads it."""
    log = Path(box.home.parent) / "up.log"
    found: re.Match[str] = wait_for(lambda: _LINK.search(log.read_text()), 30, "the set-up link")
    return found[0]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """One person's browser, with its cookies, for all tests of a file."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A tab that fails the test when a script breaks or the policy stops something."""
    tab = visitor.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "console",
        lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield tab
    tab.close()
    assert wrong == []
