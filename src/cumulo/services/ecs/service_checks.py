"""What a service may be: everything that the API's model does not say.  Pure, but for the target groups it asks for."""

import re
from collections.abc import Mapping

from cumulo.base.errors import not_implemented
from cumulo.base.ports.targets import TargetGroup, TargetGroups
from cumulo.services.ecs.model import Document, Service, TaskDefinition
from cumulo.services.ecs.places import rules_of
from cumulo.services.ecs.refusals import invalid
from cumulo.services.ecs.strategies import is_fargate
from cumulo.services.ecs.terms import check_compatible, network_of, platform_of
from cumulo.wire.service import Values

DESIRED_MAX = 5000
BALANCERS_MAX = 5
GRACE_MAX = 2_147_483_647
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_LAUNCH_TYPES_LACKING = frozenset({"EXTERNAL", "MANAGED_INSTANCES"})
_BREAKER: Document = {
    "enable": False,
    "rollback": False,
    "resetOnHealthyTask": True,
    "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
}
_DAEMON = "The daemon scheduling strategy does not support"


def check_name(name: str) -> None:
    """AwsError for a name that no service can have."""
    if not _NAME.fullmatch(name):
        raise invalid(
            "Service name can have up to 255 letters (uppercase and lowercase), numbers, underscores, and hyphens."
        )


def refuse(operation: str, values: Values) -> None:
    """AwsError NotImplemented for what is not built yet, by name."""
    configuration = values.get("deploymentConfiguration", {})
    controller = values.get("deploymentController", {}).get("type", "ECS")
    strategy = configuration.get("strategy", "ROLLING")
    launch_type = values.get("launchType", "")
    balancers = values.get("loadBalancers", ())
    lacking = {
        f"the deployment controller {controller}": controller != "ECS",
        f"the deployment strategy {strategy}": strategy != "ROLLING",
        "deployment lifecycle hooks": configuration.get("lifecycleHooks"),
        "deployment alarms": configuration.get("alarms", {}).get("enable"),
        "VPC Lattice": values.get("vpcLatticeConfigurations"),
        "the resolution of a service's metrics": values.get("monitoring"),
        "Amazon EBS volumes": values.get("volumeConfigurations"),
        "Classic Load Balancers": any(one.get("loadBalancerName") for one in balancers),
        f"the launch type {launch_type}": launch_type in _LAUNCH_TYPES_LACKING,
    }
    for what, asked in lacking.items():
        if asked:
            raise not_implemented("ecs", operation, what)
    for name in ("linearConfiguration", "canaryConfiguration"):
        if configuration.get(name):
            raise invalid(f"{name} is not valid for the ROLLING deployment strategy.")
    if any(one.get("advancedConfiguration") for one in balancers):
        raise invalid("advancedConfiguration is not valid for the ROLLING deployment strategy.")


def check(service: Service, definition: TaskDefinition, groups: TargetGroups) -> None:
    """AwsError for a service that cannot be: its parts do not go together."""
    document = service.document
    _check_count(service)
    _check_percents(service)
    if service.scheduling == "DAEMON":
        _check_daemon(service)
    fargate = is_on_fargate(service)
    launch_type = "FARGATE" if fargate else "EC2"
    check_compatible(definition, launch_type)
    platform_of(service.platform_version, launch_type)
    network_of(definition, document.get("networkConfiguration", {}), launch_type)
    constraints = document.get("placementConstraints", ())
    strategies = document.get("placementStrategy", ())
    if fargate and constraints:
        raise invalid("Placement constraints are not supported with FARGATE launch type.")
    if fargate and strategies:
        raise invalid("Placement strategies are not supported with FARGATE launch type.")
    rules_of(definition, constraints, strategies, service=True)
    _check_balancers(service, definition, groups)
    _check_registries(document, definition)
    _check_connect(document, definition)
    if service.execute_command and not definition.document.get("taskRoleArn"):
        raise invalid(
            "The service couldn't be created because a valid taskRoleArn is not being used. Specify a valid task role"
            " in your task definition and try again."
        )


def is_on_fargate(service: Service) -> bool:
    """Whether a service's tasks run on Fargate."""
    if service.strategy:
        return is_fargate(str(service.strategy[0]["capacityProvider"]))
    return service.launch_type == "FARGATE"


def _check_count(service: Service) -> None:
    if service.desired_count > DESIRED_MAX:
        raise invalid(f"Invalid desired count: it must be between 0 and {DESIRED_MAX}.")


def _check_percents(service: Service) -> None:
    configuration: Document = service.document.get("deploymentConfiguration", {})
    least = configuration["minimumHealthyPercent"]
    most = configuration["maximumPercent"]
    if most < 100:
        raise invalid("maximumPercent must be at least 100")
    if least < 0:
        raise invalid("minimumHealthyPercent must be at least 0")
    if least > 100:
        raise invalid("minimumHealthyPercent must be at most 100")
    if least == most == 100:
        raise invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )
    threshold = configuration.get("deploymentCircuitBreaker", {}).get("thresholdConfiguration", {})
    if threshold and threshold["value"] < 1:
        raise invalid("The value of thresholdConfiguration must be at least 1.")
    _check_early(configuration, least)
    if int(configuration.get("bakeTimeInMinutes") or 0) < 0:
        raise invalid("bakeTimeInMinutes must not be negative.")
    if service.document.get("availabilityZoneRebalancing") == "ENABLED" and most <= 100:
        raise invalid(
            "Availability Zone Rebalancing does not support maximumPercent <= 100 % as deployment configuration."
        )


def _check_early(configuration: Document, least: int) -> None:
    early = configuration.get("earlySuccessCriteria", {})
    if not early.get("enable"):
        return
    if "healthyPercent" not in early or "sourceServiceRevisionCleanup" not in early:
        raise invalid("earlySuccessCriteria needs healthyPercent and sourceServiceRevisionCleanup.")
    if early["healthyPercent"] < least:
        raise invalid(
            "The healthyPercent of earlySuccessCriteria must be at least the minimumHealthyPercent."
        )


def _check_daemon(service: Service) -> None:
    if is_on_fargate(service):
        raise invalid(f"{_DAEMON} the FARGATE launch type for services. Try again with EC2 launch type.")
    if service.document.get("placementStrategy"):
        raise invalid(
            f"{_DAEMON} placement strategies for services. Remove the placement strategies and try again."
        )
    if service.document["deploymentConfiguration"]["maximumPercent"] > 100:
        raise invalid(f"{_DAEMON} values above 100 for maximumPercent.")
    if service.document.get("availabilityZoneRebalancing") == "ENABLED":
        raise invalid("Availability Zone Rebalancing does not support DAEMON services.")


def _check_balancers(service: Service, definition: TaskDefinition, groups: TargetGroups) -> None:
    document = service.document
    balancers = document.get("loadBalancers", ())
    if not balancers and document.get("healthCheckGracePeriodSeconds"):
        raise invalid("Health check grace period is only valid for services configured to use load balancers")
    if not 0 <= document.get("healthCheckGracePeriodSeconds", 0) <= GRACE_MAX:
        raise invalid(f"healthCheckGracePeriodSeconds must be between 0 and {GRACE_MAX}.")
    if len(balancers) > BALANCERS_MAX:
        raise invalid(f"loadBalancers can have at most {BALANCERS_MAX} items.")
    for balancer in balancers:
        arn = balancer.get("targetGroupArn", "")
        if not arn:
            raise invalid("targetGroupArn can not be blank.")
        if not balancer.get("containerName") or balancer.get("containerPort") is None:
            raise invalid("Container Name and Container Port cannot be blank.")
        check_port(definition, balancer["containerName"], balancer["containerPort"])
        group = groups.group(arn)
        own = group is not None and group.account in ("", service.account)
        _check_group(arn, group if own else None, definition)


def _check_group(arn: str, group: TargetGroup | None, definition: TaskDefinition) -> None:
    if group is None:
        raise invalid(f"The target group with targetGroupArn {arn} does not exist.")
    wanted = "ip" if definition.network_mode == "awsvpc" else "instance"
    if group.target_type != wanted:
        raise invalid(
            f"The provided target group {arn} has target type {group.target_type}, which is incompatible with the "
            f"{definition.network_mode} network mode specified in the task definition."
        )
    if not group.load_balancers:
        raise invalid(
            f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        )


def check_port(definition: TaskDefinition, name: str, port: int) -> None:
    """AwsError unless a definition has a container of this name with this port."""
    container = next((one for one in definition.containers if one["name"] == name), None)
    if container is None:
        raise invalid(f"The container {name} does not exist in the task definition.")
    if not any(_has_port(mapping, port) for mapping in container.get("portMappings", ())):
        raise invalid(f"The container {name} did not have a container port {port} defined.")


def _has_port(mapping: Mapping[str, object], port: int) -> bool:
    if mapping.get("containerPort") == port:
        return True
    first, dash, last = str(mapping.get("containerPortRange", "")).partition("-")
    return bool(dash) and int(first) <= port <= int(last)


def _check_registries(document: Document, definition: TaskDefinition) -> None:
    registries = document.get("serviceRegistries", ())
    if len(registries) > 1:
        raise invalid("serviceRegistries can have at most 1 items.")
    for registry in registries:
        if not registry.get("registryArn"):
            raise invalid("registryArn can not be blank.")
        if registry.get("containerName") or registry.get("containerPort"):
            if registry.get("port"):
                raise invalid(
                    "Specify either port, or containerName and containerPort, for a service registry."
                )
            if not registry.get("containerName") or not registry.get("containerPort"):
                raise invalid("Container Name and Container Port cannot be blank.")
            check_port(definition, registry["containerName"], registry["containerPort"])


def _check_connect(document: Document, definition: TaskDefinition) -> None:
    connect = document.get("serviceConnectConfiguration", {})
    if not connect.get("enabled"):
        return
    names = {
        mapping.get("name")
        for container in definition.containers
        for mapping in container.get("portMappings", ())
    }
    for one in connect.get("services", ()):
        if one["portName"] not in names:
            raise invalid(
                f"portName({one['portName']}) does not refer to any named PortMapping in the task definition."
            )


def default_percents(configuration: Document, *, daemon: bool) -> Document:
    """A deploymentConfiguration with AWS's defaults in it."""
    least, most = (0, 100) if daemon else (100, 200)
    filled = {
        "maximumPercent": most,
        "minimumHealthyPercent": least,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    breaker = {**_BREAKER, **configuration.get("deploymentCircuitBreaker", {})}
    early = configuration.get("earlySuccessCriteria", {})
    if early.get("enable") and not 0 <= early.get("healthyPercent", 0) <= 100:
        raise invalid("healthyPercent must be between 0 and 100.")
    return {**filled, **configuration, "deploymentCircuitBreaker": breaker}


def no_definition() -> Exception:
    """CreateService without a task definition."""
    return invalid("TaskDefinition can not be blank.")
