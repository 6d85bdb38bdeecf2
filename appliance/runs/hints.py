"""Hints to the worker: "look at these runs". They may be lost; the worker's sweep finds what they would have said."""

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction

log = logging.getLogger(__name__)


def look_at(run_ids: Sequence[UUID]) -> None:
    """Send a hint after the current transaction has committed."""
    if run_ids:
        transaction.on_commit(partial(send, list(run_ids)))


def send(run_ids: Sequence[UUID]) -> None:
    """Send a hint now. A broker that is away costs a second of latency, nothing else."""
    from appliance.runs.jobs import attend

    try:
        attend.apply_async(args=[[str(run_id) for run_id in run_ids]], retry=False)
    except Exception as error:
        # Any failure of the broker's client lands here: the rows are committed, the sweep finds them.
        log.warning("hint not sent: %s", error)
