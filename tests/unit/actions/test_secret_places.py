"""A secret is named by what stands in the task, never by what an expression gave."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from appliance.actions.http import HttpAction, HttpParams
from appliance.actions.shell import ShellAction, ShellParams
from appliance.actions.sql import SqlAction, SqlParams
from appliance.lib.jsontypes import JsonValue
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify


def http(**keys: Any) -> HttpParams:
    return HttpParams.model_validate({"url": "https://api.example/", **keys})


def shell(**keys: Any) -> ShellParams:
    return ShellParams.model_validate({"args": ["curl"], **keys})


def test_each_secret_is_found_at_every_place_where_it_is_written() -> None:
    params = http(
        method="POST",
        headers={"X-Key": "secret:a", "Authorization": "Token secret:b", "X-Plain": "a secret:c, they say"},
        body={"deep": [{"key": "secret:a"}, "not secret:a"], "n": 1},
    )
    assert HttpAction().secrets(params) == {
        "a": [("body", "deep", 0, "key"), ("headers", "X-Key")],
        "b": [("headers", "Authorization")],
    }
    assert HttpAction().secrets(http(auth={"user": "ana", "password": "secret:p"})) == {
        "p": [("auth", "password")]
    }
    assert ShellAction().secrets(shell(env={"A": "secret:a"}, files={"b.key": "secret:b"})) == {
        "a": [("env", "A")],
        "b": [("files", "b.key")],
    }
    assert SqlAction().secrets(SqlParams(database="shop", query="SELECT 1")) == {"shop": ()}


def test_arguments_have_the_name_and_its_places_and_no_value() -> None:
    said = HttpAction().arguments(http(headers={"X": "secret:a"}), {})
    assert (said["headers"], said["secrets"]) == ({"X": "secret:a"}, {"a": [["headers", "X"]]})
    assert "secrets" not in HttpAction().arguments(http(), {})


def test_what_an_expression_gives_names_no_secret() -> None:
    scope: dict[str, JsonValue] = {"payload": {"x": "secret:a", "all": {"k": "secret:a"}}}
    params = http(headers={"X": "{{ payload.x }}", "Y": "Bearer {{ payload.x }}"}, body="{{ payload.all }}")
    assert "secrets" not in HttpAction().arguments(params, scope)
    told = shell(env={"A": "{{ payload.x }}", "B": "secret:{{ 'a' }}"})
    assert "secrets" not in ShellAction().arguments(told, scope)


@pytest.mark.parametrize(
    ("model", "keys", "said"),
    [
        (HttpParams, {"auth": {"user": "ana"}}, "give user: and password:, or bearer:"),
        (HttpParams, {"auth": {}}, "give user: and password:, or bearer:"),
        (HttpParams, {"auth": {"bearer": "secret:a", "user": "b", "password": "secret:c"}}, "or bearer:"),
        (HttpParams, {"auth": {"bearer": "the token itself"}}, "pattern"),
        (HttpParams, {"auth": {"bearer": "secret:a"}, "headers": {"authorization": "x"}}, "keep one"),
        (ShellParams, {"files": {"a.key": "the key itself"}}, "pattern"),
        (ShellParams, {"files": {"../a": "secret:a"}}, "pattern"),
        (ShellParams, {"files": {".checkpoint": "secret:a"}}, "pattern"),
        (ShellParams, {"env": {"PATH": "secret:a"}}, "PATH takes no secret"),
    ],
)
def test_what_cannot_be_meant_is_refused(model: type[BaseModel], keys: dict[str, Any], said: str) -> None:
    given = {"url": "https://api.example/"} if model is HttpParams else {"args": ["curl"]}
    with pytest.raises(ValidationError, match=said):
        model.model_validate({**given, **keys})


@pytest.mark.parametrize(
    ("name", "kind"),
    [("TZ", CommandClass.READ), ("TOKEN", CommandClass.CHANGE), ("LD_PRELOAD", CommandClass.UNKNOWN)],
)
def test_what_a_command_does_is_read_from_the_names_of_its_variables(name: str, kind: CommandClass) -> None:
    params = ShellParams.model_validate({"command": "ls", "env": {name: "secret:a"}})
    assert classify("shell", ShellAction().arguments(params, {}))[0] is kind
