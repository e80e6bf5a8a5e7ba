"""Services find one another through the front door: Cloud Map's names, and Service Connect's aliases."""

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, logs, network, push_tools, run, shell, stopped
from tests.support import until

pytestmark = needs_local
NAMED = {"name": "http", "containerPort": 8080, "protocol": "tcp", "appProtocol": "http"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with a_region(tmp_path_factory.mktemp("finding") / "data") as cloud:
        cloud.client("ecs").create_cluster(clusterName="default")
        cloud.client("logs").create_log_group(logGroupName="/finding")
        yield cloud


@pytest.fixture(scope="module")
def image(cloud):
    return push_tools(cloud)


@pytest.fixture(scope="module")
def namespace(cloud):
    client = cloud.client("servicediscovery")
    vpc = cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    client.create_private_dns_namespace(Name="corp.local", Vpc=vpc)
    return client.list_namespaces()["Namespaces"][0]


def printing(image, script):
    """A container whose output can be read."""
    options = {
        "awslogs-group": "/finding",
        "awslogs-create-group": "true",
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "f",
    }
    return shell(image, script, logConfiguration={"logDriver": "awslogs", "options": options})


def said_by(cloud, arn):
    """What a task has printed so far."""
    try:
        return logs(cloud, "/finding", f"f/main/{arn.rpartition('/')[2]}")
    except cloud.client("logs").exceptions.ResourceNotFoundException:
        return []  # nothing yet


def serve(cloud, name, definition, count, **more):
    cloud.client("ecs").create_service(
        serviceName=name,
        taskDefinition=definition,
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration=network(cloud),
        **more,
    )


def steady(cloud, name, count):
    """Wait until so many tasks of a service run, and no others."""
    aws = cloud.client("ecs")

    def state():
        [found] = aws.describe_services(services=[name])["services"]
        return (found["runningCount"], found["pendingCount"]) == (count, 0) and found

    return until(state, f"{count} tasks of {name} run", 60)


def test_tasks_are_found_by_their_name_in_cloud_map_while_they_run(cloud, image, namespace):
    aws, discovery = cloud.client("ecs"), cloud.client("servicediscovery")
    registry = discovery.create_service(
        Name="web",
        DnsConfig={"NamespaceId": namespace["Id"], "DnsRecords": [{"Type": "A", "TTL": 10}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )["Service"]
    web = fargate(aws, "web", shell(image, "exec web", portMappings=[{"containerPort": 8080}]))
    serve(cloud, "web", web, 2, serviceRegistries=[{"registryArn": registry["Arn"]}])
    steady(cloud, "web", 2)
    found = discovery.list_instances(ServiceId=registry["Id"])["Instances"]
    addresses = {one["Attributes"]["AWS_INSTANCE_IPV4"] for one in found}
    assert len(addresses) == 2
    assert {one["Attributes"]["ECS_SERVICE_NAME"] for one in found} == {"web"}
    script = "for i in $(seq 50); do wget -qO- http://web.corp.local:8080/ && exit 0; sleep 0.1; done; exit 1"
    asker = fargate(aws, "asker", printing(image, script))
    ended = stopped(aws, run(aws, cloud, asker)["taskArn"])
    assert ended["containers"][0]["exitCode"] == 0, said_by(cloud, ended["taskArn"])
    assert said_by(cloud, ended["taskArn"])[0].startswith("1 ")
    aws.update_service(service="web", desiredCount=0)
    until(
        lambda: not discovery.list_instances(ServiceId=registry["Id"])["Instances"], "they are taken out", 60
    )
    aws.delete_service(service="web")


def test_instances_that_clients_registered_are_found_too(cloud, image, namespace):
    discovery, aws = cloud.client("servicediscovery"), cloud.client("ecs")
    records = {"NamespaceId": namespace["Id"], "DnsRecords": [{"Type": "A", "TTL": 10}]}
    service = discovery.create_service(Name="db", DnsConfig=records)["Service"]["Id"]
    said = {"AWS_INSTANCE_IPV4": "10.77.0.9"}
    discovery.register_instance(ServiceId=service, InstanceId="mine", Attributes=said)
    script = "for i in $(seq 50); do nslookup -type=a db.corp.local. && exit 0; sleep 0.1; done; exit 1"
    ended = stopped(aws, run(aws, cloud, fargate(aws, "looking", printing(image, script)))["taskArn"])
    assert any("10.77.0.9" in line for line in said_by(cloud, ended["taskArn"]))


def test_tasks_reach_services_of_their_namespace_by_alias_also_after_the_server_was_killed(
    cloud, image, namespace
):
    aws = cloud.client("ecs")
    shop = fargate(aws, "shop", shell(image, "exec web", portMappings=[NAMED]))
    connect = {"enabled": True, "namespace": namespace["Arn"]}
    offered = [
        {"portName": "http", "discoveryName": "shop", "clientAliases": [{"port": 8080, "dnsName": "shop"}]}
    ]
    serve(cloud, "shop", shop, 2, serviceConnectConfiguration={**connect, "services": offered})
    steady(cloud, "shop", 2)
    with pytest.raises(aws.exceptions.InvalidParameterException, match="SC service is already used by"):
        serve(cloud, "shop2", shop, 1, serviceConnectConfiguration={**connect, "services": offered})
    wrong = [{**offered[0], "portName": "none"}]
    with pytest.raises(aws.exceptions.InvalidParameterException, match=r"portName\(none\) does not refer"):
        serve(cloud, "shop2", shop, 1, serviceConnectConfiguration={**connect, "services": wrong})
    script = "while :; do wget -qO- http://shop:8080/ || echo failed; sleep 0.1; done"
    client = fargate(aws, "client", printing(image, script))
    serve(cloud, "client", client, 1, serviceConnectConfiguration=connect)
    steady(cloud, "client", 1)
    [arn] = aws.list_tasks(serviceName="client")["taskArns"]

    def hosts():
        return {line.split()[1] for line in said_by(cloud, arn) if line.startswith("1 ")}

    until(lambda: len(hosts()) == 2, "both servers answer", 30)
    discovery = cloud.client("servicediscovery")
    [endpoint] = [one for one in discovery.list_services()["Services"] if one["Name"] == "shop"]
    assert len(discovery.list_instances(ServiceId=endpoint["Id"])["Instances"]) == 2
    cloud.kill()
    cloud.start()
    aws = cloud.client("ecs")
    before = len(said_by(cloud, arn))

    def again():
        return [line for line in said_by(cloud, arn)[before:] if line.startswith("1 ")][4:]

    assert until(again, "it is reached again", 60)
    assert aws.list_tasks(serviceName="client")["taskArns"] == [arn], "the same task"
    for name in ("client", "shop"):
        aws.update_service(service=name, desiredCount=0)
        aws.delete_service(service=name)
