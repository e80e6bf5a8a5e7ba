"""Where a task is reached at a port of one of its containers.  Pure."""

from cumulo.services.ecs.model import ContainerInstance, Document, Task, TaskDefinition

Place = tuple[str, int]


def address_of(task: Task, definition: TaskDefinition, instance: ContainerInstance | None) -> str:
    """Its own address, or that of its container instance; empty when there is none yet."""
    if definition.network_mode == "awsvpc":
        return task.private_ip
    return instance.address if instance is not None else ""


def place_of(
    task: Task,
    definition: TaskDefinition,
    instance: ContainerInstance | None,
    container: str,
    container_port: int,
) -> Place | None:
    """Address and port; None when it cannot be reached there (yet)."""
    address = address_of(task, definition, instance)
    if not address:
        return None
    if definition.network_mode != "bridge":
        return address, container_port
    for one in task.containers:
        for binding in one.bindings if one.name == container else ():
            if binding.get("containerPort") == container_port and binding.get("protocol", "tcp") == "tcp":
                return address, int(binding["hostPort"])
    return None


def named_port(definition: TaskDefinition, name: str) -> tuple[str, Document] | None:
    """The port mapping of that name, with its container's name."""
    for container in definition.containers:
        for mapping in container.get("portMappings", ()):
            if mapping.get("name") == name:
                return str(container["name"]), mapping
    return None
