"""Two boxes that share kept values."""

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.integration.cache.pair import Pair, opened


@pytest.fixture(scope="module")
def both(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Pair]:
    with django_db_blocker.unblock(), opened() as pair:
        yield pair


@pytest.fixture
def pair(both: Pair) -> Pair:
    both.reset()
    return both
