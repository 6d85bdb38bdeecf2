"""The page of the API is read without knowing JSON Schema: each name leads to what it stands for."""

import re
from collections.abc import Callable

from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.models import User

People = Callable[[Role], User]


def test_the_page_of_the_api_leads_from_each_name_to_its_shape(person: People) -> None:
    client = Client()
    client.force_login(person(Role.VIEWER))
    page = client.get("/api/v1/docs").content.decode()
    assert "$ref" not in page
    assert "components/schemas" not in page
    wanted = set(re.findall(r'href="#shape-(\w+)"', page))
    there = re.findall(r'id="shape-(\w+)"', page)
    assert wanted <= set(there)
    known = client.get("/api/v1/openapi.json").json()["components"]["schemas"]
    assert sorted(there) == sorted(known)
    assert {"TasksOut", "TaskOut", "TriggerOut", "RunState"} <= wanted
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "items * list of TaskOut next * string or null" in words
    assert "limit query · integer (1…200) otherwise 50" in words
