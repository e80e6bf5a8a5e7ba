"""Job definitions and jobs of Batch behind a real door, with queues that are simply there, on a clock that stands still."""

import asyncio
import contextlib

import pytest
from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.definitions import Definitions
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.job_ending import JobEnding
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.job_submission import JobSubmission
from cumulo.services.batch.jobs import Jobs
from cumulo.services.batch.model import Attempt, AttemptContainer, JobQueue
from cumulo.services.batch.plan_events import Ended, Order, Seen, Started, Stop, Submit, SubmitArray
from cumulo.state.store import Store
from cumulo.wire import service as wire

ACCOUNT, REGION = "123456789012", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/execution"
CONTAINER = {"image": "busybox", "vcpus": 1, "memory": 128}
FARGATE = {
    "image": "busybox",
    "executionRoleArn": ROLE,
    "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
}
EXITED = "Essential container in task exited"


class FakeQueues:
    """Queues by name; `fargate` is one on Fargate, `fair` has a policy."""

    def __init__(self):
        self.known = {}
        for name in ("queue", "other", "fargate", "fair", "disabled", "invalid"):
            self.known[name] = JobQueue(
                account=ACCOUNT,
                region=REGION,
                name=name,
                priority=1,
                environments=("e",),
                state="DISABLED" if name == "disabled" else "ENABLED",
                status="INVALID" if name == "invalid" else "VALID",
                policy="arn:policy" if name == "fair" else "",
            )

    def find(self, account, region, text):
        found = self.known.get(text.rpartition("/")[2] if text.startswith("arn:") else text)
        return found if found and (found.account, found.region) == (account, region) else None

    def platforms(self, queue):
        return frozenset({"FARGATE" if queue.name == "fargate" else "EC2"})


class Cloud:
    """Everything of jobs; its tasks are what a test says."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.queues = FakeQueues()
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.records = JobRecords(self.store)
        self.definitions = DefinitionRecords(self.store)
        self.desk = Desk(self.records, self.clock)
        self.actions = []
        self.changes = []
        self.desk.listeners.append(self._heard)
        parts = (
            Definitions(self.definitions, self.clock),
            JobSubmission(self.desk, self.definitions, self.queues, clock=self.clock, ids=Ids()),
            Jobs(self.records, self.definitions, self.queues),
            JobEnding(self.desk),
        )
        operations = {name: one for part in parts for name, one in part.operations().items()}
        self.door = a_door(
            {"batch": wire.Service("batch", operations)},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        self.client = self.client_of(ACCOUNT)

    def _heard(self, outcome):
        self.actions += outcome.actions
        self.changes += [(one.job.id, one.before, one.job.status) for one in outcome.changes if not one.rest]

    def reopen(self):
        asyncio.run(self.store.close())
        self.open()

    def client_of(self, account, region=REGION):
        return client_of("batch", self.door, account, region)

    # -- clients ---------------------------------------------------------------------------------------------

    def register(self, name="work", container=None, **values):
        return self.client.register_job_definition(
            jobDefinitionName=name,
            type="container",
            containerProperties={**CONTAINER, **(container or {})},
            **values,
        )

    def submit(self, name="job", definition="work", queue="queue", **values):
        return self.client.submit_job(jobName=name, jobQueue=queue, jobDefinition=definition, **values)[
            "jobId"
        ]

    def show(self, job_id):
        (found,) = self.client.describe_jobs(jobs=[job_id])["jobs"]
        return found

    def status(self, job_id):
        return self.show(job_id)["status"]

    def listed(self, **values):
        return [one["jobId"] for one in self.client.list_jobs(**values)["jobSummaryList"]]

    # -- what befalls jobs -----------------------------------------------------------------------------------

    def start(self, job_id, instances=("",)):
        self.desk.note(Started(job_id, "arn:environment", instances))

    def run(self, job_id, **facts):
        token = self.records.get(job_id).run.token
        self.desk.note(Seen(job=job_id, token=token, running=True, task=f"arn:task/{job_id}", **facts))

    def end(self, job_id, code=0, *, status_reason=EXITED, reason="", containers=None, essential=()):
        token = self.records.get(job_id).run.token
        ends = containers or (AttemptContainer(exit_code=code, reason=reason, log_stream="work/default/1"),)
        attempt = Attempt(
            task=f"arn:task/{job_id}",
            status_reason=status_reason,
            containers=ends,
            started_at=1,
            stopped_at=int(self.clock.now() * 1000),
        )
        self.desk.note(Ended(job=job_id, token=token, attempt=attempt, essential=essential))

    def whole_run(self, job_id, code=0, **more):
        self.start(job_id)
        self.run(job_id)
        self.end(job_id, code, **more)

    def submitted(self):
        """What the scheduler was told is RUNNABLE, since last asked."""
        told = [one for one in self.actions if isinstance(one, Submit | SubmitArray)]
        self.actions.clear()
        return [one.job for one in told]

    def stops(self):
        return [(one.job, one.reason) for one in self.actions if isinstance(one, Stop)]

    def orders(self):
        return [one.job for one in self.actions if isinstance(one, Order)]


@contextlib.contextmanager
def cloud(path):
    """A cloud that is closed at the end."""
    made = Cloud(path)
    try:
        yield made
    finally:
        asyncio.run(made.store.close())


def refused(call, sentence, code="ClientException", **values):
    """The sentence of the error that a call gets."""
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert sentence in error["Message"], error["Message"]
    return error["Message"]
