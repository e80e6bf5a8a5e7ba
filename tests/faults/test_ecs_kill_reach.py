"""After a kill -9 of the server everything that tasks reach, and that reaches them, works again: nobody was restarted."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.containers_kit import needs_local
from tests.ecs_faults_kit import KEPT, MOUNTED, SYSTEM, runs, service, stable, tasks, web
from tests.ecs_kit import a_region, fargate, network, push_tools, shell
from tests.support import CUMULO, Process, until

pytestmark = needs_local
TASK_ROLE = "arn:aws:iam::000000000000:role/task"
# Asks whatever a file `ask-N` says, and writes what came of it into `answer-N`.
ASKS = """n=0; while true; do
if [ -e /kept/ask-$n ]; then sh /kept/ask-$n > /kept/tmp 2>&1; /bin/busybox mv /kept/tmp /kept/answer-$n; n=$((n+1)); fi
sleep 0.05; done"""
NAMED = "wget -qO- http://web.corp.local:8080/"
ALIAS = "wget -qO- http://shop/"
METADATA = "wget -qO- $ECS_CONTAINER_METADATA_URI_V4/task"
KEYS = "wget -qO- http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
CLOUD = "wget -qO- $AWS_ENDPOINT_URL/_localstack/health"


class Town:
    """A cloud with a service of two names, and a client that asks."""

    def __init__(self, cloud: Process) -> None:
        self.cloud = cloud
        self.number = 0
        aws, discovery = cloud.client("ecs"), cloud.client("servicediscovery")
        aws.create_cluster(clusterName="default")
        image = push_tools(cloud)
        vpc = cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        discovery.create_private_dns_namespace(Name="corp.local", Vpc=vpc)
        (namespace,) = discovery.list_namespaces()["Namespaces"]
        registry = discovery.create_service(
            Name="web",
            DnsConfig={"NamespaceId": namespace["Id"], "DnsRecords": [{"Type": "A", "TTL": 10}]},
            HealthCheckCustomConfig={"FailureThreshold": 1},
        )["Service"]
        connect = {"enabled": True, "namespace": namespace["Arn"]}
        offered = [
            {"portName": "http", "discoveryName": "shop", "clientAliases": [{"port": 80, "dnsName": "shop"}]}
        ]
        service(
            aws, cloud, "web", web(aws, "web", image, "v1"),
            serviceRegistries=[{"registryArn": registry["Arn"]}],
            serviceConnectConfiguration={**connect, "services": offered},
        )  # fmt: skip
        asker = fargate(aws, "asker", shell(image, ASKS, **MOUNTED), volumes=[KEPT], taskRoleArn=TASK_ROLE)
        service(aws, cloud, "asker", asker, desiredCount=1, serviceConnectConfiguration=connect)
        for name in ("web", "asker"):
            stable(aws, name)

    def ask(self, command: str) -> str:
        """What a command says inside the client."""
        folder = self.cloud.data / "efs" / SYSTEM
        question, answer = folder / f"ask-{self.number}", folder / f"answer-{self.number}"
        self.number += 1
        (folder / "draft").write_text(command)
        (folder / "draft").rename(question)
        until(answer.exists, f"{command} is answered", 20)
        return answer.read_text()

    def arns(self) -> set[str]:
        aws = self.cloud.client("ecs")
        return {one["taskArn"] for name in ("web", "asker") for one in tasks(aws, name)}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("reach")
    with a_region(folder / "data", "--overcommit", "16", log=folder / "log") as cloud:
        made = Town(cloud)
        yield made
        assert "Traceback" not in cloud.log.read_text(), cloud.log.read_text()[-5000:]


class Said:
    """A message that is made when it is needed."""

    def __init__(self, command: str, said: list[str]) -> None:
        self.command = command
        self.said = said

    def __str__(self) -> str:
        return f"{self.command} is answered; it was {self.said[-1:]}"


def works(town: Town) -> None:
    """Everything that can be asked inside is answered."""
    for command in (NAMED, ALIAS):
        said: list[str] = []
        until(lambda command=command, said=said: (said.append(town.ask(command)) or said[-1].startswith("v1 ")), Said(command, said), 30)  # fmt: skip
    arn = tasks(town.cloud.client("ecs"), "asker")[0]["taskArn"]
    assert json.loads(town.ask(METADATA))["TaskARN"] == arn
    assert json.loads(town.ask(KEYS))["RoleArn"] == TASK_ROLE
    assert "services" in json.loads(town.ask(CLOUD))
    argv = [*CUMULO, "exec", "--endpoint", town.cloud.endpoint, "--data", str(town.cloud.data)]
    done = subprocess.run([*argv, "asker", "echo", "in"], capture_output=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == (b"in\n", 0), done.stderr


def test_everything_works_again_after_each_kill(town: Town) -> None:
    works(town)
    before = town.arns()
    for _ in range(2):
        town.cloud.kill()
        town.cloud.start()
        works(town)
    assert town.arns() == before
    assert set(runs(town.cloud).values()) == {1}


def test_names_follow_a_task_that_was_lost_while_nobody_looked(town: Town) -> None:
    before = town.arns()
    discovery = town.cloud.client("servicediscovery")
    (registry,) = [one["Id"] for one in discovery.list_services()["Services"] if one["Name"] == "web"]
    town.cloud.kill()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _is_web(process):
            subprocess.run(["kill", "-9", process.name], check=False)
    town.cloud.start()
    aws = town.cloud.client("ecs")

    def replaced() -> Any:
        now = [one for one in tasks(aws, "web") if one["taskArn"] not in before]
        return len(now) == 2 and all(one["lastStatus"] == "RUNNING" for one in now) and now

    now = until(replaced, "both are replaced", 60)
    addresses = {
        detail["value"]
        for one in now
        for detail in one["attachments"][0]["details"]
        if detail["name"] == "privateIPv4Address"
    }

    def registered() -> set[str]:
        found = town.cloud.client("servicediscovery").list_instances(ServiceId=registry)["Instances"]
        return {one["Attributes"]["AWS_INSTANCE_IPV4"] for one in found}

    until(lambda: registered() == addresses, "Cloud Map knows them and no others", 30)
    works(town)
    answers = {town.ask(ALIAS).split()[1] for _ in range(8)}
    assert len(answers) == 2, "both are asked"
    assert network(town.cloud)


def _is_web(process: Path) -> bool:
    """A web server of this cloud's tasks: of no other test's."""
    try:
        words = (process / "cmdline").read_bytes()
        return b"httpd\0-f\0-p\x008080" in words and b"VERSION=v1\0" in (process / "environ").read_bytes()
    except OSError:
        return False
