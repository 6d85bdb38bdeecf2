"""The page of the API is read without knowing JSON Schema: each name leads to what it stands for."""

import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import walk_packages

from django.test import Client
from ninja import Schema

import webadmin.api
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


def test_no_two_shapes_have_one_name() -> None:
    """The document knows them by name alone: the second one would be shown for both."""
    modules = [import_module(found.name) for found in walk_packages(webadmin.api.__path__, "webadmin.api.")]
    shapes = {
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Schema) and one.__module__.startswith("webadmin.api")
    }
    names = [one.__name__ for one in shapes]
    assert len(names) > 60
    assert sorted(names) == sorted(set(names))
