"""Fixtures for all tests. Nothing here starts unless a test asks for it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.test import TransactionTestCase, override_settings
from django.utils import translation
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from appliance.audit.heads import heads_file
from appliance.lib.config import Config, get_config
from appliance.lib.masking import KNOWN
from tests import database
from tests.container_engine import EngineAway, PrivateEngine, no_engine, private_engine, why_no_engine
from tests.engines import running_engines

hypothesis_settings.register_profile("shared machine", deadline=None)
hypothesis_settings.load_profile("shared machine")
CHEAP = "django.contrib.auth.hashers.MD5PasswordHasher"


@pytest.fixture(autouse=True)
def _secrets_of_other_tests_are_forgotten() -> Iterator[None]:
    """What one test kept secret is an ordinary text in the next one."""
    yield
    KNOWN.forget()


@pytest.fixture(autouse=True)
def _language_of_other_tests_is_forgotten() -> Iterator[None]:
    """A page that was asked for in Chinese leaves its thread speaking it."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _files_of_other_tests_rows_are_gone() -> Iterator[None]:
    """All-stop and signed heads: the rows go with the test's tables, the files in the home would stay."""
    yield
    home = get_config().home.path
    (home / "ALLSTOP").unlink(missing_ok=True)
    heads_file(home).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def engines() -> Iterator[Config]:
    """Real PostgreSQL, Redis and NATS for the whole session."""
    with running_engines(get_config()) as config:
        yield config


def _engine(*, networks: bool) -> Iterator[PrivateEngine]:
    """Where there can be none the test is skipped, with the reason; in continuous integration it fails."""
    if reason := why_no_engine():
        no_engine(reason)
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(private_engine(networks=networks))
        except EngineAway as error:
            no_engine(str(error))
        yield engine


@pytest.fixture(scope="session")
def container_engine() -> Iterator[PrivateEngine]:
    """A real Docker engine for the whole session, without networks."""
    yield from _engine(networks=False)


@pytest.fixture(scope="session")
def networked_engine() -> Iterator[PrivateEngine]:
    """Another one, with networks in a namespace of their own."""
    yield from _engine(networks=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(engines: Config) -> None:
    """pytest-django makes its test database on the engines' server."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database; emptied the cheap way after each test with real transactions.

    Passwords of people in it have a cheap hash: the real one takes most of a second on purpose.
    """
    with django_db_blocker.unblock():
        database.forget_days_ahead()
    with pytest.MonkeyPatch.context() as patch, override_settings(PASSWORD_HASHERS=[CHEAP]):
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: database.flush())
        yield
        database.close()
