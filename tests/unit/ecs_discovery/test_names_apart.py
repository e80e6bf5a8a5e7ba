"""Names in a cloud that many share: no account poses as another, or as somebody in the world."""

import pytest

from cumulo.engines.local import dns
from cumulo.engines.local.names import Names
from cumulo.services.ecs.discovery import names

MINE, THEIRS = "111122223333", "444455556666"


def test_a_name_of_one_account_is_told():
    assert names.apart({MINE: {"web.shop.local": ["10.9.0.2"]}}) == {"web.shop.local": ["10.9.0.2"]}


def test_a_name_that_two_accounts_claim_is_told_to_nobody_however_it_is_written():
    given = {
        MINE: {"db.shop.local": ["10.9.0.2"]},
        THEIRS: {"DB.shop.local.": ["10.9.0.66"], "x.y.internal": []},
    }
    assert names.apart(given) == {"x.y.internal": []}


@pytest.mark.parametrize(
    "name",
    ["sts.amazonaws.com", "s3.us-east-1.amazonaws.com", "api.github.com", "localhost", "elb.localhost",
     "front-1.us-east-1.elb.localhost", "host.docker.internal.", "com", "local", "local.", "example.com"],
)  # fmt: skip
def test_nobody_in_the_world_can_be_posed_as(name: str):
    told = names.apart({THEIRS: {name: ["10.9.0.66"]}})
    assert set(told) <= {"host.docker.internal."}, "that one the engine itself defends"


def test_what_leads_to_the_host_cannot_be_published():
    table = Names(("host.docker.internal",))
    table.publish("ecs", {"host.docker.internal": ["10.9.0.66"]})
    table.serve(9)
    found = table._find(dns.labels("HOST.docker.internal."))
    assert found == [bytes((10, 9, 0, 1))]
