"""Cache clusters by the hour, across restarts."""

import asyncio

import pytest
from observing_kit import AT, Watch
from tests.gateway_kit import ACCOUNT, API, REGION

from cumulo.gateway.observing.metering import Cache

HOUR = 3600


@pytest.fixture
def watch(tmp_path):
    watch = Watch(tmp_path)
    watch.caches = [Cache(account=ACCOUNT, region=REGION, api_id=API, size="0.5", since_ms=int(AT * 1000))]
    return watch


def charge(observing):
    asyncio.run(observing._meter.charge())


def test_a_cache_costs_for_as_long_as_it_is_there(watch):
    watch.clock.advance(HOUR)
    charge(watch.observing)
    charge(watch.observing)
    assert watch.usages.total("cache:0.5") == pytest.approx(1)
    watch.clock.advance(HOUR / 2)
    charge(watch.observing)
    (first, second) = watch.usages.kept
    assert (first.resource, first.end_ms, second.start_ms) == (API, second.start_ms, first.end_ms)
    assert watch.usages.total("cache:0.5") == pytest.approx(1.5)


def test_it_costs_also_while_the_server_is_off_and_never_twice(watch):
    watch.clock.advance(HOUR)
    charge(watch.observing)
    watch.clock.advance(HOUR)
    again = watch.made()
    charge(again)
    assert watch.usages.total("cache:0.5") == pytest.approx(2)


def test_a_new_cache_costs_from_its_own_moment_on(watch):
    watch.clock.advance(HOUR)
    charge(watch.observing)
    watch.clock.advance(HOUR)
    watch.caches = [
        Cache(
            account=ACCOUNT, region=REGION, api_id="other", size="237", since_ms=int((AT + 1.5 * HOUR) * 1000)
        )
    ]
    charge(watch.observing)
    assert watch.usages.total("cache:237") == pytest.approx(0.5)


def test_without_caches_nothing_is_written(watch):
    watch.caches = []
    watch.clock.advance(HOUR)
    charge(watch.observing)
    assert watch.usages.kept == []


def test_every_kind_has_a_price():
    from cumulo.gateway.observing import prices
    from cumulo.meter.pricebook import PriceBooks

    book = PriceBooks().of("us-east-1")
    kinds = [prices.REST_REQUESTS, prices.HTTP_REQUESTS, prices.MESSAGES, prices.CONNECTION_MINUTES]
    kinds += [prices.cache_kind(size) for size in ("0.5", "1.6", "6.1", "13.5", "28.4", "58.2", "118", "237")]
    assert all(book.line("apigateway", kind) for kind in kinds)
