"""Storage is metered by unique bytes and time."""

import asyncio
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.ecr_rules.rules_kit import FAR, HOME, OTHER, REGION, play

from cumulo.meter.charge import charge
from cumulo.meter.explain import explain
from cumulo.meter.meter import Meter
from cumulo.meter.pricebook import PriceBooks
from cumulo.meter.records import Use, by_hour, counted
from cumulo.meter.units import UNITS
from cumulo.meter.views import bill_json, parse_query
from cumulo.services.ecr import metering
from cumulo.services.ecr.metering import (
    ARCHIVE,
    GIB,
    STANDARD,
    Blob,
    Place,
    StorageMeter,
    holdings,
    spans,
    usages,
)
from cumulo.state.journal import Journal

APRIL = 1_775_001_600.0  # 2026-04-01T00:00:00Z; it has 30 days
DAY = 86_400.0


def arns(blobs):
    return {(b.account, b.region, b.repository): f"arn:{b.repository}" for b in blobs}


def total(records, kind=STANDARD):
    return sum(record.quantity for record in records if record.kind == kind)


def test_the_same_gigabyte_in_three_repositories_for_half_a_month_is_half_a_gb_month():
    blobs = [Blob(HOME, REGION, name, "sha256:1", GIB, archived=False) for name in ("a", "b", "c")]
    records = usages(holdings(blobs, arns(blobs)), APRIL, APRIL + 15 * DAY)
    assert abs(total(records) - 0.5) < 1e-9
    assert sorted(record.resource for record in records) == ["arn:a", "arn:b", "arn:c"]
    charges = charge(as_uses(records), PriceBooks().of)
    assert abs(float(sum(found.amount for found in charges)) - 0.05) < 1e-9
    assert "GB-months" in explain(charges[0])
    assert "$0.10" in explain(charges[0])


def as_uses(records):
    """Usage as the meter keeps it."""
    scale = UNITS["GB-month"].atoms
    kept = Counter()
    for record in records:
        for hour, atoms in by_hour(record.start_ms, record.end_ms, counted(record, scale)):
            kept[record.account, record.region, record.service, record.kind, record.resource, hour] += atoms
    return [Use(*key, scale, atoms) for key, atoms in kept.items()]


def test_months_differ_in_length_and_an_interval_is_cut_at_their_ends():
    held = {Place(HOME, REGION, "arn:a", STANDARD): GIB}
    records = usages(held, APRIL - 31 * DAY, APRIL + 30 * DAY)
    assert [round(record.quantity, 12) for record in records] == [1.0, 1.0]
    assert records[0].end_ms == records[1].start_ms == APRIL * 1000


def test_a_registry_has_its_own_copy_and_the_archive_its_own_price():
    blobs = [
        Blob(HOME, REGION, "a", "sha256:1", GIB, archived=False),
        Blob(HOME, FAR, "a", "sha256:1", GIB, archived=False),
        Blob(OTHER, REGION, "a", "sha256:1", GIB, archived=True),
        Blob(HOME, REGION, "b", "sha256:2", GIB, archived=True),
        Blob(HOME, REGION, "b", "sha256:1", GIB, archived=True),
    ]
    held = holdings(blobs, arns(blobs))
    kinds = Counter()
    for place, size in held.items():
        kinds[place.account, place.region, place.kind] += size
    assert kinds == {
        (HOME, REGION, STANDARD): GIB,  # active in one place is active
        (HOME, REGION, ARCHIVE): GIB,
        (HOME, FAR, STANDARD): GIB,
        (OTHER, REGION, ARCHIVE): GIB,
    }


SIZES = {f"sha256:{n}": n * 1000 + 7 for n in range(6)}
BLOBS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(SIZES)), st.booleans()).map(
        lambda found: Blob(HOME, REGION, found[0], found[1], SIZES[found[1]], found[2])
    ),
    max_size=30,
)


@given(BLOBS)
def test_shares_make_the_sum_of_the_unique_bytes(blobs):
    held = holdings(blobs, arns(blobs))
    assert sum(held.values()) == sum(SIZES[digest] for digest in {blob.digest for blob in blobs})
    assert holdings(list(reversed(blobs)), arns(blobs)) == held


@given(
    st.floats(0, 4e9), st.floats(0, 400 * DAY), st.lists(st.floats(0, 1), max_size=5), st.integers(1, 1 << 45)
)
def test_however_time_is_cut_the_integral_is_the_same(start, length, cuts, size):
    held = {Place(HOME, REGION, "arn:a", STANDARD): size}
    moments = sorted([start, start + length, *(start + length * cut for cut in cuts)])
    whole = total(usages(held, start, start + length))
    parts = sum(total(usages(held, a, b)) for a, b in pairwise(moments))
    assert abs(whole - parts) <= 1e-6 * max(1.0, whole)
    assert abs(sum(b - a for a, b, _ in spans(start, start + length)) - length) < 1e-3


def test_what_is_pushed_is_metered_over_time_and_over_a_kill(tmp_path):
    async def story(it):
        it.clock.advance(APRIL - it.clock.now())
        await it.meter.start()
        one = await it.create("one")
        image = await it.push(one, "v1", layers=[b"x" * 4096])
        await it.push(await it.create("two"), "v1", layers=[b"x" * 4096])
        await it.meter.turn()
        unique = 4096 + len(b'{"seed": "1"}') + image.manifest_bytes
        it.clock.advance(3 * DAY)
        await it.reopen()  # a kill: nothing was recorded meanwhile
        await it.meter.start()
        assert abs(total(it.sink.records) * GIB / unique - 0.1) < 1e-9
        await it.catalog.change_image(
            replace(image, status="ARCHIVED", archived_at=it.clock.now()), "archived"
        )
        await it.catalog.delete([it.has("two", "v1")])
        await it.meter.turn()
        it.clock.advance(3 * DAY)
        await it.meter.turn()
        assert abs(total(it.sink.records) * GIB / unique - 0.1) < 1e-9
        assert abs(total(it.sink.records, ARCHIVE) * GIB / unique - 0.1) < 1e-9
        await it.catalog.remove(one, force=True)
        await it.meter.turn()
        count = len(it.sink.records)
        it.clock.advance(DAY)
        await it.meter.turn()
        assert len(it.sink.records) == count

    play(tmp_path, story)


def test_the_bill_shows_and_explains_what_ecr_stores(tmp_path):
    async def story(it):
        it.clock.advance(APRIL - it.clock.now())
        journal = Journal(tmp_path / "journal", it.store)
        meter = Meter(it.store, journal, it.clock, PriceBooks())
        storage = StorageMeter(it.store, it.clock, meter, it.catalog, it.layers)
        it.catalog.listeners.append(storage.heard)
        await storage.start()
        for name in ("one", "two"):
            await it.push(await it.create(name), "v1", layers=[b"x" * 3_000_000])
        await storage.turn()
        it.clock.advance(15 * DAY)
        await storage.record()
        image = it.has("one", "v1")
        await it.call(
            "UpdateImageStorageClass",
            repositoryName="one",
            imageId={"imageDigest": image.digest},
            targetStorageClass="ARCHIVE",
        )
        await it.call(
            "UpdateImageStorageClass",
            repositoryName="one",
            imageId={"imageDigest": image.digest},
            targetStorageClass="STANDARD",
        )
        bill = await bill_json(meter, parse_query("explain=1&service=ecr", it.clock.now()))
        lines = {(line["kind"], line["resource"].rpartition("/")[2]): line for line in bill["lines"]}
        assert set(lines) == {("storage", "one"), ("storage", "two"), ("archive_restore", "one")}
        unique = (image.size_bytes + image.manifest_bytes) / GIB
        billed = sum(float(line["quantity"]) for (kind, _), line in lines.items() if kind == "storage")
        assert abs(billed - unique / 2) < 1e-8
        assert "GB-months x $0.10 = $" in lines["storage", "one"]["explain"]
        assert "GB x $0.03 = $" in lines["archive_restore", "one"]["explain"]
        await journal.close()

    play(tmp_path, story)


def test_running_records_after_every_change_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "SETTLE_SECONDS", 0.0)

    async def story(it):
        repository = await it.create()
        await it.push(repository, "v1")
        await it.meter.start()
        running = asyncio.ensure_future(it.meter.run())
        await asyncio.sleep(0)
        for number in range(1, 4):
            it.clock.advance(DAY)
            await it.push(repository, f"v{number + 1}", seed=b"%d" % number)
            await it.sink.wait(number)
        it.clock.advance(DAY)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        moments = [(record.start_ms, record.end_ms) for record in it.sink.records]
        assert [end - start for start, end in moments] == [DAY * 1000] * 4
        assert [first[1] for first in moments[:-1]] == [later[0] for later in moments[1:]]
        sizes = [record.quantity for record in it.sink.records]
        assert sizes == sorted(sizes), "more is held from day to day"

    play(tmp_path, story)
