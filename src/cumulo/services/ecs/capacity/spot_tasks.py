"""Takes tasks on FARGATE_SPOT away when somebody says so."""

from typing import Final

from cumulo.base.errors import AwsError
from cumulo.services.ecs.model import StopCode, Task
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.seams import Runner

PROVIDER: Final = "FARGATE_SPOT"
REASON: Final = "Your Spot Task was interrupted."


class SpotTasks:
    """As on AWS, the warning is the event of the task and its SIGTERM; `stopTimeout` later, two minutes at most, it ends."""

    def __init__(self, records: Records, runner: Runner) -> None:
        self._records = records
        self._runner = runner

    async def interrupt(self, task_arn: str) -> Task:
        """Interrupt a task.  AwsError InvalidParameterException for one that is not on FARGATE_SPOT, or has stopped."""
        task = self._records.tasks.get(task_arn)
        if task is None:
            raise AwsError("InvalidParameterException", "The referenced task was not found.")
        if task.capacity_provider != PROVIDER or not task.is_live:
            raise invalid(f"The task is not a running task on {PROVIDER}.")
        return await self._runner.stop(task_arn, StopCode.SPOT_INTERRUPTION, REASON) or task
