"""The rules of device accounts."""

import re

import bcrypt
import pytest

from appliance.devices.domain import (
    Account,
    check_name,
    check_pattern,
    hash_password,
    new_password,
    render_users,
    subjects,
)
from appliance.devices.errors import DeviceRefused


@pytest.mark.parametrize("name", ["press-1", "7", "a_b"])
def test_plain_names_are_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Press", "a b", "a/b", "-a", "a" * 49, "box", "admin", 'a"', "a\n", "ä"]
)
def test_names_that_could_become_something_else_are_refused(name: str) -> None:
    with pytest.raises(DeviceRefused):
        check_name(name)


@pytest.mark.parametrize(
    "pattern", ["millwright/#", "millwright/abc/cmd", "millwright/+/cmd/#", "$SYS/#", "a//b", "a b"]
)
def test_patterns_of_the_box_or_the_broker_are_refused(pattern: str) -> None:
    with pytest.raises(DeviceRefused):
        check_pattern(pattern, publish=True)


@pytest.mark.parametrize("pattern", ['a"b', "a.b", "a*", "a>b", "a\\b"])
def test_patterns_that_mean_something_else_in_nats_are_refused(pattern: str) -> None:
    with pytest.raises(DeviceRefused):
        check_pattern(pattern, publish=False)


def test_filters_become_the_subjects_that_nats_checks() -> None:
    assert subjects("devices/p1/#") == ("devices.p1", "devices.p1.>")
    assert subjects("plant/+/temp") == ("plant.*.temp",)
    assert subjects("#") == (">",)


def test_the_password_is_random_and_only_its_hash_reaches_the_file() -> None:
    password = new_password()
    assert password != new_password()
    assert len(password) >= 20
    hashed = hash_password(password)
    assert re.match(r"^\$2a\$\d\d\$", hashed)
    assert bcrypt.checkpw(password.encode(), hashed.encode())
    text = render_users('  {user: "box", password: "x"}\n', [Account("p1", hashed, ("a/#",), ("b",))])
    assert password not in text
    assert hashed in text
    assert '"millwright.>"' in text
