"""The right to give commands over MQTT, on the page of devices."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.mqtt import grants
from appliance.devices.models import Device

Browsers = Callable[[Role], Client]


@pytest.fixture(autouse=True)
def _broker_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker runs here; what it is told is tested where one does."""
    monkeypatch.setattr("appliance.devices.services.write_accounts", lambda config=None: True)


def test_an_administrator_grants_commands_with_the_account_and_takes_them_back(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    assert client.post("/devices/add/", {"name": "panel", "commands": "operator"}).status_code == 200
    assert grants() == {"panel": Role.OPERATOR}
    assert "selected" in client.get("/devices/").content.decode()
    client.post("/devices/panel/commands/", {"role": "viewer"})
    assert grants() == {"panel": Role.VIEWER}
    client.post("/devices/panel/commands/", {"role": ""})
    assert grants() == {}
    client.post("/devices/panel/commands/", {"role": "operator"})
    client.post("/devices/panel/revoke/")
    assert grants() == {}


def test_an_engineer_sees_the_right_and_cannot_grant_it(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    page = client.post("/devices/add/", {"name": "panel", "commands": "operator"})
    assert page.status_code == 422
    assert not Device.objects.exists()
    assert "May give the box commands" not in client.get("/devices/").content.decode()


def test_a_role_that_cannot_be_granted_takes_the_right_back(browser: Browsers) -> None:
    Device.objects.create(name="panel", username="panel", created_at=datetime.now(UTC))
    client = browser(Role.ADMIN)
    client.post("/devices/panel/commands/", {"role": "operator"})
    client.post("/devices/panel/commands/", {"role": "admin"})
    assert grants() == {}
    assert "no device" in client.post("/devices/none/commands/", {}, follow=True).content.decode()
