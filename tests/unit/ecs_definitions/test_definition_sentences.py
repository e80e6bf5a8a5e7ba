"""What RegisterTaskDefinition refuses, in AWS's sentences."""

import pytest
from definitions_kit import ACCOUNT, CONTAINER, FARGATE, REGION, ROLE, caller

from cumulo.base.errors import AwsError
from cumulo.services.ecs.definitions.rules import definition_document

SIDE = {"name": "side", "image": "busybox", "memory": 64, "essential": False}
SECRET = {"name": "A", "valueFrom": "a"}
LOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": REGION}}


def document(containers=(CONTAINER,), **values):
    return definition_document(
        {"family": "app", "containerDefinitions": list(containers), **values}, caller()
    )


def sentence(containers=(CONTAINER,), **values):
    with pytest.raises(AwsError) as caught:
        document(containers, **values)
    assert caught.value.code == "ClientException"
    return caught.value.message


def with_(**members):
    return [CONTAINER | members]


def without(*members):
    return [{name: value for name, value in CONTAINER.items() if name not in members}]


def port(container_port, host=None, **more):
    return {"containerPort": container_port, **({} if host is None else {"hostPort": host}), **more}


@pytest.mark.parametrize(
    ("containers", "values", "expected"),
    [
        ([CONTAINER], {"family": "a b"}, "Family contains invalid characters."),
        ([CONTAINER], {"family": "a" * 256}, "Family contains invalid characters."),
        ([], {}, "Container list cannot be empty."),
        ([CONTAINER | {"name": f"c{n}"} for n in range(11)], {}, "Too many containers."),
        (without("name"), {}, "Container.name should not be null or empty."),
        (with_(name="a.b"), {}, "Container.name contains invalid characters."),
        ([CONTAINER, CONTAINER], {}, "Container names must be unique within a task definition."),
        (without("image"), {}, "Container.image should not be null or empty."),
        (with_(image="$IMAGE:1"), {}, "Container.image contains invalid characters."),
        (with_(essential=False), {}, "Task definition doesn't have any essential container."),
        (
            without("memory"),
            {},
            "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (with_(memory=0), {}, "Invalid 'memory' setting for container 'app'."),
        (with_(cpu=-1), {}, "Invalid 'cpu' setting for container 'app'."),
        (
            with_(memory=64, memoryReservation=65),
            {},
            "Invalid setting for container 'app'. 'memory' must be greater than or equal to 'memoryReservation'.",
        ),
        (
            with_(memory=1024),
            {"memory": "512"},
            "The 'memory' setting for container 'app' is greater than for the task.",
        ),
        (
            [CONTAINER | {"cpu": 200}, SIDE | {"cpu": 100}],
            {"cpu": "256"},
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
        ),
        ([CONTAINER], {"cpu": "127"}, "Invalid 'cpu' setting for task."),
        ([CONTAINER], {"cpu": "193 vCPU"}, "Invalid 'cpu' setting for task."),
        ([CONTAINER], {"cpu": "lots"}, "Invalid 'cpu' setting for task."),
        ([CONTAINER], {"memory": ""}, "Invalid 'memory' setting for task."),
        ([CONTAINER], {"taskRoleArn": "arn:aws:s3:::x"}, "Role is not valid"),
        (
            with_(secrets=[SECRET]),
            {},
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ),
        (
            with_(secrets=[SECRET], environment=[{"name": "A", "value": "1"}]),
            {"executionRoleArn": ROLE},
            (
                "The secret name must be unique and not shared with any new or existing environment variables set on the "
                "container, such as 'A'."
            ),
        ),
        (with_(environmentFiles=[{"type": "s3", "value": "s3://b/k"}]), {}, "Invalid arn syntax."),
        (
            with_(environmentFiles=[{"type": "s3", "value": f"arn:aws:s3:::b/{n}.env"} for n in range(11)]),
            {},
            "The maximum number of environment files was exceeded. Specify ten or less and try again.",
        ),
        (
            with_(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}]),
            {},
            "Soft limit exceeds hard limit for ulimit nofile",
        ),
        (
            with_(restartPolicy={"enabled": True, "restartAttemptPeriod": 59}),
            {},
            "The 'restartAttemptPeriod' setting for container 'app' must be between 60 and 1800.",
        ),
        (
            with_(stopTimeout=1),
            {},
            "Granular stop timeout on container 'app' must be at least 2 seconds.",
        ),
        (
            with_(systemControls=[{"namespace": "vm.swappiness", "value": "1"}]),
            {},
            "Invalid 'systemControls' setting for container 'app'.",
        ),
        (
            [CONTAINER],
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a =="}]},
            "constraint.expression 'attribute:a ==' is not valid.",
        ),
        ([CONTAINER], {"ephemeralStorage": {"sizeInGiB": 20}}, "EphemeralStorage size should be at least 21"),
        (
            [CONTAINER],
            {"ephemeralStorage": {"sizeInGiB": 201}},
            "EphemeralStorage size should be at most 200",
        ),
        (
            [CONTAINER],
            {"inferenceAccelerators": [{"deviceName": "d", "deviceType": "t"}]},
            "Unsupported field 'inferenceAccelerators'.",
        ),
        (
            with_(dockerLabels={"a": "x" * 70_000}),
            {},
            "Max allowed length is '65536' bytes.",
        ),
    ],
)
def test_a_definition_that_cannot_be(containers, values, expected):
    said = sentence(containers, **values)
    assert said == expected or (expected.startswith("Max") and said.endswith(expected))


@pytest.mark.parametrize(
    ("member", "least", "most"),
    [("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300)],
)
def test_health_checks_have_bounds(member, least, most):
    def check(value):
        return with_(healthCheck={"command": ["CMD", "true"], member: value})

    for value in (least, most):
        assert document(check(value))["containerDefinitions"][0]["healthCheck"][member] == value
    assert sentence(check(most + 1)) == (
        f"Health check {member} must be less than or equal to the maximum allowed value {most} for container 'app'"
    )
    assert f"minimum allowed value {least}" in sentence(check(least - 1))


@pytest.mark.parametrize("command", [[], ["true"], ["CMD"]])
def test_health_checks_say_how_they_are_run(command):
    assert "Health check command" in sentence(with_(healthCheck={"command": command}))


@pytest.mark.parametrize(
    ("wanted", "side", "expected"),
    [
        (
            {"containerName": "nope", "condition": "START"},
            {},
            "Cannot depend on container + 'nope' because it does not exist",
        ),
        (
            {"containerName": "side", "condition": "COMPLETE"},
            {"essential": True},
            "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
        ),
        (
            {"containerName": "side", "condition": "HEALTHY"},
            {},
            "A dependency container with HEALTHY condition must have health check configured",
        ),
        (
            {"containerName": "side", "condition": "START"},
            {"dependsOn": [{"containerName": "app", "condition": "START"}]},
            "Container dependsOn contains a cycle",
        ),
    ],
)
def test_dependencies_that_cannot_be(wanted, side, expected):
    assert sentence([CONTAINER | {"dependsOn": [wanted]}, SIDE | side]) == expected


def test_a_container_cannot_wait_for_itself():
    waits = {"dependsOn": [{"containerName": "app", "condition": "START"}]}
    assert sentence(with_(**waits)) == "Container dependsOn contains a cycle"


@pytest.mark.parametrize(
    ("mode", "ports", "expected"),
    [
        (
            "awsvpc",
            [port(80, 81)],
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ),
        (
            "host",
            [port(80, 81)],
            "When networkMode=host, the host ports and container ports in port mappings must match.",
        ),
        (
            "awsvpc",
            [port(80), port(80)],
            "TCP container port '80' is used multiple times in task when networkMode=awsvpc.",
        ),
        (
            "bridge",
            [port(80, 8080), port(81, 8080)],
            "TCP host port '8080' is used multiple times in task when networkMode=bridge.",
        ),
        (
            "awsvpc",
            [{"containerPortRange": "8080-8090"}, {"containerPortRange": "8085-8095"}],
            "TCP container port '8085' is used multiple times in task when networkMode=awsvpc.",
        ),
        (
            "awsvpc",
            [{"containerPortRange": "90-80"}],
            "Invalid 'containerPortRange' setting for container 'app'.",
        ),
        ("bridge", [port(0)], "Invalid 'containerPort' setting for container 'app'."),
        ("bridge", [port(80, 65_536)], "Invalid 'hostPort' setting for container 'app'."),
        ("none", [port(80)], "Port mappings are not supported when networkMode=none."),
        (
            "awsvpc",
            [port(80, name="web"), port(81, name="web")],
            "When networkMode=awsvpc, port mapping name is already used",
        ),
    ],
)
def test_ports_that_cannot_be(mode, ports, expected):
    assert sentence(with_(portMappings=ports), networkMode=mode) == expected


def test_one_port_may_be_mapped_for_both_protocols_and_in_bridge_mode_twice():
    both = [port(53, 53), port(53, 53, protocol="udp")]
    for mode in ("bridge", "host", "awsvpc"):
        assert document(with_(portMappings=both), networkMode=mode)
    assert document(with_(portMappings=[port(80, 8080), port(80, 8081)]), networkMode="bridge")


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("links", ["side"], "Links are not supported when networkMode=awsvpc."),
        ("hostname", "a", "hostname is not supported on container when networkMode=awsvpc."),
        ("dnsServers", ["1.1.1.1"], "DNS servers are not supported on container when networkMode=awsvpc."),
        (
            "extraHosts",
            [{"hostname": "a", "ipAddress": "1.1.1.1"}],
            "Extra hosts are not supported on container when networkMode=awsvpc.",
        ),
        (
            "disableNetworking",
            True,
            "Disable Networking is not supported on container when networkMode=awsvpc.",
        ),
    ],
)
def test_a_container_with_an_address_of_its_task_cannot_have(member, value, expected):
    containers = [CONTAINER | {member: value}, SIDE]
    assert sentence(containers, networkMode="awsvpc") == expected
    assert document(containers, networkMode="bridge")


def test_links_and_volumes_from_name_containers():
    assert sentence(with_(links=["nope:db"])) == "Invalid 'links' setting. Unknown container: 'nope'."
    assert sentence(with_(volumesFrom=[{"sourceContainer": "nope"}])) == (
        "Invalid 'volumesFrom' setting. Unknown container: 'nope'."
    )
    assert (
        sentence(with_(links=["side"]), networkMode="host")
        == "Links are not supported when networkMode=host."
    )


def mount(name="v", path="/v"):
    return with_(mountPoints=[{"sourceVolume": name, "containerPath": path}])


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"name": "a.b"}, "volume.name contains invalid characters."),
        ({"name": "v", "host": {"sourcePath": " "}}, "host.sourcePath should not be blank."),
        (
            {
                "name": "v",
                "efsVolumeConfiguration": {"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}},
            },
            "EFS IAM authorization requires TransitEncryption to be enabled.",
        ),
        (
            {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryptionPort": 2049}},
            "TransitEncryptionPort requires that TransitEncryption is enabled.",
        ),
        (
            {
                "name": "v",
                "efsVolumeConfiguration": {
                    "fileSystemId": "fs-1",
                    "rootDirectory": "/data",
                    "transitEncryption": "ENABLED",
                    "authorizationConfig": {"accessPointId": "fsap-1"},
                },
            },
            'When using an EFS access point, the root directory must either be set to "/" or be omitted.',
        ),
        (
            {"name": "v", "dockerVolumeConfiguration": {"autoprovision": True}},
            "Autoprovision can only be set for shared docker volumes.",
        ),
        (
            {"name": "v", "configuredAtLaunch": True},
            "Volumes [v] are not referenced by any of the containers",
        ),
    ],
)
def test_volumes_that_cannot_be(volume, expected):
    assert sentence(volumes=[volume]) == expected


def test_mounts_name_volumes_of_the_task():
    assert sentence(mount("other"), volumes=[{"name": "v"}]) == "Unknown volume 'other'."
    made = document(
        mount(),
        volumes=[
            {"name": "v"},
            {"name": "d", "dockerVolumeConfiguration": {"driver": "local"}},
            {"name": "e", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}},
        ],
    )
    assert made["volumes"] == [
        {"name": "v", "host": {}},
        {"name": "d", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
        {"name": "e", "efsVolumeConfiguration": {"rootDirectory": "/", "fileSystemId": "fs-1"}},
    ]


@pytest.mark.parametrize(
    ("logging", "expected"),
    [
        ({"logDriver": "awslogs"}, "Log driver awslogs requires options: awslogs-group, awslogs-region"),
        (
            {"logDriver": "awslogs", "options": {"awslogs-region": REGION}},
            "Log driver awslogs requires options: awslogs-group",
        ),
        (
            {"logDriver": "awsfirelens"},
            (
                "When awsfirelens log driver is specified in log configuration, "
                "a firelens configuration object must be specified."
            ),
        ),
    ],
)
def test_logs_that_cannot_be(logging, expected):
    assert sentence(with_(logConfiguration=logging)) == expected


def test_a_router_has_somebody_to_route():
    router = with_(firelensConfiguration={"type": "fluentbit"})
    assert "at least one container has to be configured with the awsfirelens log driver" in sentence(router)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"networkMode": "bridge"}, "Fargate only supports network mode \u2018awsvpc\u2019."),
        ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
        ({"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
        (
            {"memory": "100"},
            (
                "No Fargate configuration exists for given values: 256 CPU, 100 memory. "
                "See the Amazon ECS documentation for the valid values."
            ),
        ),
        ({"ipcMode": "task"}, "Fargate compatible task definitions do not support ipcMode"),
        (
            {"pidMode": "host"},
            (
                "Tasks using the Fargate launch type do not support pidMode 'host'. "
                "The supported value for pidMode is 'task'."
            ),
        ),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a == b"}]},
            "Fargate compatible task definitions do not support constraints",
        ),
        (
            {"volumes": [{"name": "v", "host": {"sourcePath": "/v"}}]},
            "Fargate compatible task definitions do not support sourcePath",
        ),
        (
            {"volumes": [{"name": "v", "dockerVolumeConfiguration": {}}]},
            "Fargate compatible task definitions do not support dockerVolumeConfiguration",
        ),
    ],
)
def test_a_task_that_fargate_cannot_run(values, expected):
    wanted = {name: value for name, value in (FARGATE | values).items() if value is not None}
    assert sentence(**wanted) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"privileged": True},
            "Fargate requires that the \u2018privileged\u2019 setting be \u2018false\u2019 at the container level.",
        ),
        (
            {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ),
        (
            {"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}},
            "NET_ADMIN is not allowed on Fargate.",
        ),
        ({"linuxParameters": {"maxSwap": 0}}, "Fargate compatible task definitions do not support maxSwap"),
        (
            {"linuxParameters": {"devices": [{"hostPath": "/dev/x"}]}},
            "Fargate compatible task definitions do not support devices",
        ),
        (
            {"linuxParameters": {"sharedMemorySize": 64}},
            "Fargate compatible task definitions do not support sharedMemorySize",
        ),
        (
            {"stopTimeout": 121},
            "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds.",
        ),
        (
            {"logConfiguration": {"logDriver": "json-file"}},
            "json-file is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]",
        ),
        (
            {"logConfiguration": LOGS},
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
        (
            {"image": f"{ACCOUNT}.dkr.ecr.{REGION}.localhost:4566/app"},
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ),
    ],
)
def test_a_container_that_fargate_cannot_run(members, expected):
    assert sentence(with_(**members), **FARGATE) == expected
    # Instances can, and the definition says so.
    if "logConfiguration" not in members:
        values = {name: value for name, value in FARGATE.items() if name != "requiresCompatibilities"}
        assert document(with_(**members), **values)["compatibilities"] == ["EC2"]


def test_logs_on_fargate_have_a_prefix():
    said = sentence(with_(logConfiguration=LOGS), executionRoleArn=ROLE, **FARGATE)
    assert said == (
        "Fargate requires log configuration options to include awslogs-stream-prefix "
        "to support log driver awslogs."
    )
    options = LOGS["options"] | {"awslogs-stream-prefix": "ecs"}
    assert document(with_(logConfiguration=LOGS | {"options": options}), executionRoleArn=ROLE, **FARGATE)


def test_fargate_may_trace_and_mount_memory():
    linux = {
        "capabilities": {"add": ["SYS_PTRACE"], "drop": ["NET_RAW"]},
        "tmpfs": [{"containerPath": "/scratch", "size": 16}],
        "initProcessEnabled": True,
    }
    assert document(with_(linuxParameters=linux), **FARGATE)["compatibilities"] == [
        "EC2",
        "MANAGED_INSTANCES",
        "FARGATE",
    ]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (
            {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}},
            "WINDOWS_SERVER_2022_CORE",
        ),
        ({"requiresCompatibilities": ["MANAGED_INSTANCES"]}, "managed instances"),
        ({"proxyConfiguration": {"type": "APPMESH", "containerName": "app"}}, "proxyConfiguration"),
        (
            {"volumes": [{"name": "v", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "fs-1"}}]},
            "fsxWindowsFileServerVolumeConfiguration",
        ),
        (
            {"volumes": [{"name": "v", "s3filesVolumeConfiguration": {"fileSystemArn": "a"}}]},
            "s3filesVolumeConfiguration",
        ),
        ({"containerDefinitions": with_(credentialSpecs=["a"])}, "credentialSpecs"),
    ],
)
def test_what_nothing_here_can_do_is_refused_by_name(values, name):
    with pytest.raises(AwsError) as caught:
        document(**values)
    assert caught.value.code == "NotImplemented"
    assert name in caught.value.message


def test_drivers_that_are_not_ours_are_registered_for_instances():
    made = document(with_(logConfiguration={"logDriver": "syslog"}))
    assert {"name": "com.amazonaws.ecs.capability.logging-driver.syslog"} in made["requiresAttributes"]
