"""Why a task cannot be started, in the words that its stopped reason has."""


class CannotStart(Exception):
    """A task cannot be brought up.

    reason       of the container, or of the task when it is no container's: `CannotPullContainerError: ...`
    task_reason  empty: `Task failed to start`, or the reason when it is no container's
    """

    def __init__(self, reason: str, *, container: str = "", task_reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.container = container
        self.task_reason = task_reason or ("Task failed to start" if container else reason)


def cannot_create(reason: str, container: str = "") -> CannotStart:
    """What is asked for cannot be made here."""
    return CannotStart(f"CannotCreateContainerError: {reason}", container=container)
