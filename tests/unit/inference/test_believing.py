"""Whoever asks an engine elsewhere believes the operator's own authority, as the keeper and the gateway do."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import Principal
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import Asked
from appliance.agent.router.model import ModelInterpreter
from appliance.inference import believing
from appliance.inference.asking import Asker, Question
from appliance.inference.client import KeeperClient
from appliance.inference.embeddings.served import ServedEncoder
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import Wish
from appliance.inference.trying import ask
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes.certificate import make_certificate
from tests.standins.embedding_engine import Engine, engine_and_keeper

ANN = Principal("token:ann/bot", Role.OPERATOR, scopes=frozenset({Ability.USE_MODELS}))


def encode(keeper: KeeperClient) -> object:
    return ServedEncoder(keeper, "minilm", "d" * 64, 2).encode(["a"])


def interpret(keeper: KeeperClient) -> object:
    return ModelInterpreter(keeper).interpret(Asked("is it warm", own_intents(), []))


def question(keeper: KeeperClient) -> object:
    return asyncio.run(Asker(keeper).ask(Question((("user", "hi"),)), Wish(principal="user:ana")))


def trial(keeper: KeeperClient) -> object:
    async def whole() -> list[object]:
        return [piece async for piece in ask(keeper, "hi", ANN)]

    return asyncio.run(whole())


def heard(engine: Engine) -> int:
    return len(engine.asked) + len(engine.bodies)


@pytest.mark.parametrize("asks", [encode, interpret, question, trial])
def test_an_engine_with_a_certificate_of_the_operators_is_asked(
    asks: Callable[[KeeperClient], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "there.crt", tmp_path / "there.key"
    make_certificate(certificate, key, ["127.0.0.1"])
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    with engine_and_keeper(tmp_path / "k.sock", secure) as engine:
        keeper = KeeperClient(tmp_path / "k.sock")
        with pytest.raises(ModelUnavailable):
            asks(keeper)
        assert heard(engine) == 0
        config = get_config().model_copy(update={"remote_models_ca": certificate})
        monkeypatch.setattr(believing, "get_config", lambda: config)
        with contextlib.suppress(MillwrightError):  # what it answers is another matter
            asks(keeper)
        assert heard(engine) == 1


def test_a_file_of_authorities_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_config().model_copy(update={"remote_models_ca": tmp_path / "gone.pem"})
    monkeypatch.setattr(believing, "get_config", lambda: config)
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        believing.believed("https://models.example")
    assert believing.believed("http://127.0.0.1:1").get_ca_certs() == []
