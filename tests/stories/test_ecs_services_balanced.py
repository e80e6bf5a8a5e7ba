"""A service behind a load balancer: under load, nothing fails while it is deployed anew and scaled."""

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, push_tools
from tests.elb_kit import free_port
from tests.stories.test_ecs_services_kept import create, delete, shown, stable, tasks
from tests.support import Process, until

pytestmark = needs_local


class Load:
    """Clients that ask one after another, without a pause, until they are told to stop."""

    def __init__(self, port: int, host: str, clients: int = 6) -> None:
        self._port, self._host = port, host
        self._over = threading.Event()
        self.answers: Counter[str] = Counter()
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self._over.is_set():
            asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                asking.request("GET", "/", headers={"Host": self._host})
                answer = asking.getresponse()
                body = answer.read().decode()
                if answer.status == 200:
                    self.answers[body.split()[0]] += 1
                else:
                    self.faults.append(f"{answer.status} {body[:80]}")
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(repr(error))
            finally:
                asking.close()

    @contextlib.contextmanager
    def going(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


def balanced(cloud: Process, port: int) -> tuple[str, str]:
    """A load balancer that forwards to an empty target group: the group's ARN, and the balancer's name."""
    elb = cloud.client("elbv2")
    subnets = cloud.client("ec2").describe_subnets()["Subnets"]
    group = elb.create_target_group(
        Name="app",
        Protocol="HTTP",
        Port=8080,
        VpcId=subnets[0]["VpcId"],
        TargetType="ip",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}]
    )
    made = elb.create_load_balancer(Name="web", Subnets=[one["SubnetId"] for one in subnets[:2]])
    balancer = made["LoadBalancers"][0]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return str(group), str(balancer["DNSName"])


def web(aws: Any, image: str, version: int) -> str:
    """A revision of the application; its ARN."""
    return fargate(
        aws,
        "web",
        {
            "name": "web",
            "image": image,
            "command": ["/bin/web"],
            "environment": [{"name": "VERSION", "value": str(version)}],
            "portMappings": [{"containerPort": 8080}],
        },
    )


def test_nothing_fails_while_a_service_is_deployed_and_scaled(tmp_path: Path) -> None:
    with a_region(tmp_path / "data", log=tmp_path / "log") as cloud:
        aws = cloud.client("ecs")
        aws.create_cluster(clusterName="default")
        image, port = push_tools(cloud), free_port()
        group, host = balanced(cloud, port)
        create(
            aws,
            cloud,
            "web",
            web(aws, image, 1),
            desiredCount=2,
            loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}],
        )
        stable(aws, "web")
        with Load(port, host).going() as load:
            until(lambda: load.answers["1"] > 50, "the first version answers")
            aws.update_service(service="web", taskDefinition=web(aws, image, 2))
            stable(aws, "web")
            until(lambda: load.answers["2"] > 50, "the second version answers")
            aws.update_service(service="web", desiredCount=3)
            stable(aws, "web")
            aws.update_service(service="web", desiredCount=1)
            stable(aws, "web")
            until(lambda: len(tasks(aws, "web")) == 1, "one task is left")
            aws.update_service(service="web", forceNewDeployment=True)
            stable(aws, "web")
        assert load.faults == []
        elb = cloud.client("elbv2")
        health = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert [one["TargetHealth"]["State"] for one in health] == ["healthy"]
        story = [one["message"] for one in shown(aws, "web")["events"]]
        assert f"(service web) registered 1 targets in (target-group {group})" in story
        assert f"(service web) deregistered 1 targets in (target-group {group})" in story
        delete(aws, "web")
        assert elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"] == []
