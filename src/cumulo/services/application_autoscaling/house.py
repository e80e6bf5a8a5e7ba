"""Application Auto Scaling, whole: the API and the loop that scales; app.py builds one."""

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports import ScalableServices
from cumulo.base.ports.metrics import Alarms, Metrics
from cumulo.services.application_autoscaling.plan import Patience
from cumulo.services.application_autoscaling.policies import Policies
from cumulo.services.application_autoscaling.records import Records
from cumulo.services.application_autoscaling.run import Scaler
from cumulo.services.application_autoscaling.scheduled import Scheduled
from cumulo.services.application_autoscaling.targets import Targets
from cumulo.state.store import Store
from cumulo.wire.service import Service

NAME = "application-autoscaling"


class ScalingHouse:
    """Everything of Application Auto Scaling.  `run` beside the server."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        services: ScalableServices,
        metrics: Metrics,
        alarms: Alarms,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        self._store = store
        self._records = Records(store)
        self._targets = Targets(self._records, clock, ids, services=services, alarms=alarms)
        self._policies = Policies(self._records, clock, ids, alarms=alarms, patience=patience)
        self._scheduled = Scheduled(self._records, clock, ids)
        self.scaler = Scaler(
            self._records, clock, ids, services=services, metrics=metrics, alarms=alarms, patience=patience
        )

    def service(self) -> Service:
        """As the door wants it."""
        operations = {
            **self._targets.operations(),
            **self._policies.operations(),
            **self._scheduled.operations(),
        }
        return Service(NAME, operations)

    async def run(self) -> None:
        """Scale, for ever."""
        await self.scaler.run()

    async def reset(self) -> None:
        """Forget everything."""
        self._records.clear()
        await self._store.commit()
