"""What is wrong with an order to start is said before anything is started or changed."""

import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.inference.services import Serving
from appliance.lib.config import Config, read_config
from appliance.lib.errors import MillwrightError
from appliance.processes import lock
from appliance.processes.start_order import StartOrder, check_cache, check_order, moved, unset
from appliance.safety.stop import Level, StopFile
from tests.tiny_model import write_tiny_model

BRIEF = Path(__file__).parents[3] / "examples" / "brief_platforms.json"
pytest.importorskip("xllamacpp")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("order") / "tiny.gguf", layers=1)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path)


def configured(tmp_path: Path, **settings: str) -> Config:
    environment = {"MILLWRIGHT_HOME": str(tmp_path / "home"), "MILLWRIGHT_ENV_FILE": os.devnull}
    return read_config({**environment, **settings})


def files_of(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def refused(order: StartOrder, config: Config) -> MillwrightError:
    """The refusal, after which nothing is other than before."""
    before = files_of(config.home.path)
    with pytest.raises(MillwrightError) as caught:
        check_order(order, config)
    assert files_of(config.home.path) == before
    return caught.value


def test_a_good_order_is_planned_and_changes_nothing(model: Path, config: Config) -> None:
    before = files_of(config.home.path)
    plan = check_order(StartOrder(str(model), Serving(slots=2), platforms=BRIEF), config)
    assert files_of(config.home.path) == before
    told = plan.as_json()
    assert told["model"] == {
        "name": "tiny", "version": None, "here": False, "import_from": str(model), "format": "gguf",
        "size": model.stat().st_size, "quantisation": "F32", "engine": "llamacpp", "context": 2048, "slots": 2,
        "device": "", "does_not_fit": "",
    }  # fmt: skip
    telegram, feishu = plan.platforms
    assert (telegram.name, unset(telegram), moved(telegram)) == ("telegram", ("BOT_TOKEN",), ())
    assert (feishu.name, unset(feishu)) == ("enterprise_im", ("APP_ID", "APP_SECRET"))
    assert json.dumps(told)


def test_a_literal_in_the_file_is_announced_as_a_secret_to_be(
    model: Path, config: Config, tmp_path: Path
) -> None:
    file = tmp_path / "platforms.json"
    file.write_text(json.dumps({"platforms": [{"name": "telegram", "auth": "123456:abc-DEF"}]}))
    plan = check_order(StartOrder(str(model), Serving(), platforms=file), config)
    assert moved(plan.platforms[0]) == ("auth",)
    assert "123456" not in json.dumps(plan.as_json())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1, column 2: not JSON"),
        ("[]", 'an object with a list "platforms"'),
        ('{"platforms": [{"name": "telegramm"}]}', "did you mean 'telegram'"),
        ('{"platforms": [{"name": "telegram"}]}', "auth"),
    ],
)
def test_a_wrong_platform_file_is_told_with_its_place(
    model: Path, config: Config, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "platforms.json"
    file.write_text(text)
    error = refused(StartOrder(str(model), Serving(), platforms=file), config)
    assert said in str(error)
    assert str(error).startswith(str(file))


def test_a_platform_file_that_is_not_there_is_told(model: Path, config: Config, tmp_path: Path) -> None:
    error = refused(StartOrder(str(model), Serving(), platforms=tmp_path / "gone.json"), config)
    assert "cannot be read: No such file" in str(error)


def test_a_model_that_cannot_be_served_so_is_refused(model: Path, config: Config, tmp_path: Path) -> None:
    assert "there is no" in str(refused(StartOrder(str(tmp_path / "gone.gguf"), Serving()), config))
    for serving, said in (
        (Serving(context=1 << 19), "takes 1 to 2048 tokens"),
        (Serving(slots=0), "slots are 1 to"),
    ):
        assert said in str(refused(StartOrder(str(model), serving), config))


def test_safetensors_without_an_image_say_what_to_name(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "safe"
    folder.mkdir()
    head = json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    error = refused(StartOrder(str(folder), Serving(device="GPU-1")), config)
    assert "MILLWRIGHT_MODEL_IMAGES" in str(error)


def test_a_box_that_runs_and_a_taken_port_are_told(model: Path, config: Config, tmp_path: Path) -> None:
    order = StartOrder(str(model), Serving())
    held = lock.take(config.home)
    try:
        assert "is running already" in str(refused(order, config))
    finally:
        os.close(held)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused(order, replace_listen(config, port))
    assert f"port {port}" in str(error)
    assert "MILLWRIGHT_LISTEN=" in str(error)


def replace_listen(config: Config, port: int) -> Config:
    return config.model_copy(update={"http_listen": ("127.0.0.1", port)})


def test_a_box_that_only_looks_is_not_changed_by_a_start(model: Path, config: Config) -> None:
    StopFile(config.home.path).path.write_text("read_only\n")
    assert StopFile(config.home.path).level() is Level.READ_ONLY
    assert "read only" in str(refused(StartOrder(str(model), Serving()), config))


def test_a_cache_is_a_folder_or_can_become_one(tmp_path: Path) -> None:
    check_cache(tmp_path)
    check_cache(tmp_path / "deep/er")
    assert not (tmp_path / "deep").exists()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for wrong in (tmp_path / "file", tmp_path / "file/below", tmp_path / "link"):
        with pytest.raises(MillwrightError, match="is no folder"):
            check_cache(wrong)


@pytest.mark.parametrize("mode", [0o1777, 0o775])
def test_a_cache_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    with pytest.raises(MillwrightError, match="may be written by others") as caught:
        check_cache(shared)
    assert f"chmod go-w {shared}" in str(caught.value)
    check_cache(shared / "own")  # which would be made there
    assert shared.stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a folder away")
def test_a_cache_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(MillwrightError, match="belongs to user 12345"):
        check_cache(theirs)


def test_the_cache_is_in_the_home_unless_the_setting_says_otherwise(tmp_path: Path) -> None:
    assert configured(tmp_path).cache == tmp_path / "home/cache"
    assert configured(tmp_path, MILLWRIGHT_CACHE=str(tmp_path / "c")).cache == tmp_path / "c"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_where_nobody_may_write_it_is_told() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mw-order-") as name:
        folder = Path(name)
        (folder / "closed").mkdir(mode=0o700)
        folder.chmod(0o755)
        assert "user 12345 may not write in" in as_another(lambda: check_cache(folder / "cache"))
        assert "cannot be looked at" in as_another(lambda: check_cache(folder / "closed/cache"))
        assert as_another(lambda: check_cache(Path("/var/tmp/mw-not-made"))) == ""


def as_another(check: Callable[[], None]) -> str:
    """What user 12345 is told."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(12345)
        try:
            check()
        except MillwrightError as error:
            os.write(ours, str(error).encode())
        os._exit(0)
    os.close(ours)
    with os.fdopen(theirs) as pipe:
        said = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return said
