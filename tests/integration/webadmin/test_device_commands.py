"""The right to give commands over MQTT, on the page of devices."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.granting import grant
from appliance.accounts.grants import Grant
from appliance.accounts.models import User
from appliance.accounts.mqtt import grants
from appliance.accounts.principal import BOX
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


def test_an_engineer_of_some_devices_sees_all_and_manages_these(browser: Browsers) -> None:
    """Nor do they give a device topics on which they may not publish themselves."""
    now = datetime.now(UTC)
    for name in ("line1-press", "line3-press"):
        Device.objects.create(name=name, username=name, created_at=now)
    client = browser(Role.VIEWER)
    viewer = User.objects.get(role=Role.VIEWER.value).username
    assert client.post("/devices/add/", {"name": "line3-saw"}).status_code == 403
    grant(viewer, Grant(Role.ENGINEER, topics="plant/line3/#", devices="line3-*"), BOX, now)
    page = client.get("/devices/").content.decode()
    assert "/devices/line3-press/revoke/" in page
    assert "line1-press" in page
    assert "/devices/line1-press/revoke/" not in page
    for refused in (
        {"name": "line1-saw"},
        {"name": "line3-saw", "publish": "plant/#"},
        {"name": "line3-saw", "subscribe": "plant/line1/cmd"},
        {"name": "line3-saw", "commands": "viewer"},
    ):
        assert client.post("/devices/add/", refused).status_code == 422, refused
    client.post("/devices/line1-press/revoke/")
    assert {one.name: one.revoked_at for one in Device.objects.all()} == {
        "line1-press": None,
        "line3-press": None,
    }
    assert grants() == {}
    added = {"name": "line3-saw", "publish": "plant/line3/saw/#", "subscribe": "plant/line3/+/cmd"}
    assert client.post("/devices/add/", added).status_code == 200
    client.post("/devices/line3-press/revoke/")
    assert Device.objects.get(name="line3-press").revoked_at is not None
