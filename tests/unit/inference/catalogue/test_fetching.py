"""What a server outside may do to a download, and what becomes of it."""

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.inference.catalogue import fetching
from appliance.inference.catalogue.fetching import Fetcher, Remote
from appliance.inference.catalogue.outside import Outside
from appliance.inference.catalogue.progress import Progress
from appliance.inference.catalogue.space import Space
from appliance.inference.errors import ImportInterrupted, ModelRefused
from tests.standins.model_shop import ModelShop, Shelf

CONTENT = random.Random(4).randbytes(900_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PATH = "/m/model.gguf"


@pytest.fixture
def shop() -> Iterator[ModelShop]:
    with ModelShop() as running:
        yield running


class Box:
    """One side that downloads; ``fetch`` twice is two processes, one after the other."""

    def __init__(self, shop: ModelShop, folder: Path) -> None:
        self.shop, self.folder = shop, folder
        self.parts, self.target = folder / "parts", folder / "model.gguf"
        self.parts.mkdir()
        self.pauses: list[float] = []
        self.seen: list[Progress] = []
        self.space = Space(reserve=0)

    def fetch(
        self, sha256: str = "", size: int | None = None, watch: Callable[[], None] = lambda: None
    ) -> str:
        url = self.shop.root + PATH
        with Outside(url) as outside:
            fetcher = Fetcher(
                outside,
                self.parts,
                self.space,
                watch,
                self.seen.append,
                self.pauses.append,
            )
            return fetcher.fetch(Remote(url, "model.gguf", size, sha256), self.target)


@pytest.fixture
def box(shop: ModelShop, tmp_path: Path) -> Box:
    return Box(shop, tmp_path)


def test_a_file_comes_whole_and_leaves_no_part(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT)
    assert box.fetch(DIGEST) == DIGEST
    assert box.target.read_bytes() == CONTENT
    assert list(box.parts.iterdir()) == []
    assert box.seen[-1] == Progress("downloading", len(CONTENT), len(CONTENT), "model.gguf")


def test_a_cut_line_goes_on_where_it_was_cut(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[300_000, 200_000])
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH) == ["", "bytes=300000-", "bytes=500000-"]


def test_a_server_that_always_cuts_is_given_up_and_what_came_is_kept(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[400_000] + [0] * 20)
    with pytest.raises(ImportInterrupted, match="does not go on"):
        box.fetch()
    assert not box.target.exists()
    assert max(box.pauses) <= 30
    shop.shelves[PATH].cut_after.clear()
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH)[-1] == "bytes=400000-"


def test_what_was_not_surely_on_the_disk_is_read_again(
    shop: ModelShop, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SYNC_EVERY", 1 << 40)
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[400_000] + [0] * 20)
    with pytest.raises(ImportInterrupted):
        box.fetch()
    [part] = [one for one in box.parts.iterdir() if one.suffix != ".json"]
    with part.open("ab") as file:
        file.write(b"\0" * 50_000)  # as a power cut leaves it: longer than what is known to be there
    shop.shelves[PATH].cut_after.clear()
    assert box.fetch() == DIGEST


def test_a_server_without_ranges_begins_anew(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, ranges=False, cut_after=[300_000])
    assert box.fetch() == DIGEST


def test_another_file_on_the_server_is_never_joined_to_the_first_half(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[400_000] + [0] * 20)
    with pytest.raises(ImportInterrupted):
        box.fetch()
    other = CONTENT[::-1]
    shop.shelves[PATH] = Shelf(other, etag='"2"')
    assert box.fetch() == hashlib.sha256(other).hexdigest()


def test_a_server_that_answers_with_another_place_begins_anew(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[400_000], honest_range=False)
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH) == ["", "bytes=400000-", ""]


def test_without_anything_to_know_it_by_a_part_is_not_gone_on_with(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, etag="", cut_after=[400_000])
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH) == ["", ""]


def test_where_the_digest_is_known_that_is_enough_to_go_on(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, etag="", cut_after=[400_000])
    assert box.fetch(DIGEST) == DIGEST
    assert shop.ranges(PATH) == ["", "bytes=400000-"]


def test_a_wrong_digest_is_refused_and_nothing_is_kept(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT)
    with pytest.raises(ModelRefused, match="another file"):
        box.fetch("0" * 64)
    assert not box.target.exists()
    assert sum(one.stat().st_size for one in box.parts.iterdir() if one.suffix != ".json") == 0


def test_a_server_that_lies_about_the_length_is_found_out(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, claimed=len(CONTENT) + 5000)
    with pytest.raises(ImportInterrupted):
        box.fetch()
    assert not box.target.exists()


@pytest.mark.parametrize(
    ("shelf", "said"),
    [
        (Shelf(CONTENT, location="file:///etc/passwd"), "kind `file`"),
        (Shelf(CONTENT, location="ftp://127.0.0.1/x"), "kind `ftp`"),
        (Shelf(CONTENT, location=PATH), "from one address to the next"),
        (Shelf(CONTENT, status=404), "answers 404"),
        (Shelf(CONTENT, status=403), "--token"),
        (Shelf(CONTENT, encoding="gzip"), "packs the file"),
    ],
)
def test_what_no_other_try_mends_is_refused_in_words(
    shop: ModelShop, box: Box, shelf: Shelf, said: str
) -> None:
    shop.shelves[PATH] = shelf
    with pytest.raises(ModelRefused) as refused:
        box.fetch()
    assert said in str(refused.value)
    assert not box.target.exists()


def test_an_address_that_is_good_no_more_costs_nothing_of_what_came(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT, cut_after=[400_000] + [0] * 20)
    with pytest.raises(ImportInterrupted):
        box.fetch()
    shop.shelves[PATH] = Shelf(CONTENT, status=403)
    with pytest.raises(ImportInterrupted, match="403"):
        box.fetch()
    shop.shelves[PATH] = Shelf(CONTENT)
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH)[-1] == "bytes=400000-"


def test_a_redirect_is_followed_and_the_token_stays_with_its_host(shop: ModelShop, tmp_path: Path) -> None:
    with ModelShop() as elsewhere:
        elsewhere.shelves["/blob"] = Shelf(CONTENT)
        away = elsewhere.root.replace("127.0.0.1", "localhost")
        shop.shelves[PATH] = Shelf(b"", location=f"{away}/blob")
        url = shop.root + PATH
        with Outside(url, token="t0ken") as outside, outside.get(url, {}) as answer:
            assert answer.read() == CONTENT
        assert shop.served[0][1]["authorization"] == "Bearer t0ken"
        assert "authorization" not in elsewhere.served[0][1]


def test_too_much_is_refused_before_it_comes(shop: ModelShop, box: Box) -> None:
    shop.shelves[PATH] = Shelf(CONTENT)
    box.space = Space(reserve=0, largest=1000)
    with pytest.raises(ModelRefused, match="are the most"):
        box.fetch()
    box.space = Space(reserve=1 << 62)
    with pytest.raises(ImportInterrupted, match="too full"):
        box.fetch()
    assert not box.target.exists()


def test_a_stop_ends_it_and_what_came_is_kept(
    shop: ModelShop, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SYNC_EVERY", 100_000)
    shop.shelves[PATH] = Shelf(CONTENT)

    def stopped() -> None:
        raise ImportInterrupted("the all-stop lets nothing leave the box")

    with pytest.raises(ImportInterrupted, match="all-stop"):
        box.fetch(watch=stopped)
    assert box.fetch() == DIGEST
    assert shop.ranges(PATH)[1].startswith("bytes=")
