"""An encoder that the keeper serves: a GGUF embedding model in llama.cpp, asked over ``/v1/embeddings``."""

import asyncio
from array import array
from collections.abc import Sequence
from typing import Any

import httpx

from appliance.inference.believing import believed
from appliance.inference.client import KeeperClient
from appliance.inference.domain import Need, Work
from appliance.inference.embeddings.contract import Matrix, unit
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import Wish

BATCH = 32
"""Texts in one request: more fill an engine's batch without being faster (inference facts, 5.1)."""
PATIENCE = 30.0


class ServedEncoder:
    """Pinned by digest: other weights under the same name are refused by the keeper, and vectors never mix.

    ``size`` 0: as its first answer says. ``patience`` is seconds, for the wait for the model and for each answer.
    """

    def __init__(
        self,
        client: KeeperClient,
        model: str,
        digest: str,
        size: int = 0,
        *,
        principal: str = "box",
        patience: float = PATIENCE,
    ) -> None:
        self._client = client
        self._principal = principal
        self._patience = patience
        self.name, self.digest, self.size = model, digest, size

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Raises ModelUnavailable, ModelUnknown, ModelBusy, ModelRefused. Not in an event loop's thread."""
        if not texts:
            return Matrix(self.size, array("f"))
        return asyncio.run(self._encode(texts))

    async def _encode(self, texts: Sequence[str]) -> Matrix:
        wish = Wish(
            model=self.name,
            work=Work.EMBEDDINGS,
            needs=frozenset({Need.EMBEDDINGS}),
            deadline=self._patience,
            principal=self._principal,
            pinned=self.digest,
        )
        values = array("f")
        async with self._client.lease(wish) as lease:
            granted = lease.granted
            headers = {"Authorization": f"Bearer {granted.key}"} if granted.key else {}
            # A proxy of the environment has no part in it.
            async with httpx.AsyncClient(
                base_url=granted.url,
                headers=headers,
                timeout=self._patience,
                trust_env=False,
                verify=believed(granted.url),
            ) as engine:
                try:
                    for start in range(0, len(texts), BATCH):
                        batch = list(texts[start : start + BATCH])
                        values.extend(await self._batch(engine, granted.served_name, batch))
                        lease.beat(start + len(batch))
                except ModelUnavailable as error:
                    lease.failed(str(error))
                    raise
            lease.done(len(texts))
        return Matrix(self.size, values)

    async def _batch(self, engine: httpx.AsyncClient, served_name: str, texts: list[str]) -> "array[float]":
        body = {"model": served_name, "input": texts, "encoding_format": "float"}
        try:
            answer = await engine.post("/v1/embeddings", json=body)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ModelUnavailable(f"{self.name} gave no vectors: {type(error).__name__}") from error
        return self._rows(found, len(texts))

    def _rows(self, found: Any, count: int) -> "array[float]":
        """In the order of the texts, whatever order the engine gives them in."""
        try:
            rows = sorted(found["data"], key=lambda row: row["index"])
            vectors = [unit([float(value) for value in row["embedding"]]) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelUnavailable(f"{self.name} gave something that is no vector") from error
        if not self.size and vectors:
            self.size = len(vectors[0])
        if len(vectors) != count or any(len(vector) != self.size for vector in vectors):
            raise ModelUnavailable(f"{self.name} gave {len(vectors)} vectors for {count} texts")
        values = array("f")
        for vector in vectors:
            values.extend(vector)
        return values
