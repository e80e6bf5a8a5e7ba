"""The page behind `cumulo batch top`: over real environments and queues, the real scheduler, and jobs as the planner makes them."""

import pytest
from tests.batch_capacity_kit import ACCOUNT, REGION, Site

from cumulo.base.clock import millis
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.model import Attempt, Job
from cumulo.services.batch.overview import Overview
from cumulo.services.batch.pace import Pace
from cumulo.services.batch.plan_events import Cancelled, Ended, Seen, Started, Stuck, Submitted
from cumulo.services.batch.scheduling.facts import Need

RED = {"shareDistribution": [{"shareIdentifier": "red*", "weightFactor": 0.25}]}


class Place:
    """A site with an overview over it."""

    def __init__(self, folder):
        self.site = Site(folder)
        clock = self.site.clock
        self.records = JobRecords(self.site.store)
        self.desk = Desk(self.records, clock)
        pace = Pace(clock)
        self.desk.listeners.append(pace.heard)
        house = self.site.house
        self.overview = Overview(
            house.resources, self.records, self.site.scheduler, house.machines, pace, clock
        )

    def submit(self, name, queue, **more):
        job = Job(
            account=ACCOUNT, region=REGION, id=name, name=name, queue=queue, definition="d",
            created_at=millis(self.site.clock), **more,
        )  # fmt: skip
        self.desk.note(Submitted(job))

    def run(self, name, exit_code=None):
        self.desk.note(Started(name, "e"))
        token = self.records.get(name).run.token
        self.desk.note(Seen(job=name, token=token, task="t", running=True))
        if exit_code is not None:
            self.desk.note(Ended(job=name, token=token, attempt=Attempt(task="t", status_reason="over")))

    def jobs(self):
        (queue,) = self.overview.show()["queues"]
        return {status: count for status, count in queue["jobs"].items() if count}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.site.close()


def test_children_count_and_arrays_do_not(place):
    place.site.make()
    queue = place.site.queue()
    place.submit("array", queue, array_size=1000, counts={"SUBMITTED": 1000})
    place.submit("one", queue)
    place.submit("nodes", queue, nodes=3)
    assert place.jobs() == {"RUNNABLE": 1002}
    place.run("array:7")
    place.run("one", 0)
    assert sum(place.jobs().values()) == 1002
    assert place.jobs()["RUNNING"] == 1
    place.desk.note(Cancelled("array", "enough"))
    assert place.jobs()["FAILED"] >= 999


def test_what_happened_is_of_the_last_minute(place):
    place.site.make()
    queue = place.site.queue()
    place.submit("array", queue, array_size=100, counts={"SUBMITTED": 100})
    place.submit("one", queue)
    place.run("one", 0)
    place.desk.note(Cancelled("array", "enough"))

    def minute():
        return place.overview.show()["queues"][0]["minute"]

    told = minute()
    assert (told["submitted"], told["started"]) == (101, 1)
    assert told["succeeded"] + told["failed"] == 101
    place.site.clock.advance(59)
    assert minute() == told
    place.site.clock.advance(1)
    assert not any(minute().values())


def test_the_reason_why_a_queue_stands_still_is_told(place):
    place.site.make()
    queue = place.site.queue()
    place.submit("one", queue)
    place.site.scheduler.submit("one", queue, Need(1000, 128), now=place.site.clock.monotonic())
    assert place.overview.show()["queues"][0]["blocked"] == ""
    place.desk.note(Stuck("one", "MISCONFIGURATION"))
    assert place.overview.show()["queues"][0]["blocked"] == "MISCONFIGURATION"


def test_shares_are_told_with_their_weights(place):
    site = place.site
    site.make()
    policy = site.client.create_scheduling_policy(name="fair", fairsharePolicy=RED)["arn"]
    queue = site.queue(schedulingPolicyArn=policy)
    site.scheduler.submit("a", queue, Need(2000, 128), share="red1", now=site.clock.monotonic())
    site.scheduler.submit("b", queue, Need(2000, 128), share="blue", now=site.clock.monotonic())
    shares = place.overview.show()["queues"][0]["shares"]
    assert {one["share"]: (one["weight"], one["waiting"]) for one in shares} == {
        "red1": (0.25, 1),
        "blue": (1.0, 1),
    }


def test_instances_are_told_from_their_launch_on(place):
    site = place.site
    site.make(resources={"minvCpus": 2})
    site.queue()
    site.decide()

    def instances():
        return place.overview.show()["environments"][0]["instances"]

    (coming,) = instances()
    assert (coming["type"], coming["state"], coming["tasks"]) == ("m5.large", "STARTING", 0)
    site.join()
    (there,) = instances()
    assert (there["id"], there["state"], there["vcpus"], there["free_vcpus"]) == (
        coming["id"],
        "READY",
        2.0,
        2.0,
    )
    site.submit("a", place.overview.show()["queues"][0]["arn"])
    site.decide()
    (busy,) = instances()
    assert (busy["tasks"], busy["free_vcpus"]) == (1, 1.0)
    environment = place.overview.show()["environments"][0]
    assert (environment["vcpus"], environment["used_vcpus"], environment["max_vcpus"]) == (2.0, 1.0, 16)


def test_others_are_left_out_when_somebody_is_named(place):
    place.site.make()
    place.site.queue()
    assert place.overview.show(ACCOUNT, REGION)["queues"]
    assert place.overview.show("999999999999")["queues"] == []
    assert place.overview.show(region="eu-west-9")["environments"] == []
