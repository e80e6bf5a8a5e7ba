"""What the gateway is told about keys: who is let in, how quickly, how often; and what of it is kept."""

import asyncio

import pytest
from tests.unit.apigateway.rest_kit import patch, refused

from cumulo.gateway.visit import Refused

VALUE = "a-value-of-twenty-or-more-characters"
DAY = 86_400
MIDNIGHT = 1_700_006_400.0  # Wednesday, 15 November 2023


@pytest.fixture
def gate(cloud):
    cloud.clock.advance(MIDNIGHT - cloud.clock.now())
    return Gate(cloud)


class Gate:
    def __init__(self, cloud):
        self.cloud = cloud
        self.client = cloud.client
        self.api_id, *_ = cloud.deployed()
        self.key = cloud.client.create_api_key(name="mine", value=VALUE, enabled=True)["id"]

    def plan(self, **more):
        made = self.client.create_usage_plan(
            name="plan", apiStages=[{"apiId": self.api_id, "stage": "dev"}], **more
        )["id"]
        self.client.create_usage_plan_key(usagePlanId=made, keyId=self.key, keyType="API_KEY")
        return made

    def ask(self, value=VALUE, path="/pets", method="GET"):
        place = self.cloud.published.find(self.api_id, "dev").place
        try:
            return self.cloud.house.plans.admit(place, value, path=path, method=method)
        except Refused as refusal:
            return refusal.kind

    def passed(self, times, **more):
        return sum(not isinstance(self.ask(**more), str) for _ in range(times))

    def usage(self, plan, first, last=None):
        return self.client.get_usage(usagePlanId=plan, startDate=first, endDate=last or first)["items"]

    def flush(self):
        asyncio.run(self.cloud.house.flush())


def test_a_key_of_a_plan_of_the_stage_is_let_in(gate):
    plan = gate.plan()
    use = gate.ask()
    assert (use.key_id, use.plan_id) == (gate.key, plan)


@pytest.mark.parametrize("value", ["", "wrong", VALUE[:-1], VALUE.upper()])
def test_other_values_are_not(gate, value):
    gate.plan()
    assert gate.ask(value) == "INVALID_API_KEY"


def test_a_key_without_a_plan_is_not_unless_the_stage_is_its_own(gate):
    assert gate.ask() == "INVALID_API_KEY"
    gate.client.update_api_key(
        apiKey=gate.key, patchOperations=[patch("add", "/stages", f"{gate.api_id}/dev")]
    )
    assert gate.ask().plan_id == ""


def test_changes_count_at_once(gate):
    plan = gate.plan()
    assert gate.ask().plan_id == plan
    gate.client.update_api_key(apiKey=gate.key, patchOperations=[patch("replace", "/enabled", "false")])
    assert gate.ask() == "INVALID_API_KEY"
    gate.client.update_api_key(apiKey=gate.key, patchOperations=[patch("replace", "/enabled", "true")])
    assert gate.ask().plan_id == plan
    gate.client.delete_usage_plan_key(usagePlanId=plan, keyId=gate.key)
    assert gate.ask() == "INVALID_API_KEY"


def test_a_key_of_another_account_is_not_let_in(gate):
    gate.plan()
    other = gate.cloud.client_of("210987654321")
    other.create_api_key(name="theirs", value="their-own-value-of-20-characters", enabled=True)
    assert gate.ask("their-own-value-of-20-characters") == "INVALID_API_KEY"


def test_a_burst_passes_and_then_the_rate(gate):
    gate.plan(throttle={"rateLimit": 2.0, "burstLimit": 3})
    assert gate.passed(10) == 3
    assert gate.ask() == "THROTTLED"
    gate.cloud.clock.advance(1)
    assert gate.passed(10) == 2


def test_a_method_of_its_own_throttle_has_its_own_bucket(gate):
    plan = gate.plan(throttle={"rateLimit": 1.0, "burstLimit": 2})
    base = f"/apiStages/{gate.api_id}:dev/throttle/~1pets/GET"
    gate.client.update_usage_plan(
        usagePlanId=plan,
        patchOperations=[
            patch("replace", f"{base}/rateLimit", "1"),
            patch("replace", f"{base}/burstLimit", "5"),
        ],
    )
    assert gate.passed(10) == 5
    assert gate.passed(10, path="/other") == 2


def test_what_is_throttled_costs_no_quota(gate):
    gate.plan(throttle={"rateLimit": 1.0, "burstLimit": 1}, quota={"limit": 2, "period": "DAY"})
    assert gate.passed(5) == 1
    gate.cloud.clock.advance(1)
    assert gate.passed(5) == 1
    gate.cloud.clock.advance(1)
    assert gate.ask() == "QUOTA_EXCEEDED"


def test_a_quota_begins_anew_with_its_period(gate):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    assert gate.passed(5) == 3
    assert gate.ask() == "QUOTA_EXCEEDED"
    gate.cloud.clock.advance(DAY)
    assert gate.passed(5) == 3
    assert gate.usage(plan, "2023-11-15", "2023-11-17") == {gate.key: [[3, 0], [3, 0], [0, 3]]}


def test_a_week_is_counted_over_its_days(gate):
    plan = gate.plan(quota={"limit": 5, "period": "WEEK"})
    assert gate.passed(2) == 2
    gate.cloud.clock.advance(DAY)
    assert gate.passed(2) == 2
    gate.cloud.clock.advance(DAY)
    assert gate.passed(9) == 1
    assert gate.usage(plan, "2023-11-15", "2023-11-17") == {gate.key: [[2, 3], [2, 1], [1, 0]]}
    gate.cloud.clock.advance(2 * DAY)  # Sunday
    assert gate.passed(9) == 5


def test_what_was_written_down_counts_after_a_restart(gate):
    plan = gate.plan(quota={"limit": 5, "period": "MONTH"})
    gate.passed(3)
    gate.flush()
    gate.cloud.reopen()
    assert gate.passed(9) == 2
    gate.client = gate.cloud.client
    assert gate.usage(plan, "2023-11-15") == {gate.key: [[5, 0]]}


def test_closing_writes_down_the_last_of_it(gate):
    gate.plan(quota={"limit": 5, "period": "MONTH"})
    gate.passed(3)
    asyncio.run(gate.cloud.house.close())
    gate.cloud.reopen()
    assert gate.passed(9) == 2


def test_more_is_left_when_that_is_asked_for(gate):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    gate.passed(3)
    shown = gate.client.update_usage(
        usagePlanId=plan, keyId=gate.key, patchOperations=[patch("replace", "/remaining", "2")]
    )
    assert shown["items"] == {gate.key: [[3, 2]]}
    assert (shown["startDate"], shown["endDate"]) == ("2023-11-15", "2023-11-15")
    assert gate.passed(9) == 2
    gate.flush()
    gate.cloud.reopen()
    assert gate.passed(9) == 0
    gate.cloud.clock.advance(DAY)
    assert gate.passed(9) == 3


def test_another_quota_counts_from_what_was_used(gate):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    gate.passed(2)
    gate.client.update_usage_plan(
        usagePlanId=plan,
        patchOperations=[patch("replace", "/quota/limit", "4"), patch("replace", "/quota/period", "MONTH")],
    )
    assert gate.passed(9) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"startDate": "yesterday", "endDate": "2023-11-15"},
        {"startDate": "2023-11-16", "endDate": "2023-11-15"},
        {"startDate": "2023-01-01", "endDate": "2023-11-15"},
        {"startDate": "2023-11-15", "endDate": "2023-11-31"},
    ],
)
def test_days_that_are_none_are_refused(gate, query):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    assert refused(gate.client.get_usage, usagePlanId=plan, **query)[0] == "BadRequestException"


@pytest.mark.parametrize("value", ["-1", "many", "99999999999999999999"])
def test_what_cannot_be_left_is_refused(gate, value):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    asked = refused(
        gate.client.update_usage,
        usagePlanId=plan,
        keyId=gate.key,
        patchOperations=[patch("replace", "/remaining", value)],
    )
    assert asked[0] == "BadRequestException"


def test_usage_of_one_key_alone(gate):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    asked = {"usagePlanId": plan, "startDate": "2023-11-15", "endDate": "2023-11-15"}
    assert gate.client.get_usage(**asked, keyId=gate.key)["items"] == {gate.key: [[0, 3]]}
    assert gate.client.get_usage(**asked, keyId="other").get("items", {}) == {}


def test_what_is_shown_of_usage_is_written_down(gate):
    plan = gate.plan(quota={"limit": 3, "period": "DAY"})
    gate.passed(2)
    assert gate.usage(plan, "2023-11-15") == {gate.key: [[2, 1]]}
    assert [one.used for one in gate.cloud.house.records.uses.all()] == [2]
    assert not gate.cloud.house._counting.flush(), "nothing is left to be written"
    assert gate.usage(plan, "2023-11-14", "2023-11-16") == {gate.key: [[0, 3], [2, 1], [0, 3]]}


def test_wrong_keys_are_never_kept(gate):
    gate.plan()
    for at in range(1000):
        gate.ask(f"wrong-{at}")
    assert len(gate.cloud.house.plans._admissions) == 0
