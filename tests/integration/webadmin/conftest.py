"""People, tasks and runs to look at."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import Settings

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.lib.identity import uuid7
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text
from tests.visitor import PASSWORD, password, switch_on
from webadmin.login.sessions import mark_of

GREET = """- name: greet
  description: Says hello
  triggers:
    - id: often
      every: 5m
    - id: heard
      mqtt: {topic: "greet/{who}", payload: json}
      when: "{{ payload.value > 1 }}"
  actions:
    - type: set
      value: "hello"
"""


@pytest.fixture(autouse=True)
def _no_collected_files(settings: Settings) -> None:
    """Files are served from where they are; WhiteNoise warns about the folder that nothing was collected to.

    It looks for a file when one asks for it: reading all folders anew for each Client takes longer than most pages.
    """
    settings.STATIC_ROOT = None
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture
def person(db: None) -> Callable[[Role], User]:
    """Somebody with a role; the same one when asked again."""

    def make(role: Role) -> User:
        known = User.objects.filter(username=role.value).first()
        return known or create_user(role.value, PASSWORD, role, BOX)

    return make


@pytest.fixture
def browser(person: Callable[[Role], User]) -> Callable[[Role], Client]:
    """A signed-in browser of somebody with a role, which the box has noticed already."""

    def make(role: Role) -> Client:
        client = Client()
        client.force_login(person(role))
        cache.set(mark_of(client.session.session_key or ""), True)
        return client

    return make


@pytest.fixture
def greet(db: None) -> Task:
    apply_text(GREET, "greet.yaml", BOX, datetime.now(UTC))
    return Task.objects.select_related("current").get(name="greet")


@pytest.fixture
def ended_run(greet: Task) -> Callable[..., UUID]:
    """A run with steps, as the engine would have left it."""

    def make(*, steps: int = 2, state: str = "succeeded", warning: str = "") -> UUID:
        run_id, now = uuid7(), datetime.now(UTC)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO runs_run (id, task_id, version_id, forked_at_step, lane, state, waiting_for,"
                " reason, warning, principal, origin, trigger, priority, inputs, cancel_requested, version,"
                " epoch, lease_owner, recoveries, created_at, started_at, finished_at)"
                " VALUES (%s, %s, %s, '', 'worker', %s, '', '', %s, 'user:ana', 'manual', 'manual', 0, '{}',"
                " false, 0, 1, '', 0, %s, %s, %s)",
                [run_id, greet.pk, greet.current_id, state, warning, now, now, now + timedelta(seconds=2)],
            )
            for position in range(steps):
                cursor.execute(
                    "INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state,"
                    " epoch, input, output, stderr, error, started_at, finished_at)"
                    " VALUES (%s, %s, 1, %s, 'actions', 'shell', 'unsafe', 'succeeded', 1, '{}', %s, %s, '',"
                    " %s, %s)",
                    [
                        run_id,
                        f"step-{position}",
                        position,
                        '"<script>alert(1)</script>"',
                        "it complained",
                        now + timedelta(seconds=position),
                        now + timedelta(seconds=position + 1),
                    ],
                )
        return run_id

    return make


@pytest.fixture
def ana(person: Callable[[Role], User]) -> tuple[str, str, list[str]]:
    """An engineer with a second step: user name, secret, recovery codes. Nobody has guessed yet."""
    cache.clear()
    person(Role.ENGINEER)
    client = Client()
    assert password(client, "engineer") == "/"
    secret, codes = switch_on(client)
    assert len(codes) == 10
    return "engineer", secret, codes
