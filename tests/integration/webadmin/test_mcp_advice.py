"""What the page of the servers of tools says of what went wrong: when, what, and what to do here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from appliance.accounts.domain import Role
from appliance.agent.models import McpServer
from tests.standins.mcp_tools import McpStandin

PAGE = "/agents/mcp/"
Browsers = Callable[[Role], Client]


@pytest.fixture
def store() -> Iterator[McpStandin]:
    with McpStandin() as server:
        yield server


def form(**changes: Any) -> dict[str, Any]:
    return {"name": "store", "enabled": "on", **changes}


def test_a_look_that_failed_was_a_look(browser: Browsers, store: McpStandin) -> None:
    client = browser(Role.ADMIN)
    client.post(f"{PAGE}save/", form(url=store.url, private="on"))
    assert "Nobody has looked at it yet." in client.get(PAGE).content.decode()
    store.fail("/mcp", 0, times=99)
    client.post(f"{PAGE}store/look/")
    page = client.get(PAGE).content.decode()
    assert "Nobody has looked at it yet." not in page
    assert "looked at <time" in " ".join(page.split())
    assert "The last look failed:" in page
    assert "Check that the server runs" in page
    assert "Check that the server runs" not in browser(Role.VIEWER).get(PAGE).content.decode()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/mcp", "http://10.0.0.8/mcp", "http://localhost/mcp"])
def test_a_private_address_without_the_tick_is_not_saved(browser: Browsers, url: str) -> None:
    answer = browser(Role.ADMIN).post(f"{PAGE}save/", form(url=url))
    assert answer.status_code == 422
    assert "tick “It lies in the plant&#x27;s own network”" in answer.content.decode()
    assert not McpServer.objects.exists()
    assert browser(Role.ADMIN).post(f"{PAGE}save/", form(url=url, private="on")).status_code == 302


def test_a_secret_that_is_not_there_is_set_on_its_page(browser: Browsers) -> None:
    said = form(url="https://tools.example/mcp", token="secret:NONE")
    page = browser(Role.ADMIN).post(f"{PAGE}save/", said).content.decode()
    assert '<a href="/secrets/">Set it on the page Secrets.</a>' in page
    assert "manage.py" not in page
