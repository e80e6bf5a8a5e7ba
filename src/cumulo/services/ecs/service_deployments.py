"""The history of services' deployments and revisions; and how a client stops a deployment."""

from collections.abc import Callable, Mapping

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.arns import last_part
from cumulo.services.ecs.clusters import find_cluster
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import Service
from cumulo.services.ecs.records import Records, service_key
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.scheduling import rollout, sentences
from cumulo.services.ecs.scheduling.model import Announcement, Deployment, Progress
from cumulo.services.ecs.scheduling.run import Scheduler
from cumulo.services.ecs.scheduling.shelves import Book
from cumulo.services.ecs.service_views import ServiceViews
from cumulo.wire.service import Operation, Values

DESCRIBED_MAX = 20
LISTED_DEFAULT = 20
_BY_USER = "Service deployment rolled back because of a request of the user."


class ServiceDeployments:
    """The operations."""

    def __init__(
        self, records: Records, book: Book, views: ServiceViews, scheduler: Scheduler, clock: Clock
    ) -> None:
        self._records = records
        self._book = book
        self._views = views
        self._scheduler = scheduler
        self._clock = clock

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "DescribeServiceDeployments": Operation(self.describe),
            "ListServiceDeployments": Operation(self.list_),
            "StopServiceDeployment": Operation(self.stop),
            "ContinueServiceDeployment": Operation(
                self.continue_, note="there are no hooks that pause deployments"
            ),
            "DescribeServiceRevisions": Operation(self.describe_revisions),
        }

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeServiceDeployments."""
        found, failures = self._many(caller, values["serviceDeploymentArns"], "arn", self._views.history)
        return {"serviceDeployments": found, "failures": failures}

    async def describe_revisions(self, caller: Caller, values: Values) -> Values | None:
        """DescribeServiceRevisions."""
        asked = values["serviceRevisionArns"]
        found, failures = self._many(caller, asked, "revision", self._views.revision)
        return {"serviceRevisions": found, "failures": failures}

    def _many(
        self, caller: Caller, arns: list[str], index: str, view: Callable[[Service, Deployment], Values]
    ) -> tuple[list[Values], list[Values]]:
        if not arns:
            raise invalid("The list of ARNs can not be empty.")
        if len(arns) > DESCRIBED_MAX:
            raise invalid(f"You can describe at most {DESCRIBED_MAX} at once.")
        found, failures = [], []
        for arn in dict.fromkeys(arns):
            pair = self._pair(caller, arn, index)
            if pair is None:
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                found.append(view(*pair))
        return found, failures

    def _pair(self, caller: Caller, arn: str, index: str) -> tuple[Service, Deployment] | None:
        for deployment in self._book.deployments.by(index, arn):
            services = self._records.services.by("arn", deployment.service_arn)
            if services and (services[0].account, services[0].region) == (caller.account, caller.region):
                return services[0], deployment
        return None

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListServiceDeployments, the newest first."""
        cluster = find_cluster(self._records, caller, values.get("cluster"))
        service = self._records.services.get(service_key(cluster.arn, last_part(values["service"])))
        if service is None or service.status == "INACTIVE":
            raise AwsError("ServiceNotFoundException", "Service not found.")
        wanted = values.get("status")
        created = values.get("createdAt", {})
        found = [
            one
            for one in reversed(self._book.history(service.arn))
            if (not wanted or one.progress in wanted)
            and one.created_at <= created.get("before", one.created_at)
            and one.created_at >= created.get("after", one.created_at)
        ]
        page, token = one_page(
            found,
            lambda one: f"{one.number:08d}",
            {"maxResults": LISTED_DEFAULT, **values},
            backwards=True,
        )
        return {"serviceDeployments": [self._views.brief(service, one) for one in page], "nextToken": token}

    async def stop(self, caller: Caller, values: Values) -> Values | None:
        """StopServiceDeployment: back to the last deployment that was complete, or (ABORT) stay as it is."""
        service, deployment = self._ongoing(caller, values["serviceDeploymentArn"])
        await self._records.store.ready()
        service, deployment = self._ongoing(caller, values["serviceDeploymentArn"])
        now = self._clock.now()
        if values.get("stopType", "ROLLBACK") == "ABORT":
            self._book.deployments.put(rollout.abort(deployment, now))
        else:
            self._roll_back(service, deployment, now)
        self._scheduler.wake(service)
        await self._records.store.commit()
        return {"serviceDeploymentArn": deployment.arn}

    def _roll_back(self, service: Service, deployment: Deployment, now: float) -> None:
        to = self._scheduler.fallback(service)
        if to is None:
            raise AwsError(
                "ConflictException",
                sentences.NO_CANDIDATE,
            )
        loser, winner = rollout.roll_back(deployment, to, why=_BY_USER, tripped=False, threshold=0, now=now)
        self._book.deployments.put(loser)
        self._book.deployments.put(winner)
        self._records.services.put(rollout.applied(service, winner))
        telling = self._scheduler.telling
        telling.say(service.arn, service.name, f"rolling back to deployment {to.id}.")
        telling.announce(
            service.arn,
            Announcement(
                detail_type="ECS Deployment State Change",
                kind="INFO",
                name="SERVICE_DEPLOYMENT_IN_PROGRESS",
                at=now,
                deployment=winner.id,
                reason=winner.reason,
            ),
        )

    def _ongoing(self, caller: Caller, arn: str) -> tuple[Service, Deployment]:
        """A deployment that can be stopped.  AwsError."""
        service, deployment = self._one(caller, arn)
        under_way = {Progress.PENDING, Progress.IN_PROGRESS}
        if deployment.progress not in under_way or deployment.status != "PRIMARY":
            raise AwsError(
                "ConflictException",
                f"The service deployment can't be stopped because it is in the {deployment.progress} state.",
            )
        return service, deployment

    def _one(self, caller: Caller, arn: str) -> tuple[Service, Deployment]:
        pair = self._pair(caller, arn, "arn")
        if pair is None:
            raise AwsError("ServiceDeploymentNotFoundException", "Service deployment not found.")
        return pair

    async def continue_(self, caller: Caller, values: Values) -> Values | None:
        """ContinueServiceDeployment: no deployment of ours waits at a hook."""
        self._one(caller, values["serviceDeploymentArn"])
        raise invalid(f"The lifecycle hook {values['hookId']} is not awaiting an action.")
