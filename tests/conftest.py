"""Fixtures for all tests. Nothing here starts unless a test asks for it."""

from collections.abc import Iterator

import pytest
from django.test import TransactionTestCase

from appliance.lib.config import Config, get_config
from appliance.lib.masking import KNOWN
from tests.container_engine import PrivateEngine, private_engine, why_no_engine
from tests.database import flush
from tests.engines import running_engines


@pytest.fixture(autouse=True)
def _secrets_of_other_tests_are_forgotten() -> Iterator[None]:
    """What one test kept secret is an ordinary text in the next one."""
    yield
    KNOWN.forget()


@pytest.fixture(scope="session")
def engines() -> Iterator[Config]:
    """Real PostgreSQL, Redis and NATS for the whole session."""
    with running_engines(get_config()) as config:
        yield config


@pytest.fixture(scope="session")
def container_engine() -> Iterator[PrivateEngine]:
    """A real Docker engine for the whole session; where there can be none the test is skipped, with the reason."""
    if reason := why_no_engine():
        pytest.skip(reason)
    with private_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def django_db_modify_db_settings(engines: Config) -> None:
    """pytest-django makes its test database on the engines' server."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database; emptied the cheap way after each test with real transactions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: flush())
        yield
