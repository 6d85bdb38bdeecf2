"""A model comes onto the box whole, or not at all; and goes only when nobody needs it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.inference.backends.remote.where import read_where
from appliance.inference.catalogue.importing import Imported, Wanted, import_model
from appliance.inference.catalogue.keeping import remove_version, split_name, verify
from appliance.inference.catalogue.repository import Repository
from appliance.inference.catalogue.space import Space
from appliance.inference.catalogue.staging import INCOMING, open_staging, waiting
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ImportInterrupted, ModelBusy, ModelRefused, ModelUnknown
from appliance.inference.models import ServedModel
from appliance.safety.allstop import Level, engage
from appliance.safety.errors import SecretMissing
from appliance.safety.secrets import set_secret
from tests.standins.model_shop import ModelShop, Shelf
from tests.tiny_model import write_tiny_model

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 28, tzinfo=UTC)
SPACE = Space(reserve=0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    write_tiny_model(folder / "tiny.gguf", layers=1)
    (folder / "LICENSE").write_text("MIT")
    (folder / "old.bin").write_bytes(b"\x80\x04")
    return folder


@pytest.fixture
def shop() -> Iterator[ModelShop]:
    with ModelShop() as running:
        yield running


def bring(home: Path, source: object, **more: object) -> Imported:
    wanted = Wanted(str(source), "tiny", space=SPACE)
    return import_model(replace(wanted, **more), CONSOLE, NOW, home)  # type: ignore[arg-type]


def left(home: Path) -> list[str]:
    """What lies in the repository, beside whole versions."""
    return [str(one) for one in (home / "models" / INCOMING).rglob("*")]


def test_a_folder_becomes_a_version_named_by_its_content(home: Path, source: Path) -> None:
    imported = bring(home, source, licence="MIT")
    manifest = imported.stored.manifest
    assert manifest.version == manifest.digest[:12]
    assert [file.path for file in manifest.files] == ["LICENSE", "tiny.gguf"]
    assert imported.left_out == (("old.bin", "it can run code when it is read"),)
    assert (manifest.licence, manifest.source, manifest.architecture) == ("MIT", str(source), "llama")
    assert Repository(home / "models").read("tiny", manifest.version).manifest == manifest
    assert left(home) == []
    assert (source / "tiny.gguf").exists()
    again = bring(home, source)
    assert (again.fresh, again.stored.manifest) == (False, manifest)


def test_what_is_imported_is_on_record(home: Path, source: Path) -> None:
    bring(home, source, version="1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT subject, body FROM audit_record WHERE kind = 'model.import'")
        [(subject, body)] = cursor.fetchall()
    assert subject == "model/tiny"
    assert json.loads(body)["detail"]["version"] == "1"


def test_a_move_takes_the_files_and_leaves_what_is_none_of_it(home: Path, source: Path) -> None:
    inode = (source / "tiny.gguf").stat().st_ino
    imported = bring(home, source, move=True)
    assert (imported.stored.folder / "tiny.gguf").stat().st_ino == inode
    assert [one.name for one in source.iterdir()] == ["old.bin"]


def elsewhere(folder: Path, **where: str) -> Path:
    said = {"url": "https://models.example", "model": "theirs", **where}
    (folder / "remote.json").write_text(json.dumps(said))
    return folder


def test_a_model_elsewhere_is_a_version_with_the_one_file_that_says_where(home: Path, tmp_path: Path) -> None:
    set_secret("far_key", "sesame-sesame", CONSOLE, NOW)
    source = elsewhere(tmp_path, key="far_key")
    (source / "notes.txt").write_text("not of it")
    manifest = bring(home, source).stored.manifest
    assert (manifest.format, manifest.main) == (ModelFormat.REMOTE, "remote.json")
    assert [file.path for file in manifest.files] == ["remote.json"]
    assert read_where(home / "models/tiny" / manifest.version / "remote.json").key == "far_key"


@pytest.mark.parametrize("where", [{"url": "ftp://x"}, {"key": "secret:far"}, {"more": "x"}])
def test_a_remote_json_that_says_nothing_is_refused(
    home: Path, tmp_path: Path, where: dict[str, str]
) -> None:
    with pytest.raises(ModelRefused, match="does not say where the model is"):
        bring(home, elsewhere(tmp_path, **where))
    assert left(home) == []


def test_its_key_is_one_that_the_box_keeps_and_that_they_may_use(home: Path, tmp_path: Path) -> None:
    source = elsewhere(tmp_path, key="far_key")
    with pytest.raises(SecretMissing, match="far_key"):
        bring(home, source)
    set_secret("far_key", "sesame-sesame", CONSOLE, NOW)
    scoped = Principal("user:eva", Role.ENGINEER, (), frozenset({Ability.MANAGE_MODELS}))
    wanted = Wanted(str(source), "tiny", space=SPACE)
    with pytest.raises(NotAllowed):
        import_model(wanted, scoped, NOW, home)
    assert left(home) == []


def test_weights_beside_it_are_the_model(home: Path, source: Path) -> None:
    assert bring(home, elsewhere(source)).stored.manifest.format is ModelFormat.GGUF


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "has the SHA-256"),
        ({"sha256": "nope"}, "64 hexadecimal"),
        ({"version": "../../etc"}, "begin with a letter"),
        ({"space": Space(reserve=0, largest=1000)}, "are the most"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    home: Path, source: Path, change: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelRefused, match=said):
        bring(home, source, **change)
    assert left(home) == []
    assert list(Repository(home / "models")) == []


@pytest.mark.parametrize("text", ["/nowhere", "ftp://h/x.gguf", "file:///etc/x.gguf", "git+file:///x"])
def test_what_is_no_source_is_said(home: Path, text: str) -> None:
    with pytest.raises(ModelRefused):
        bring(home, text)


def test_one_name_and_version_is_one_content(home: Path, source: Path, tmp_path: Path) -> None:
    bring(home, source, version="1")
    other = write_tiny_model(tmp_path / "other.gguf", layers=1, seed=7)
    with pytest.raises(ModelRefused, match="of other content"):
        bring(home, other, version="1")
    with pytest.raises(ModelRefused, match="the same content is there"):
        bring(home, source, version="2")


def test_a_file_comes_by_http_and_its_address_is_kept_without_what_is_secret(
    home: Path, source: Path, shop: ModelShop
) -> None:
    content = (source / "tiny.gguf").read_bytes()
    shop.shelves["/tiny.gguf"] = Shelf(content)
    manifest = bring(home, f"{shop.root}/tiny.gguf?sig=s3cret", version="1").stored.manifest
    assert manifest.source == f"{shop.root}/tiny.gguf"
    assert manifest.files[0].sha256 == hashlib.sha256(content).hexdigest()


def test_rubbish_from_a_server_is_refused_and_gone(home: Path, shop: ModelShop) -> None:
    shop.shelves["/tiny.gguf"] = Shelf(b"<html>not found</html>" * 20)
    with pytest.raises(ModelRefused, match="no GGUF"):
        bring(home, f"{shop.root}/tiny.gguf")
    assert left(home) == []


def test_with_nothing_allowed_out_nothing_is_asked_for(home: Path, shop: ModelShop) -> None:
    shop.shelves["/tiny.gguf"] = Shelf(b"x")
    engage(Level.CUT, "drill", CONSOLE, NOW, home)
    with pytest.raises(ImportInterrupted, match="all-stop"):
        bring(home, f"{shop.root}/tiny.gguf")
    assert shop.served == []


_IMPORT = """
import os, sys, time
from pathlib import Path
from appliance.inference.catalogue.fetching import Fetcher, Remote
from appliance.inference.catalogue import fetching
from appliance.inference.catalogue.outside import Outside
from appliance.inference.catalogue.space import Space
from appliance.inference.catalogue.staging import open_staging
fetching.SYNC_EVERY = 100_000
url, models = sys.argv[1], Path(sys.argv[2])
with open_staging(models, "tiny", "1", url, None) as staging, Outside(url) as outside:
    staging.prepare(afresh=False)
    Fetcher(outside, staging.parts, Space(0), lambda: None, lambda p: print(p.done, flush=True)).fetch(
        Remote(url, "tiny.gguf"), staging.files / "tiny.gguf")
"""


def test_after_kill_nine_in_the_middle_it_goes_on(home: Path, source: Path, shop: ModelShop) -> None:
    content = (source / "tiny.gguf").read_bytes()
    shelf = shop.shelves["/tiny.gguf"] = Shelf(content, pause=0.02)
    url = f"{shop.root}/tiny.gguf"
    argv = [sys.executable, "-c", _IMPORT, url, str(home / "models")]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."})
    assert child.stdout
    while int(child.stdout.readline() or b"9" * 9) < 400_000:
        pass
    with pytest.raises(ModelBusy, match="already"):
        bring(home, url, version="1")
    with pytest.raises(ModelBusy, match="is being imported"):
        remove_version("tiny", "1", CONSOLE, home)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert list(Repository(home / "models")) == []
    [(name, size)] = waiting(home / "models")
    assert name == "tiny@1"
    assert size >= 300_000
    shelf.pause = 0
    assert bring(home, url, version="1").stored.manifest.version == "1"
    resumed = int(shop.ranges("/tiny.gguf")[-1].removeprefix("bytes=").rstrip("-"))
    assert resumed >= 300_000
    assert left(home) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home of 5 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_it_cleanly_and_it_goes_on_with_more_room(
    small_disk: Path, source: Path, shop: ModelShop
) -> None:
    content = (source / "tiny.gguf").read_bytes()
    assert len(content) > 2_500_000
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3_000_000))
    shop.shelves["/tiny.gguf"] = Shelf(content)
    url = f"{shop.root}/tiny.gguf"
    with pytest.raises(ImportInterrupted, match="too full"):
        bring(small_disk, url)  # seen before
    # A disk whose free space is not told right, or which others fill meanwhile:
    with pytest.raises(ImportInterrupted, match="too full"):
        bring(small_disk, url, space=Space(reserve=-(1 << 40)))
    assert list(Repository(small_disk / "models")) == []
    ballast.unlink()
    assert bring(small_disk, url).fresh
    assert shop.ranges("/tiny.gguf")[-1].startswith("bytes=")
    with pytest.raises(ImportInterrupted):
        bring(small_disk, write_tiny_model(source.parent / "two.gguf", layers=1, seed=3))
    assert left(small_disk) == []


def test_a_changed_byte_a_missing_and_a_strange_file_are_found(home: Path, source: Path) -> None:
    stored = bring(home, source).stored
    assert verify(stored).wrong == ()
    file = stored.folder / "tiny.gguf"
    with file.open("r+b") as opened:
        opened.seek(1_000_000)
        opened.write(b"\xff")
    (stored.folder / "LICENSE").unlink()
    (stored.folder / "evil.gguf").write_bytes(b"")
    wrong = " ".join(verify(stored).wrong)
    assert "tiny.gguf has another content" in wrong
    assert "LICENSE cannot be read" in wrong
    assert "evil.gguf does not belong" in wrong


def test_what_is_served_or_may_come_back_stays(home: Path, source: Path) -> None:
    name, version = "tiny", bring(home, source).stored.manifest.version
    served = ServedModel.objects.create(
        name=name, version=version, previous="", digest="0" * 64, engine="llamacpp", context=512, changed_at=NOW,
        changed_by="t",
    )  # fmt: skip
    with pytest.raises(ModelBusy, match="is served"):
        remove_version(name, version, CONSOLE, home)
    served.version, served.previous = "other", version
    served.save()
    with pytest.raises(ModelBusy, match="goes back to"):
        remove_version(name, version, CONSOLE, home)
    served.delete()
    remove_version(*split_name(f"{name}@{version}"), CONSOLE, home)
    assert left(home) == []
    assert not (home / "models" / "tiny").exists()
    with pytest.raises(ModelUnknown):
        remove_version(name, version, CONSOLE, home)


def test_what_nobody_comes_back_for_is_forgotten(home: Path, source: Path) -> None:
    models = home / "models"
    with open_staging(models, "old", "", "https://x/y.gguf", None) as staging:
        staging.prepare(afresh=True)
        (staging.parts / "half").write_bytes(b"x")
    for path in (staging.folder, *staging.folder.rglob("*")):
        os.utime(path, (0, 0))
    bring(home, source)
    assert left(home) == []


def test_a_move_that_is_refused_leaves_the_source_alone(home: Path, source: Path) -> None:
    before = (source / "tiny.gguf").read_bytes()
    with pytest.raises(ModelRefused):
        bring(home, source, move=True, sha256="0" * 64)
    assert (source / "tiny.gguf").read_bytes() == before
