"""The page, the API and the command of further brokers, on a real one."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.bus.brokers.services import find_broker
from appliance.bus.models import Broker as BrokerRow
from appliance.bus.models import TopicValue
from appliance.processes.models import PartBeat
from appliance.processes.part_checks import PartState
from appliance.safety.models import Secret
from appliance.safety.secrets import resolve, set_secret
from tests.brokers import PASSWORD, USER, BrokerMissingError, Mosquitto
from webadmin.probes import Answer, Prober, ask_postgres

Browsers = Callable[[Role], Client]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    try:
        broker.start()
    except BrokerMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield broker
    broker.stop()


def form(plant: Mosquitto, **changes: Any) -> dict[str, Any]:
    return {
        "name": "plant",
        "url": f"mqtt://127.0.0.1:{plant.port}",
        "username": USER,
        "password": PASSWORD,
        "verify": "on",
        "enabled": "on",
        "filters": "line1/# mode",
        **changes,
    }


def test_the_form_keeps_a_broker_and_its_password_as_a_secret(browser: Browsers, plant: Mosquitto) -> None:
    client = browser(Role.ENGINEER)
    assert client.post("/bus/brokers/add/", form(plant))["Location"] == "/bus/brokers/"
    spec = find_broker("plant")
    assert (spec.filters, spec.password) == (("line1/#", "mode"), "secret:broker-plant")
    assert resolve(spec.password) == PASSWORD
    page = client.get("/bus/brokers/plant/").content.decode()
    assert PASSWORD not in page
    # Empty keeps it, a new one replaces it, and no user means no password.
    client.post("/bus/brokers/plant/", form(plant, password="", seen_under="hall"))
    assert (find_broker("plant").password, find_broker("plant").prefix) == ("secret:broker-plant", "hall")
    client.post("/bus/brokers/plant/", form(plant, password="another-one-42"))
    assert resolve("secret:broker-plant") == "another-one-42"
    client.post("/bus/brokers/plant/", form(plant, username="", password=""))
    assert find_broker("plant").password == ""


def test_the_test_goes_there_and_back_and_says_how_far_it_came(browser: Browsers, plant: Mosquitto) -> None:
    client = browser(Role.ENGINEER)
    client.post("/bus/brokers/add/", form(plant))
    answer = client.post("/bus/brokers/plant/test/", follow=True).content.decode()
    assert "plant answers: there and back took" in answer
    client.post("/bus/brokers/plant/", form(plant, password="wrong-password"))
    answer = client.post("/bus/brokers/plant/test/", follow=True).content.decode()
    assert "refused the log-in" in answer
    assert "wrong-password" not in answer
    plant.kill()
    assert "no connection" in client.post("/bus/brokers/plant/test/", follow=True).content.decode()


@pytest.mark.parametrize(
    "change", [{"url": "http://x"}, {"name": "Box"}, {"filters": "a#"}, {"url": "mqtt://u:pw@h"}]
)
def test_a_form_that_cannot_be_meant_is_refused_with_a_sentence(
    change: dict[str, str], browser: Browsers, plant: Mosquitto
) -> None:
    answer = browser(Role.ENGINEER).post("/bus/brokers/add/", form(plant, **change))
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not BrokerRow.objects.exists()
    assert not Secret.objects.exists()


def test_only_an_admin_sends_a_secret_of_something_else_to_a_broker(
    browser: Browsers, plant: Mosquitto
) -> None:
    set_secret("webhook-github", "the-secret-of-github", BOX, datetime.now(UTC))
    said = form(plant, password="secret:webhook-github")
    assert browser(Role.ENGINEER).post("/bus/brokers/add/", said).status_code == 422
    assert browser(Role.ADMIN).post("/bus/brokers/add/", said).status_code == 302
    # Nor does the engineer turn the admin's broker towards another host.
    said = form(plant, url="mqtt://192.0.2.1", password="")
    assert browser(Role.ENGINEER).post("/bus/brokers/plant/", said).status_code == 422
    said = form(plant, password="", filters="other")
    assert browser(Role.ENGINEER).post("/bus/brokers/plant/", said).status_code == 302


def test_the_bus_page_tells_brokers_apart_and_publishes_to_each(browser: Browsers, plant: Mosquitto) -> None:
    client, now = browser(Role.ENGINEER), datetime.now(UTC)
    client.post("/bus/brokers/add/", form(plant))
    for topic in ("mode", "plant#mode"):
        TopicValue.objects.create(topic=topic, payload=b"1", size=1, value=1, quality="good", at=now)
    rows = client.get("/bus/").context["topics"]
    assert [(row.broker, row.name) for row in rows] == [("", "mode"), ("plant", "mode")]
    said = {"topic": "bell", "payload": "ring", "broker": "plant"}
    assert "plant#bell" in client.post("/bus/publish/", said, follow=True).content.decode()
    assert client.post("/bus/publish/", {**said, "broker": "nobody"}).status_code == 422
    # With the broker go its values.
    client.post("/bus/brokers/plant/remove/")
    assert list(TopicValue.objects.values_list("topic", flat=True)) == ["mode"]


@pytest.mark.django_db(transaction=True)
def test_a_foreign_broker_that_is_away_is_said_and_does_not_make_the_box_unready(
    browser: Browsers, plant: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, now = browser(Role.ENGINEER), datetime.now(UTC)
    client.post("/bus/brokers/add/", form(plant))
    for part in ("reactor", "worker", "beat", "keeper"):
        PartBeat.objects.create(part=part, at=now, detail={"received": 7})
    PartBeat.objects.create(
        part="mqtt:plant", at=now, healthy=False, detail={"message": "gone", "received": 3}
    )
    real = {
        "postgres": lambda: ask_postgres(["reactor", "worker", "beat", "keeper"]),
        "redis": Answer,
        "broker": Answer,
    }
    monkeypatch.setattr("webadmin.health._prober", lambda: Prober(real))
    monkeypatch.setattr("webadmin.health.spawner_state", lambda config: PartState(True))
    answer = Client().get("/readyz")
    assert answer.status_code == 200
    said = answer.json()["parts"]["mqtt:plant"]
    assert said == {"healthy": False, "message": "gone", "required": False}
    figures = Client().get("/metrics").content.decode()
    assert 'millwright_part_healthy{part="mqtt:plant"} 0.0' in figures
    assert 'millwright_broker_received{broker="plant"} 3.0' in figures
    assert "gone" in client.get("/bus/brokers/").content.decode()
    PartBeat.objects.filter(part="worker").delete()
    assert Client().get("/readyz").status_code == 503


def test_the_api_keeps_lists_tests_and_removes_brokers(
    person: Callable[[Role], User], plant: Mosquitto
) -> None:
    token = issue_api_token(person(Role.ADMIN), "all", list(Ability), BOX, datetime.now(UTC))
    client = Client(headers={"Authorization": f"Bearer {token}"})
    set_secret("plant", PASSWORD, BOX, datetime.now(UTC))
    body = {"url": f"mqtt://127.0.0.1:{plant.port}", "username": USER, "password": "secret:plant"}

    def put(name: str, **changes: Any) -> Any:
        said = json.dumps({**body, **changes})
        return client.put(f"/api/v1/brokers/{name}", said, content_type="application/json")

    assert put("plant").json()["url"] == body["url"]
    assert put("plant", password="in-clear").status_code == 422
    assert put("Plant").status_code == 422
    assert [one["name"] for one in client.get("/api/v1/brokers").json()] == ["plant"]
    assert client.post("/api/v1/brokers/plant/test").json()["seconds"] > 0
    assert client.post("/api/v1/brokers/nobody/test").status_code == 404
    plant.kill()
    assert client.post("/api/v1/brokers/plant/test").status_code == 503
    assert client.delete("/api/v1/brokers/plant").status_code == 204
    assert client.delete("/api/v1/brokers/plant").status_code == 404
    viewer = issue_api_token(person(Role.ADMIN), "some", [Ability.VIEW], BOX, datetime.now(UTC))
    client = Client(headers={"Authorization": f"Bearer {viewer}"})
    assert client.get("/api/v1/brokers").status_code == 200
    assert put("plant").status_code == 403


def test_the_command_keeps_lists_tests_and_removes_brokers(
    db: None, plant: Mosquitto, tmp_path: Path
) -> None:
    def brokers(*words: str) -> str:
        out = StringIO()
        call_command("brokers", *words, stdout=out)
        return out.getvalue()

    with pytest.raises(CommandError, match="needs its URL"):
        brokers("add", "plant")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    where = f"mqtt://127.0.0.1:{plant.port}"
    said = brokers(
        "add", "plant", where, "--user", USER, "--password-file", str(tmp_path / "password"), "--json"
    )
    assert PASSWORD not in said
    assert "answers" in brokers("test", "plant")
    brokers("add", "plant", "--listen", "a/#", "--listen", "b", "--prefix", "hall")
    (row,) = json.loads(brokers("list", "--json"))
    assert (row["filters"], row["prefix"], row["username"]) == (["a/#", "b"], "hall", USER)
    with pytest.raises(CommandError, match="did you mean plant"):
        brokers("test", "plan")
    brokers("remove", "plant")
    assert "Only the box's own" in brokers("list")
