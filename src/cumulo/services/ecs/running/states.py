"""The life of a task as a table."""

from enum import StrEnum

from cumulo.base.machine import Machine
from cumulo.services.ecs.model import TaskStatus


class TaskEvent(StrEnum):
    """What moves a task on."""

    TAKEN = "taken up"
    STARTED = "every container was started"
    ATTACHED = "load balancers and discovery know it"
    STOP = "it is wanted stopped"
    HOST_GONE = "its machine is gone"
    DETACHED = "nobody sends it anything any more"
    ENDED = "every container has ended"
    RELEASED = "its pods are removed"


_S, _E = TaskStatus, TaskEvent

LIFE = Machine(
    name="task",
    start=_S.PROVISIONING,
    moves={
        (_S.PROVISIONING, _E.TAKEN): _S.PENDING,
        (_S.PROVISIONING, _E.STOP): _S.DEPROVISIONING,
        (_S.PROVISIONING, _E.HOST_GONE): _S.DEPROVISIONING,
        (_S.PENDING, _E.STARTED): _S.ACTIVATING,
        (_S.PENDING, _E.STOP): _S.STOPPING,
        (_S.PENDING, _E.HOST_GONE): _S.STOPPING,
        (_S.ACTIVATING, _E.ATTACHED): _S.RUNNING,
        (_S.ACTIVATING, _E.STOP): _S.DEACTIVATING,
        (_S.ACTIVATING, _E.HOST_GONE): _S.STOPPING,
        (_S.RUNNING, _E.STOP): _S.DEACTIVATING,
        (_S.RUNNING, _E.HOST_GONE): _S.STOPPING,
        (_S.DEACTIVATING, _E.DETACHED): _S.STOPPING,
        (_S.DEACTIVATING, _E.ENDED): _S.STOPPING,
        (_S.DEACTIVATING, _E.HOST_GONE): _S.STOPPING,
        (_S.STOPPING, _E.ENDED): _S.DEPROVISIONING,
        (_S.DEPROVISIONING, _E.RELEASED): _S.STOPPED,
    },
)
