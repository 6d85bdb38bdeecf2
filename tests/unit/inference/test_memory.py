"""What fits, and who has to go."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.backends.contract import Footprint, Profile, Stats
from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.hardware.domain import Accelerator, Hardware, MemoryKind, Processor, Vendor
from appliance.inference.scheduling.machine import Claim, Fit, Machine, Resident
from appliance.inference.scheduling.memory import (
    GIB,
    MACHINE,
    Room,
    estimate,
    kv_bytes,
    rooms,
    taken_at_work,
)

GPU = "GPU-1"


def manifest(size: int = 4 * GIB, shape: Shape | None = None) -> Manifest:
    file = ModelFile(path="model.gguf", size=size, sha256="0" * 64)
    return Manifest(
        name="m",
        version="1",
        format=ModelFormat.GGUF,
        files=(file,),
        main="model.gguf",
        shape=shape or Shape(layers=32, kv_heads=8, head_size=128),
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def resident(name: str, size: int, **given: object) -> Resident:
    base = Resident(
        name,
        GPU,
        Footprint(size, 0),
        busy=False,
        pinned=False,
        loaded_at=0.0,
        last_used=0.0,
        load_seconds=10.0,
        rank=0,
    )
    return replace(base, **given)  # type: ignore[arg-type]


def fit(
    device: str,
    need: Footprint,
    world: dict[str, Room],
    there: list[Resident],
    now: float,
    *,
    rank: int = 0,
    overdue: bool = False,
    stays: str = "",
    freed_at: float = float("-inf"),
) -> Fit:
    return Machine(world, there, now, Claim(rank, overdue, stays), freed_at=freed_at).fit(device, need)


def test_conversations_take_what_their_shape_says() -> None:
    profile = Profile(EngineKind.LLAMACPP, context=4096, slots=2)
    assert kv_bytes(manifest(), profile) == 4 * 32 * 8 * 128 * 4096 * 2


def test_a_model_on_a_device_takes_little_of_the_machine() -> None:
    taken = estimate(manifest(), Profile(EngineKind.TRTLLM, 4096, device=GPU))
    assert taken.device > 7 * GIB
    assert taken.memory == GIB


def test_a_device_that_shares_memory_takes_of_the_machines() -> None:
    """Jetson, DGX Spark, graphics inside a processor."""
    shared = Accelerator("A", Vendor.NVIDIA, "orin", MemoryKind.UNIFIED)
    own = Accelerator("B", Vendor.NVIDIA, "gpu", MemoryKind.DEDICATED, 24 * GIB, GIB)
    found = rooms(Hardware(Processor("cpu", 2), 32 * GIB, 28 * GIB, (shared, own)))
    machine = Room(32 * GIB, 4 * GIB)
    assert found == {"A": replace(machine, shares=True), "B": Room(24 * GIB, GIB), MACHINE: machine}
    there = [resident("first", 10 * GIB, device="A"), resident("second", 6 * GIB, device=MACHINE)]
    assert fit("A", Footprint(8 * GIB, GIB), found, there[:1], now=1000.0).evict == ()
    assert fit("A", Footprint(20 * GIB, GIB), found, there[:1], now=1000.0).evict == ("first",)
    assert fit(MACHINE, Footprint(0, 20 * GIB), found, there, now=1000.0).evict == ("first",)
    assert "30.0 GiB" in fit("A", Footprint(29 * GIB, GIB), found, there, now=1000.0).reason
    assert "no device C" in fit("C", Footprint(GIB, 0), found, there, now=1000.0).reason


def test_what_is_still_loading_counts_beside_what_is_seen() -> None:
    room = Room(24 * GIB, used=6 * GIB)
    assert room.free(reserved=8 * GIB, coming=8 * GIB) == 24 * GIB - 14 * GIB - int(2.4 * GIB)


def test_what_fits_evicts_nobody() -> None:
    found = fit(GPU, Footprint(8 * GIB, 0), {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}, [], 100.0)
    assert found.possible
    assert found.evict == ()


def test_the_one_whose_going_costs_least_goes() -> None:
    there = [
        resident("dear", 8 * GIB, load_seconds=300.0, last_used=90.0),
        resident("cheap", 8 * GIB, load_seconds=5.0, last_used=10.0),
    ]
    found = fit(GPU, Footprint(8 * GIB, 0), {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}, there, 100.0)
    assert found.evict == ("cheap",)


def test_nobody_goes_whose_memory_is_not_needed() -> None:
    there = [resident("small", GIB, load_seconds=1.0), resident("large", 16 * GIB, load_seconds=100.0)]
    found = fit(GPU, Footprint(16 * GIB, 0), {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}, there, 100.0)
    assert found.evict == ("large",)


def test_who_was_loaded_a_moment_ago_stays_for_the_minimum() -> None:
    there = [resident("new", 16 * GIB, loaded_at=90.0, last_used=90.0)]
    found = fit(GPU, Footprint(16 * GIB, 0), {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}, there, 100.0)
    assert found.possible
    assert found.evict == ()
    assert found.wait == pytest.approx(50.0)


def test_a_more_urgent_wish_does_not_wait_for_the_minimum() -> None:
    there = [resident("new", 16 * GIB, loaded_at=90.0)]
    world = {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}
    assert fit(GPU, Footprint(16 * GIB, 0), world, there, 100.0, rank=10).evict == ("new",)


def test_a_busy_or_pinned_one_is_never_evicted() -> None:
    world = {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}
    busy = fit(GPU, Footprint(16 * GIB, 0), world, [resident("b", 16 * GIB, busy=True)], 100.0, rank=20)
    assert busy.possible
    assert busy.evict == ()
    pinned = fit(GPU, Footprint(16 * GIB, 0), world, [resident("p", 16 * GIB, pinned=True)], 100.0, rank=20)
    assert not pinned.possible
    assert "16.0 GiB" in pinned.reason


def test_what_never_fits_is_said_with_its_numbers() -> None:
    found = fit(GPU, Footprint(40 * GIB, 0), {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}, [], 0.0)
    assert not found.possible
    assert "40.0 GiB" in found.reason
    assert "21.6 GiB" in found.reason


WORLD = {GPU: Room(24 * GIB), MACHINE: Room(32 * GIB)}


def test_what_is_gone_and_not_seen_to_be_gone_is_waited_for_and_nobody_else_goes_for_it() -> None:
    world = {**WORLD, GPU: Room(24 * GIB, used=20 * GIB)}
    there = [resident("idle", 4 * GIB)]
    at_once = fit(GPU, Footprint(16 * GIB, 0), world, there, 100.0, freed_at=100.0)
    assert (at_once.possible, at_once.evict, at_once.wait) == (True, (), 1.0)
    later = fit(GPU, Footprint(16 * GIB, 0), world, there, 100.0, freed_at=80.0)
    assert "5.6 GiB" in later.reason


def test_what_has_to_go_anyway_goes_before_the_figures_are_those_of_now() -> None:
    world = {**WORLD, GPU: Room(24 * GIB, used=20 * GIB)}
    found = fit(GPU, Footprint(18 * GIB, 0), world, [resident("idle", 4 * GIB)], 100.0, freed_at=100.0)
    assert found.evict == ("idle",)


def test_what_is_half_loaded_is_not_counted_twice_against_who_asks() -> None:
    world = {**WORLD, GPU: Room(24 * GIB, used=12 * GIB)}
    loads = resident("loads", 16 * GIB, busy=True, loading=True)
    assert fit(GPU, Footprint(16 * GIB, 0), world, [loads], 100.0).possible


def test_what_goes_already_is_waited_for_and_only_the_rest_is_made_free() -> None:
    going = resident("going", 8 * GIB, busy=True, leaving=True)
    there = [going, resident("idle", 8 * GIB)]
    enough = fit(GPU, Footprint(8 * GIB, 0), WORLD, there, 100.0)
    assert (enough.evict, enough.wait) == ((), 1.0)
    assert fit(GPU, Footprint(16 * GIB, 0), WORLD, there, 100.0).evict == ("idle",)


def test_for_who_is_overdue_those_at_work_go_unless_they_do_what_is_more_urgent() -> None:
    need, work = Footprint(16 * GIB, 0), {"busy": True, "held": True}
    a = resident("a", 16 * GIB, **work)
    assert fit(GPU, need, WORLD, [a], 100.0).evict == ()
    assert fit(GPU, need, WORLD, [a], 100.0, overdue=True).evict == ("a",)
    assert fit(GPU, need, WORLD, [a], 59.0, overdue=True).evict == ()
    assert fit(GPU, need, WORLD, [replace(a, rank=10)], 100.0, overdue=True).evict == ()
    assert fit(GPU, need, WORLD, [replace(a, pinned=True)], 100.0, overdue=True).evict == ()


def test_idle_ones_go_before_those_at_work() -> None:
    there = [
        resident("works", 16 * GIB, busy=True, held=True, load_seconds=1.0),
        resident("idle", 4 * GIB, load_seconds=900.0),
    ]
    assert fit(GPU, Footprint(4 * GIB, 0), WORLD, there, 100.0, overdue=True).evict == ("idle",)


def test_one_that_stays_is_counted_as_if_it_were_pinned() -> None:
    live = resident("live", 16 * GIB)
    found = fit(GPU, Footprint(16 * GIB, 0), WORLD, [live], 100.0, rank=-10, stays="live")
    assert not found.possible
    assert "5.6 GiB" in found.reason


def test_tests_give_way_to_whoever_is_more_urgent() -> None:
    tested = resident("m@2", 16 * GIB, busy=True, held=True, candidate=True, rank=-10, loaded_at=90.0)
    assert fit(GPU, Footprint(16 * GIB, 0), WORLD, [tested], 100.0).evict == ("m@2",)
    assert fit(GPU, Footprint(16 * GIB, 0), WORLD, [tested], 100.0, rank=-10).evict == ()


def test_what_is_seen_at_work_is_never_less_than_weights_and_conversations_nor_than_before() -> None:
    profile, known = Profile(EngineKind.LLAMACPP, context=4096), Footprint(0, 9 * GIB)
    model = manifest()
    least = model.size + kv_bytes(model, profile)
    seen = taken_at_work(model, profile, known, Stats(memory=GIB))
    assert seen == Footprint(0, least, measured=True)
    more = taken_at_work(model, profile, seen, Stats(memory=8 * GIB))
    assert more == Footprint(0, 8 * GIB, measured=True)
    assert taken_at_work(model, profile, more, Stats(memory=7 * GIB)) == more
    assert taken_at_work(model, profile, known, Stats()) is None
    assert taken_at_work(model, replace(profile, device=GPU), known, Stats(8, 8, memory=GIB)) is None


SIZES = st.integers(1, 20)


@given(st.lists(st.tuples(SIZES, st.booleans(), st.booleans(), st.integers(0, 100)), max_size=8), SIZES)
def test_whoever_goes_may_go_and_is_needed(there: list[tuple[int, bool, bool, int]], asked: int) -> None:
    world = {GPU: Room(40 * GIB), MACHINE: Room(32 * GIB)}
    residents = [
        resident(f"m{i}", size * GIB // 2, busy=busy, pinned=pinned, last_used=float(used))
        for i, (size, busy, pinned, used) in enumerate(there)
    ]
    found = fit(GPU, Footprint(asked * GIB, 0), world, residents, 200.0)
    by_name = {one.name: one for one in residents}
    gone = [by_name[name] for name in found.evict]
    assert not any(one.busy or one.pinned for one in gone)
    stay = [one for one in residents if one not in gone]
    room = world[GPU].free(sum(one.footprint.device for one in stay))
    if found.possible and found.wait is None:
        assert asked * GIB <= room
    for one in gone:
        assert asked * GIB > room - one.footprint.device
