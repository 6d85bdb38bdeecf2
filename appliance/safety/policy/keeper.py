"""The policy in force, as a process holds it: read again when the epoch says that something has changed."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.safety.policy.decision import BUILT_IN, LayerPolicy, Policy
from appliance.safety.policy.errors import PolicyRefused, PolicyUnreadable
from appliance.safety.policy.loading import digest_of, read_again
from appliance.safety.policy.vocabulary import Layer

log = logging.getLogger(__name__)

READ = """
SELECT p.layer, v.number, v.text, v.digest
FROM safety_policy p JOIN safety_policyversion v ON v.id = p.version_id ORDER BY p.layer
"""
"""The texts in force: (layer, number, text, digest)."""

VERSIONS = """
SELECT p.layer, v.number FROM safety_policy p JOIN safety_policyversion v ON v.id = p.version_id
"""

AGAIN_AFTER = 1.0
"""Seconds before a policy that could not be read is tried again, where nothing has changed."""

Row = Sequence[Any]


def policy_of(rows: Sequence[Row]) -> Policy:
    """The policy of the rows of ``READ``. Raises PolicyUnreadable: damaged, or of a version we do not know."""
    layers: list[LayerPolicy] = []
    for layer, number, text, digest in rows:
        if digest_of(text) != digest:
            raise PolicyUnreadable(f"version {number} of the {layer} policy is not the text that was applied")
        try:
            file = read_again(text)
        except PolicyRefused as error:
            raise PolicyUnreadable(f"version {number} of the {layer} policy: {error.problems[0]}") from error
        if file.layer != layer:
            raise PolicyUnreadable(f"version {number} of the {layer} policy says that it is of {file.layer}")
        layers.append(LayerPolicy(file, number))
    if not any(layer.layer is Layer.BOX for layer in layers):
        layers.append(BUILT_IN)
    return Policy(layers)


async def versions_in_force(connection: AsyncConnection[Any]) -> str:
    """As ``Policy.in_force``, without reading the rules: for what is bound to the policy and not decided by it."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(VERSIONS)
    found = {BUILT_IN.layer: BUILT_IN.version, **{Layer(row[0]): row[1] for row in await cursor.fetchall()}}
    return " ".join(f"{layer}@{found[layer]}" for layer in Layer if layer in found)


class PolicyKeeper:
    """``policy`` is None while it cannot be read; ``why`` says why, and everything that acts is held.

    ``epoch`` is the one that the policy was read at: an effect that sees a later one may be decided by another
    policy, and waits until this one has been read again.
    """

    def __init__(self, policy: Policy | None = None, epoch: int = -1) -> None:
        self.policy = policy
        self.epoch = epoch
        self.why = "" if policy else "it has not been read yet"
        self._texts: tuple[tuple[str, int, str], ...] | None = None
        self._tried = float("-inf")

    async def follow(self, connection: AsyncConnection[Any], epoch: int) -> None:
        """Have the policy of ``epoch``. A policy that cannot be read is told by ``policy``, not raised."""
        if epoch <= self.epoch and (self.policy is not None or time.monotonic() - self._tried < AGAIN_AFTER):
            return
        cursor = await connection.cursor(row_factory=tuple_row).execute(READ)
        rows = await cursor.fetchall()
        texts = tuple((row[0], row[1], row[3]) for row in rows)
        if self.policy is None or texts != self._texts:
            await self._take(rows)
            self._texts = texts
        self.epoch = epoch

    async def _take(self, rows: Sequence[Row]) -> None:
        self._tried = time.monotonic()
        try:
            # In a thread: a thousand rules take a while, and this loop has other things to do.
            self.policy, self.why = await asyncio.to_thread(policy_of, rows), ""
        except PolicyUnreadable as error:
            self.policy, self.why = None, str(error)
            log.error("the policy cannot be read: %s", error)
