"""How long a property is searched for a counter-example."""

from typing import Any

from hypothesis import settings

from tests import boot


def search(examples: int, **more: Any) -> settings:
    """This many examples in ``make test-full``; with ``--slow-sample`` (``make test``) a quarter, others each time."""
    return settings(max_examples=max(25, examples // 4) if boot.sampling else examples, deadline=None, **more)
