"""ECS in a cloud that several people share: what is one account's is nobody else's, and nobody gets the machine."""

import base64
import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.containers_kit import Said, image_of, needs_local, port_of
from tests.ecs_kit import busybox_layer, reset, shell, stopped
from tests.ecs_kit import running as wait_running
from tests.image_kit import ImageFiles
from tests.leftovers import leftovers
from tests.registry_kit import Client
from tests.support import CUMULO, Process, until

pytestmark = needs_local
MINE, THEIRS = "111122223333", "444455556666"
SECRET = "s3cr3t-of-mine-7f3a"


class Tenant:
    """Somebody with a key; looks like a cloud to the helpers that only want clients."""

    def __init__(self, cloud: Process, account: str, name: str) -> None:
        self.cloud, self.account, self.endpoint, self.data = cloud, account, cloud.endpoint, cloud.data
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | cloud.environment
        done = subprocess.run(
            [*CUMULO, "keys", "create", name, "--account", account],
            env=env, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        values = dict(line.split("=", 1) for line in done.stdout.split())
        self.access, self.secret = values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]
        self._clients: dict[str, Any] = {}

    def client(self, service: str, **_: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, endpoint_url=self.endpoint, region_name="us-east-1",
                aws_access_key_id=self.access, aws_secret_access_key=self.secret,
                config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
            )  # fmt: skip
        return self._clients[service]

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{self.account}:role/ecs"

    def push(self, name: str, image: ImageFiles, layers: list[bytes]) -> str:
        """Push with a token of ECR's; the image's URI."""
        ecr = self.client("ecr")
        uri = str(ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"])
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        with Client(port_of(self.cloud), token=token, host=uri.partition("/")[0]) as client:
            for blob in (image.config, *layers):
                client.push_blob(name, blob)
            client.push_manifest(name, "1", json.loads(image.manifest))
        return f"{uri}:1"

    def network(self) -> dict[str, Any]:
        subnets = self.client("ec2").describe_subnets()["Subnets"]
        return {"awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]], "assignPublicIp": "ENABLED"}}

    def define(self, family: str, *containers: dict[str, Any], **more: Any) -> str:
        wanted = {
            "family": family, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
            "memory": "512", "executionRoleArn": self.role, "containerDefinitions": list(containers),
        } | more  # fmt: skip
        answer = self.client("ecs").register_task_definition(**wanted)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, **more: Any) -> str:
        wanted = {"launchType": "FARGATE", "networkConfiguration": self.network()} | more
        answer = self.client("ecs").run_task(taskDefinition=definition, **wanted)
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def outcome(self, *containers: dict[str, Any], family: str = "probe", **more: Any) -> tuple[str, Any]:
        """Run a task to its end: why it stopped, and its exit code."""
        arn = self.run(self.define(family, *containers, **more))
        done = stopped(self.client("ecs"), arn)
        one = done["containers"][0]
        return f"{done.get('stoppedReason')} {one.get('reason', '')}", one.get("exitCode")

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> int:
        """The status of an unsigned request."""
        try:
            with urlopen(
                Request(self.endpoint + path, method=method, headers=headers or {}, data=body), timeout=20
            ) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code


class World:
    """Two tenants; mine has a service behind a load balancer, a task with a role, a secret, and all else there is."""

    def __init__(self, cloud: Process) -> None:
        self.cloud = cloud
        self.mine, self.theirs = Tenant(cloud, MINE, "mine"), Tenant(cloud, THEIRS, "theirs")
        image, layers = image_of([busybox_layer()], Env=["PATH=/bin"], Cmd=["/bin/sh"], WorkingDir="/")
        self.image = self.mine.push("tools", image, layers)
        self.their_image = self.theirs.push("tools", image, layers)
        mine = self.mine
        ecs, elb = mine.client("ecs"), mine.client("elbv2")
        self.cluster = ecs.create_cluster(clusterName="private")["cluster"]["clusterArn"]
        self.theirs.client("ecs").create_cluster(clusterName="theirs")
        for one in (self.mine, self.theirs):
            one.client("ecs").create_cluster()
        self.secret = mine.client("secretsmanager").create_secret(Name="pw", SecretString=SECRET)["ARN"]
        mine.client("ssm").put_parameter(Name="/mine/pw", Value=SECRET, Type="SecureString")
        mine.client("logs").create_log_group(logGroupName="/mine")
        self.definition = mine.define(
            "web",
            shell(
                self.image, "mkdir /w; echo private > /w/index.html; httpd -f -p 8080 -h /w",
                portMappings=[{"containerPort": 8080}],
                secrets=[{"name": "PW", "valueFrom": self.secret}],
                logConfiguration={"logDriver": "awslogs", "options": {
                    "awslogs-group": "/mine", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "x"}},
            ),
            taskRoleArn=mine.role,
        )  # fmt: skip
        self.task = mine.run(self.definition, cluster="private", enableExecuteCommand=True)
        self.described = wait_running(ecs, self.task)
        details = self.described["attachments"][0]["details"]
        self.address = next(one["value"] for one in details if one["name"] == "privateIPv4Address")
        subnets = mine.client("ec2").describe_subnets()["Subnets"]
        balancer = elb.create_load_balancer(
            Name="front", Subnets=[one["SubnetId"] for one in subnets[:2]]
        )["LoadBalancers"][0]  # fmt: skip
        self.balancer = balancer["LoadBalancerArn"]
        self.group = elb.create_target_group(
            Name="group", Protocol="HTTP", Port=8080, VpcId=subnets[0]["VpcId"], TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
        self.listener = elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"][0]["ListenerArn"]  # fmt: skip
        self.service = ecs.create_service(
            cluster="private", serviceName="web", taskDefinition=self.definition, desiredCount=0,
            launchType="FARGATE", networkConfiguration=mine.network(),
        )["service"]["serviceArn"]  # fmt: skip
        self.scaling = "service/private/web"
        mine.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs", ResourceId=self.scaling, ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=0, MaxCapacity=2,
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("shared")
    cloud = Process(folder / "data", "--mode", "shared", "--engine", "local", "--overcommit", "8")
    cloud.environment = {"XDG_RUNTIME_DIR": str(folder / "run")}
    (folder / "run").mkdir(mode=0o700)
    cloud.start()
    try:
        yield World(cloud)
    finally:
        cloud.stop()
        owner = Process(folder / "data", "--engine", "local")  # a shared cloud has no reset
        owner.start()
        reset(owner)
        owner.stop()
    until(lambda: not leftovers(cloud.data), Said(cloud.data), 20)


def tried(call: Callable[[], Any]) -> tuple[str, Any]:
    """The code with which a call was refused, empty when it was not; and its answer.  Never the server's own fault."""
    try:
        return "", call()
    except ClientError as error:
        answer = error.response
    assert (
        answer["ResponseMetadata"]["HTTPStatusCode"] < 500 or answer["Error"]["Code"] == "ServerException"
    ), answer
    return str(answer["Error"]["Code"]), None


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    assert 400 <= answer["ResponseMetadata"]["HTTPStatusCode"] < 500, answer
    return str(answer["Error"]["Code"])


# -- what is mine --------------------------------------------------------------------------------------------


def test_every_ecs_operation_with_anothers_arns_and_names_is_refused_and_changes_nothing(world: World):
    ecs, short = world.theirs.client("ecs"), world.task.split("/")[-1]
    network = world.theirs.network()
    own = world.theirs.define("own", shell(world.their_image, "true"))
    tags = [{"key": "a", "value": "b"}]
    attempts: dict[str, Callable[[], Any]] = {}
    for label, cluster in (("arn", world.cluster), ("name", "private")):
        attempts |= {
            f"{label} list-tasks": lambda c=cluster: ecs.list_tasks(cluster=c),
            f"{label} list-services": lambda c=cluster: ecs.list_services(cluster=c),
            f"{label} list-instances": lambda c=cluster: ecs.list_container_instances(cluster=c),
            f"{label} describe-tasks": lambda c=cluster: ecs.describe_tasks(cluster=c, tasks=[world.task]),
            f"{label} stop": lambda c=cluster: ecs.stop_task(cluster=c, task=world.task),
            f"{label} exec": lambda c=cluster: ecs.execute_command(
                cluster=c, task=world.task, command="id", interactive=True
            ),
            f"{label} run": lambda c=cluster: ecs.run_task(
                cluster=c, taskDefinition=own, launchType="FARGATE", networkConfiguration=network
            ),
            f"{label} create-service": lambda c=cluster: ecs.create_service(
                cluster=c, serviceName="x", taskDefinition=own, desiredCount=1, launchType="FARGATE",
                networkConfiguration=network,
            ),
            f"{label} update-service": lambda c=cluster: ecs.update_service(
                cluster=c, service=world.service, desiredCount=2
            ),
            f"{label} delete-service": lambda c=cluster: ecs.delete_service(
                cluster=c, service=world.service, force=True
            ),
            f"{label} describe-services": lambda c=cluster: ecs.describe_services(
                cluster=c, services=[world.service]
            ),
            f"{label} update-cluster": lambda c=cluster: ecs.update_cluster(
                cluster=c, settings=[{"name": "containerInsights", "value": "enabled"}]
            ),
            f"{label} delete-cluster": lambda c=cluster: ecs.delete_cluster(cluster=c),
            f"{label} attributes": lambda c=cluster: ecs.put_attributes(
                cluster=c, attributes=[{"name": "x", "value": "y", "targetId": short,
                                        "targetType": "container-instance"}]
            ),
            f"{label} protection": lambda c=cluster: ecs.update_task_protection(
                cluster=c, tasks=[world.task], protectionEnabled=True
            ),
            f"{label} get-protection": lambda c=cluster: ecs.get_task_protection(cluster=c, tasks=[world.task]),
            f"{label} deployments": lambda c=cluster: ecs.list_service_deployments(cluster=c, service="web"),
        }  # fmt: skip
    attempts |= {
        "own cluster, exec": lambda: ecs.execute_command(task=world.task, command="id", interactive=True),
        "own cluster, exec by id": lambda: ecs.execute_command(task=short, command="id", interactive=True),
        "own cluster, stop": lambda: ecs.stop_task(task=world.task),
        "own cluster, update": lambda: ecs.update_service(service=world.service, desiredCount=2),
        "own cluster, delete": lambda: ecs.delete_service(service=world.service, force=True),
        "definition": lambda: ecs.describe_task_definition(taskDefinition=world.definition),
        "definition by name": lambda: ecs.describe_task_definition(taskDefinition="web:1"),
        "deregister": lambda: ecs.deregister_task_definition(taskDefinition=world.definition),
        "run definition": lambda: ecs.run_task(
            taskDefinition=world.definition, launchType="FARGATE", networkConfiguration=network
        ),
        "tag task": lambda: ecs.tag_resource(resourceArn=world.task, tags=tags),
        "tag cluster": lambda: ecs.tag_resource(resourceArn=world.cluster, tags=tags),
        "tag service": lambda: ecs.tag_resource(resourceArn=world.service, tags=tags),
        "untag": lambda: ecs.untag_resource(resourceArn=world.definition, tagKeys=["a"]),
        "list tags": lambda: ecs.list_tags_for_resource(resourceArn=world.definition),
        "revisions": lambda: ecs.describe_service_revisions(
            serviceRevisionArns=[world.service.replace(":service/", ":service-revision/") + "/1234567890123456789"]
        ),
    }  # fmt: skip
    let_through = []
    for name, attempt in attempts.items():
        code, answer = tried(attempt)
        if code:
            continue
        shown = json.dumps(answer, default=str)
        if answer.get("failures") and not any(
            answer.get(word) for word in ("tasks", "services", "serviceRevisions")
        ):
            continue
        let_through.append((name, shown[:300]))
    assert let_through == []
    assert refused(lambda: ecs.describe_clusters(clusters=[world.cluster])) == "InvalidParameterException"
    assert ecs.describe_clusters(clusters=["private"])["clusters"] == []
    assert ecs.delete_task_definitions(taskDefinitions=[world.definition])["failures"]
    assert ecs.describe_tasks(tasks=[world.task])["tasks"] == []
    assert ecs.describe_services(services=[world.service])["services"] == []
    lists = [ecs.list_clusters(), ecs.list_task_definitions(), ecs.list_task_definition_families()]
    assert MINE not in json.dumps(lists, default=str)
    mine = world.mine.client("ecs")
    (task,) = mine.describe_tasks(cluster="private", tasks=[world.task], include=["TAGS"])["tasks"]
    assert (task["lastStatus"], task.get("tags", [])) == ("RUNNING", [])
    (service,) = mine.describe_services(cluster="private", services=["web"])["services"]
    assert (service["status"], service["desiredCount"]) == ("ACTIVE", 0)


def test_load_balancers_and_scaling_of_another_are_not_there(world: World):
    elb, aas = world.theirs.client("elbv2"), world.theirs.client("application-autoscaling")
    forward = [{"Type": "forward", "TargetGroupArn": world.group}]
    target = [{"Id": world.address, "Port": 8080}]
    attempts = (
        lambda: elb.describe_load_balancers(LoadBalancerArns=[world.balancer]),
        lambda: elb.describe_load_balancers(Names=["front"]),
        lambda: elb.describe_listeners(LoadBalancerArn=world.balancer),
        lambda: elb.describe_listeners(ListenerArns=[world.listener]),
        lambda: elb.describe_rules(ListenerArn=world.listener),
        lambda: elb.describe_target_groups(TargetGroupArns=[world.group]),
        lambda: elb.describe_target_groups(LoadBalancerArn=world.balancer),
        lambda: elb.describe_target_health(TargetGroupArn=world.group),
        lambda: elb.register_targets(TargetGroupArn=world.group, Targets=target),
        lambda: elb.deregister_targets(TargetGroupArn=world.group, Targets=target),
        lambda: elb.modify_target_group(TargetGroupArn=world.group, HealthCheckPath="/x"),
        lambda: elb.modify_target_group_attributes(
            TargetGroupArn=world.group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
        ),
        lambda: elb.describe_target_group_attributes(TargetGroupArn=world.group),
        lambda: elb.describe_load_balancer_attributes(LoadBalancerArn=world.balancer),
        lambda: elb.delete_listener(ListenerArn=world.listener),
        lambda: elb.modify_listener(ListenerArn=world.listener, Port=81),
        lambda: elb.create_listener(
            LoadBalancerArn=world.balancer, Protocol="HTTP", Port=81, DefaultActions=forward
        ),
        lambda: elb.create_rule(
            ListenerArn=world.listener, Priority=1, Actions=forward,
            Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        ),
        lambda: elb.set_subnets(LoadBalancerArn=world.balancer, Subnets=["subnet-1"]),
        lambda: elb.add_tags(ResourceArns=[world.balancer], Tags=[{"Key": "a", "Value": "b"}]),
        lambda: elb.describe_tags(ResourceArns=[world.group]),
        lambda: aas.deregister_scalable_target(
            ServiceNamespace="ecs", ResourceId=world.scaling, ScalableDimension="ecs:service:DesiredCount"
        ),
        lambda: aas.register_scalable_target(
            ServiceNamespace="ecs", ResourceId=world.scaling, ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=1, MaxCapacity=2,
        ),
        lambda: aas.put_scaling_policy(
            PolicyName="x", ServiceNamespace="ecs", ResourceId=world.scaling,
            ScalableDimension="ecs:service:DesiredCount", PolicyType="StepScaling",
            StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [
                {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]},
        ),
    )  # fmt: skip
    for number, attempt in enumerate(attempts):
        assert refused(attempt), number
    for deletion in (  # AWS may call these harmless; what is mine stays
        lambda: elb.delete_target_group(TargetGroupArn=world.group),
        lambda: elb.delete_load_balancer(LoadBalancerArn=world.balancer),
    ):
        with contextlib.suppress(ClientError):
            deletion()
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
    assert aas.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    still_there(world)


def still_there(world: World) -> None:
    """What is mine has stayed."""
    elb = world.mine.client("elbv2")
    assert elb.describe_load_balancers(LoadBalancerArns=[world.balancer])["LoadBalancers"]
    assert elb.describe_listeners(ListenerArns=[world.listener])["Listeners"][0]["Port"] == 80
    assert elb.describe_target_groups(TargetGroupArns=[world.group])["TargetGroups"]


def their_group(world: World, name: str, kind: str = "ip") -> tuple[str, str]:
    """A target group of theirs, and its VPC."""
    elb, subnets = world.theirs.client("elbv2"), world.theirs.client("ec2").describe_subnets()["Subnets"]
    wanted = {"Protocol": "HTTP", "Port": 8080, "VpcId": subnets[0]["VpcId"]} if kind != "lambda" else {}
    group = elb.create_target_group(Name=name, TargetType=kind, **wanted)["TargetGroups"][0]
    return str(group["TargetGroupArn"]), str(subnets[0]["VpcId"])


def test_a_service_cannot_put_its_tasks_behind_anothers_load_balancer(world: World):
    definition = world.theirs.define(
        "intruder",
        shell(world.their_image, "sleep 100", portMappings=[{"containerPort": 8080}]),
    )
    code = refused(
        lambda: world.theirs.client("ecs").create_service(
            serviceName="intruder", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
            networkConfiguration=world.theirs.network(),
            loadBalancers=[{"targetGroupArn": world.group, "containerName": "main", "containerPort": 8080}],
        )
    )  # fmt: skip
    assert code == "InvalidParameterException"


def test_a_load_balancer_leads_only_to_what_is_its_accounts(world: World):
    """Not to another's task, nor to what the machine itself listens at: its own addresses, and the cloud's port."""
    group, _ = their_group(world, "spy")
    elb = world.theirs.client("elbv2")
    gateway = ".".join([*world.address.split(".")[:2], "0", "1"])
    own = {one for line in subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True)
           .stdout.splitlines() if (one := line.split()[3].split("/")[0])}  # fmt: skip
    let_through = []
    for address in sorted({world.address, gateway, "127.0.0.1", "127.0.0.53", "169.254.169.254", "169.254.170.2",
                           "0.0.0.0", "224.0.0.1", "255.255.255.255", *list(own)[:40]}):  # fmt: skip
        targets = [{"Id": address, "Port": port_of(world.cloud)}]
        code, _ = tried(lambda t=targets: elb.register_targets(TargetGroupArn=group, Targets=t))
        if code not in ("InvalidTarget", "ValidationError"):
            let_through.append(address)
    assert let_through == []


def page(endpoint: str, host: str) -> bytes:
    """What is served under a name; nothing when it is not served."""
    try:
        with urlopen(Request(endpoint, headers={"Host": host}), timeout=5) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            return b""


def test_a_load_balancer_leads_to_its_accounts_own_task(world: World):
    group = world.group
    elb = world.mine.client("elbv2")
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": world.address, "Port": 8080}])
    name = elb.describe_load_balancers(LoadBalancerArns=[world.balancer])["LoadBalancers"][0]["DNSName"]

    until(lambda: page(world.cloud.endpoint, name) == b"private\n", "the task is served", 40)


def test_a_load_balancer_does_not_call_anothers_function(world: World):
    mine = world.mine.client("lambda")
    from tests.support import deploy

    deploy(mine, "private", "def handler(event, context):\n    return 'private'\n", Role=world.mine.role)
    arn = mine.get_function(FunctionName="private")["Configuration"]["FunctionArn"]
    group, _ = their_group(world, "calls", "lambda")
    elb = world.theirs.client("elbv2")
    try:
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": arn}])
    except ClientError:
        return
    subnets = world.theirs.client("ec2").describe_subnets()["Subnets"]
    balancer = elb.create_load_balancer(Name="spy", Subnets=[one["SubnetId"] for one in subnets[:2]])
    one = balancer["LoadBalancers"][0]
    elb.create_listener(
        LoadBalancerArn=one["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )  # fmt: skip

    def status() -> int:
        return world.theirs.ask("GET", "/", {"Host": one["DNSName"]})

    assert until(lambda: (code := status()) not in (503, 504) and code, "an answer", 20) in (403, 502)


def test_certificates_registries_and_namespaces_of_another_are_of_no_use(world: World):
    theirs, mine = world.theirs, world.mine
    certificate = mine.client("acm").request_certificate(DomainName="mine.local")["CertificateArn"]
    subnets = theirs.client("ec2").describe_subnets()["Subnets"]
    elb, ecs = theirs.client("elbv2"), theirs.client("ecs")
    group, _ = their_group(world, "tls")
    balancer = elb.create_load_balancer(Name="tls", Subnets=[one["SubnetId"] for one in subnets[:2]])
    code = refused(
        lambda: elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTPS", Port=443,
            Certificates=[{"CertificateArn": certificate}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
    )  # fmt: skip
    assert code == "CertificateNotFound"
    sd = mine.client("servicediscovery")
    operation = sd.create_http_namespace(Name="mine-ns")["OperationId"]
    namespace = sd.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    arn = sd.get_namespace(Id=namespace)["Namespace"]["Arn"]
    registry = sd.create_service(Name="reg", NamespaceId=namespace)["Service"]["Arn"]
    definition = theirs.define(
        "meshed",
        shell(
            world.their_image, "sleep 100", portMappings=[{"containerPort": 80, "name": "web"}], stopTimeout=2
        ),
    )
    wishes: tuple[dict[str, Any], ...] = (
        {"serviceRegistries": [{"registryArn": registry}]},
        {
            "serviceConnectConfiguration": {
                "enabled": True,
                "namespace": arn,
                "services": [{"portName": "web"}],
            }
        },
    )
    for number, more in enumerate(wishes):
        code, _ = tried(
            lambda n=number, m=more: ecs.create_service(
                serviceName=f"meshed{n}", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
                networkConfiguration=theirs.network(), **m,
            )
        )  # fmt: skip
        if not code:
            until(
                lambda n=number: ecs.describe_services(services=[f"meshed{n}"])["services"][0]["events"],
                "it tries",
                20,
            )
            ecs.delete_service(service=f"meshed{number}", force=True)
    assert sd.list_instances(ServiceId=registry.split("/")[-1])["Instances"] == []
    assert [one["Name"] for one in sd.list_services()["Services"]] == ["reg"]


def test_names_that_another_publishes_lead_my_tasks_nowhere(world: World):
    """A namespace called like one of the world; my own names are told."""
    for tenant, image, domain, name in (
        (world.theirs, world.their_image, "poser.example.org", "sts"),
        (world.mine, world.image, "poser.local", "good"),
    ):
        sd, ecs = tenant.client("servicediscovery"), tenant.client("ecs")
        vpc = tenant.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
        definition = tenant.define("poser", shell(image, "sleep 1000", stopTimeout=2))
        operation = sd.create_private_dns_namespace(Name=domain, Vpc=vpc)["OperationId"]
        namespace = sd.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        registry = sd.create_service(
            Name=name, NamespaceId=namespace,
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}], "RoutingPolicy": "MULTIVALUE"},
        )["Service"]["Arn"]  # fmt: skip
        ecs.create_service(
            serviceName="poser", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
            networkConfiguration=tenant.network(), serviceRegistries=[{"registryArn": registry}],
        )  # fmt: skip
        until(
            lambda e=ecs: e.describe_services(services=["poser"])["services"][0]["runningCount"],
            "it runs",
            40,
        )
    why, code = world.mine.outcome(
        shell(
            world.image,
            "nslookup good.poser.local || exit 3; timeout 5 nslookup sts.poser.example.org && exit 4; exit 0",
        )
    )
    assert code == 0, (why, code)


def test_no_image_is_asked_of_the_machines_own_ports(world: World):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4)
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "x.localhost"):
            why, code = world.theirs.outcome(shell(f"{host}:{port}/x:1", "true"))
            assert code is None
            assert "CannotPullContainer" in why, why
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_sessions_of_one_account_leave_room_for_others(world: World):
    mine, theirs = world.mine.client("ecs"), world.theirs
    offered = 0
    while (
        offered < 400
        and not tried(
            lambda: mine.execute_command(cluster="private", task=world.task, command="cat", interactive=True)
        )[0]
    ):
        offered += 1
    assert 0 < offered <= 256
    definition = theirs.define(
        "opened", shell(world.their_image, "sleep 1000", stopTimeout=2), taskRoleArn=theirs.role
    )
    arn = theirs.run(definition, enableExecuteCommand=True)
    wait_running(theirs.client("ecs"), arn)
    assert theirs.client("ecs").execute_command(task=arn, command="cat", interactive=True)["session"]


# -- what tasks get ------------------------------------------------------------------------------------------


def test_an_image_a_secret_a_parameter_and_logs_of_another_stay_closed_to_tasks(world: World):
    theirs = world.theirs
    why, code = theirs.outcome(shell(world.image, "true"))
    assert code is None, why
    assert "CannotPull" in why
    for value in (
        world.secret,
        f"arn:aws:ssm:us-east-1:{MINE}:parameter/mine/pw",
        "/mine/pw",
    ):
        why, code = theirs.outcome(
            shell(world.their_image, f'test "$PW" != {SECRET}', secrets=[{"name": "PW", "valueFrom": value}])
        )
        assert (code is None and "ResourceInitializationError" in why) or code == 0, (value, why, code)
        assert SECRET not in why
        assert code is None, value
    theirs.client("logs").create_log_group(logGroupName="/theirs")
    options = {"awslogs-group": f"arn:aws:logs:us-east-1:{MINE}:log-group:/mine", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "x"}  # fmt: skip
    theirs.outcome(
        shell(world.their_image, "echo forged", logConfiguration={"logDriver": "awslogs", "options": options})
    )
    streams = world.mine.client("logs").describe_log_streams(logGroupName="/mine")["logStreams"]
    assert all(world.task.split("/")[-1] in one["logStreamName"] for one in streams)


def test_the_files_of_an_environment_come_from_no_bucket_that_its_account_cannot_read(world: World):
    """S3 decides (it is the companion's): a task reads no more than its account's own keys do."""
    s3 = world.mine.client("s3")
    s3.create_bucket(Bucket="mine-env")
    s3.put_object(Bucket="mine-env", Key="a.env", Body=f"PW={SECRET}\n".encode())
    try:
        world.theirs.client("s3").get_object(Bucket="mine-env", Key="a.env")
        may_read = True
    except ClientError:
        may_read = False
    why, code = world.theirs.outcome(
        shell(
            world.their_image, f'test "$PW" = {SECRET}',
            environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::mine-env/a.env"}],
        )
    )  # fmt: skip
    assert (code == 0) == may_read, why
    assert SECRET not in why


def test_an_efs_file_system_of_another_is_not_mounted(world: World):
    volume = {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0"}}
    point = [{"sourceVolume": "v", "containerPath": "/v"}]
    why, code = world.mine.outcome(
        shell(world.image, "echo private > /v/secret", mountPoints=point), family="writes", volumes=[volume]
    )
    assert code == 0, why
    why, code = world.mine.outcome(
        shell(world.image, "grep private /v/secret", mountPoints=point), family="reads", volumes=[volume]
    )
    assert code == 0, why
    _, code = world.theirs.outcome(
        shell(world.their_image, "test -e /v/secret", mountPoints=point), family="reads", volumes=[volume]
    )
    assert code != 0


@pytest.mark.parametrize(
    ("container", "more"),
    [
        ({}, {"volumes": [{"name": "v", "host": {"sourcePath": "/etc"}}]}),
        ({}, {"volumes": [{"name": "v", "host": {"sourcePath": "//etc/../root"}}]}),
        ({"privileged": True}, {}),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/kmsg"}]}}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["ALL"]}}}, {}),
        ({"ulimits": [{"name": "rtprio", "softLimit": 99, "hardLimit": 99}]}, {}),
        ({"ulimits": [{"name": "nice", "softLimit": 40, "hardLimit": 40}]}, {}),
        ({"dockerSecurityOptions": ["seccomp:unconfined"]}, {}),
        ({"dockerSecurityOptions": ["apparmor:unconfined"]}, {}),
        ({}, {"networkMode": "host"}),
        ({}, {"pidMode": "host"}),
        ({}, {"ipcMode": "host"}),
    ],
    ids=str,
)
def test_no_task_on_an_instance_gets_the_machine(
    world: World, container: dict[str, Any], more: dict[str, Any]
):
    point = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]} if more.get("volumes") else {}
    wanted = {
        "family": "greedy", "networkMode": "bridge",
        "containerDefinitions": [shell(world.their_image, "true", memory=64) | container | point],
    } | more  # fmt: skip
    ecs = world.theirs.client("ecs")
    if tried(lambda: ecs.register_task_definition(**wanted))[0]:
        return
    instance = the_instance(world)
    answer = ecs.start_task(cluster="farm", taskDefinition="greedy", containerInstances=[instance])
    assert not answer["failures"]
    done = stopped(ecs, answer["tasks"][0]["taskArn"])
    assert done["containers"][0].get("exitCode") is None, done
    assert done["stopCode"] == "TaskFailedToStart"


def the_instance(world: World) -> str:
    """A container instance of theirs."""
    theirs = world.theirs
    ecs = theirs.client("ecs")
    ecs.create_cluster(clusterName="farm")
    found = ecs.list_container_instances(cluster="farm")["containerInstanceArns"]
    if not found:
        path = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
        ami = theirs.client("ssm").get_parameter(Name=path)["Parameter"]["Value"]
        theirs.client("ec2").run_instances(
            ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1,
            UserData="#!/bin/bash\necho ECS_CLUSTER=farm >> /etc/ecs/ecs.config\n",
        )  # fmt: skip
        found = until(
            lambda: ecs.list_container_instances(cluster="farm")["containerInstanceArns"], "it joins", 40
        )
    return str(found[0])


def test_an_instance_of_another_carries_no_tasks_and_takes_no_traffic_of_mine(world: World):
    instance = the_instance(world)
    ecs = world.mine.client("ecs")
    definition = world.mine.define("small", shell(world.image, "true", memory=64), networkMode="bridge",
                                   requiresCompatibilities=["EC2"])  # fmt: skip
    for cluster in (
        "farm",
        "private",
        instance.replace("container-instance/farm", "cluster/farm").rsplit("/", 1)[0],
    ):
        try:
            answer = ecs.start_task(cluster=cluster, taskDefinition=definition, containerInstances=[instance])
        except ClientError:
            continue
        assert not answer["tasks"], answer
    for call in (
        lambda: ecs.deregister_container_instance(cluster="private", containerInstance=instance, force=True),
        lambda: ecs.describe_container_instances(cluster="farm", containerInstances=[instance]),
    ):
        assert refused(call)
    (ec2_id,) = (
        one["ec2InstanceId"]
        for one in world.theirs.client("ecs").describe_container_instances(
            cluster="farm", containerInstances=[instance]
        )["containerInstances"]
    )
    vpc = world.mine.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
    elb = world.mine.client("elbv2")
    group = elb.create_target_group(Name="nosy", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    assert (
        refused(lambda: elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ec2_id}])) == "InvalidTarget"
    )


def test_keys_of_a_task_are_good_for_its_account_only_even_when_its_role_is_anothers(world: World):
    """The credentials endpoint of a task whose definition names a role of mine gives nothing of mine."""
    script = (
        'u="http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"; wget -q -O - $u | tr , "\\n";'
        " echo; env | grep ENDPOINT"
    )
    theirs = world.theirs
    theirs.client("logs").create_log_group(logGroupName="/keys")
    options = {"awslogs-group": "/keys", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "k"}
    container = shell(
        world.their_image, script, logConfiguration={"logDriver": "awslogs", "options": options}
    )
    refusal, outcome = tried(lambda: theirs.outcome(container, family="keys", taskRoleArn=world.mine.role))
    if refusal:
        return
    why, code = outcome
    if code is None:
        return
    assert code == 0, why
    stream = theirs.client("logs").describe_log_streams(logGroupName="/keys")["logStreams"][0][
        "logStreamName"
    ]
    events = theirs.client("logs").get_log_events(
        logGroupName="/keys", logStreamName=stream, startFromHead=True
    )["events"]
    said = "\n".join(one["message"] for one in events)
    keys = {
        name: said.split(f'"{name}":"')[1].split('"')[0]
        for name in ("AccessKeyId", "SecretAccessKey", "Token")
    }
    session = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name="us-east-1"
    )
    assert session.client("sts", endpoint_url=theirs.endpoint).get_caller_identity()["Account"] == THEIRS
    with pytest.raises(ClientError):
        session.client("ecs", endpoint_url=theirs.endpoint).describe_tasks(
            cluster=world.cluster, tasks=[world.task]
        )


def test_inside_a_task_the_cloud_still_asks_for_a_signature_and_the_admin_pages_for_their_token(world: World):
    script = """
c=http://169.254.170.2:51678
for p in /_cumulo/metrics /_cumulo/keys /_cumulo/bill /_cumulo/ecs/exec /metrics; do
  wget -q -O - $c$p && exit 1
done
wget -q -O - --post-data '' $c/_cumulo/reset && exit 2
wget -q -O - --post-data '{}' --header 'X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters' $c/ && exit 3
wget -q -O - --post-data '{"task":"web","argv":["id"]}' $c/_cumulo/ecs/exec && exit 4
wget -q -O - $c/_cumulo/health || exit 5
"""
    why, code = world.theirs.outcome(shell(world.their_image, script))
    assert code == 0, (why, code)


def test_nobody_in_a_shared_cloud_can_make_packets_of_their_own(world: World):
    """Without NET_RAW no task can pose as a neighbour on the bridge that all share."""
    why, code = world.theirs.outcome(
        shell(
            world.their_image,
            "c=$(grep CapBnd /proc/self/status | cut -f2); test $(( 0x$c >> 13 & 1 )) = 0 || exit 1;"
            " grep -q 2147483647 /proc/sys/net/ipv4/ping_group_range || exit 3",
        )
    )
    assert code == 0, why


# -- the doors -----------------------------------------------------------------------------------------------


def test_unsigned_and_forged_calls_are_refused_on_every_new_page(world: World):
    ask = world.theirs.ask
    for target in ("AmazonEC2ContainerServiceV20141113.ListClusters", "AnyScaleFrontendService.DescribeScalableTargets",
                   "AmazonEC2ContainerServiceV20141113.RunTask"):  # fmt: skip
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        assert ask("POST", "/", headers, b"{}") in (400, 403)
        scope = f"{world.mine.access}/20261126/us-east-1/ecs/aws4_request"
        forged = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
        assert ask("POST", "/", headers | {"Authorization": forged}, b"{}") in (400, 403)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"Action=DescribeLoadBalancers&Version=2015-12-01"
    assert ask("POST", "/", form, body) in (400, 403)
    for page in ("/_cumulo/ecs/exec", "/_cumulo/interrupt", "/_cumulo/containers"):
        for token in ({}, {"x-cumulo-token": ""}, {"x-cumulo-token": "0" * 64}):
            assert ask("POST", page, token, b'{"task": "web", "argv": ["id"]}') == 403
    assert ask("GET", "/_cumulo/ecs/data-channel/ecs-execute-command-0000000000000000a") in (403, 404)


# -- secrets -------------------------------------------------------------------------------------------------


def test_the_value_of_a_secret_is_nowhere_but_in_its_container(world: World):
    mine = world.mine
    shown = json.dumps(
        [
            mine.client("ecs").describe_tasks(cluster="private", tasks=[world.task], include=["TAGS"]),
            mine.client("ecs").describe_task_definition(taskDefinition=world.definition),
            mine.client("ecs").describe_services(cluster="private", services=["web"]),
        ],
        default=str,
    )
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert SECRET not in shown
    assert encoded not in shown
    assert SECRET not in world.cloud.log.read_text(errors="replace")
    found = {
        path
        for path in world.cloud.data.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.stat().st_size < 1 << 20
        and SECRET.encode() in path.read_bytes()
    }
    assert any(path.name == "pod.json" for path in found), "the container has it from somewhere"
    for path in found:
        places = [path, *(one for one in path.parents if one.is_relative_to(world.cloud.data))]
        assert any(one.stat().st_mode & 0o077 == 0 for one in places[:-1]), f"{path} is for its owner only"
    for record in world.cloud.data.glob("engine/pods/*/pod.json"):
        assert record.stat().st_mode & 0o077 == 0, record
    for config in world.cloud.data.glob("engine/pods/**/config.json"):
        assert config.stat().st_mode & 0o077 == 0, config
    with sqlite3.connect(f"file:{world.cloud.data / 'cumulo.db'}?mode=ro", uri=True) as db:
        hidden = SECRET.encode().hex()
        lines = [line for line in db.iterdump() if THEIRS not in line and hidden in line.lower()]
    assert lines == []


# -- at the end: the port changes ----------------------------------------------------------------------------


def test_after_a_kill_a_load_balancer_still_leads_to_its_accounts_task(world: World):
    elb = world.mine.client("elbv2")
    elb.register_targets(TargetGroupArn=world.group, Targets=[{"Id": world.address, "Port": 8080}])
    name = elb.describe_load_balancers(LoadBalancerArns=[world.balancer])["LoadBalancers"][0]["DNSName"]
    world.cloud.kill()
    world.cloud.start()
    until(lambda: page(world.cloud.endpoint, name) == b"private\n", "the task is served", 40)
