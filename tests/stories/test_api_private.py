"""APIs in front of what runs here and is not on the Internet: services of ECS, by load balancers and by Cloud Map."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.apps_kit import Site
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, fargate, push_tools
from tests.elb_kit import free_port
from tests.stories.test_ecs_services_balanced import balanced, web
from tests.stories.test_ecs_services_kept import create, delete, stable
from tests.support import Process, until

pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("private") / "data") as cloud:
        cloud.client("ecs").create_cluster(clusterName="default")
        yield cloud


@pytest.fixture(scope="module")
def image(cloud) -> str:
    return push_tools(cloud)


def linked(cloud: Process, target: str, **integration: Any) -> tuple[Site, Any]:
    """An HTTP API that gives everything to a target behind a VPC link."""
    v2 = cloud.client("apigatewayv2")
    subnets = [one["SubnetId"] for one in cloud.client("ec2").describe_subnets()["Subnets"][:2]]
    link = v2.create_vpc_link(Name="inside", SubnetIds=subnets)["VpcLinkId"]
    until(lambda: v2.get_vpc_link(VpcLinkId=link)["VpcLinkStatus"] == "AVAILABLE", "the link is there")
    api = v2.create_api(Name="private", ProtocolType="HTTP")["ApiId"]
    made = v2.create_integration(
        ApiId=api, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", IntegrationUri=target,
        PayloadFormatVersion="1.0", ConnectionType="VPC_LINK", ConnectionId=link, **integration,
    )["IntegrationId"]  # fmt: skip
    v2.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{made}")
    v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return Site(cloud, api), v2


def test_a_service_behind_a_load_balancer_and_while_it_is_deployed(cloud, image):
    aws, elb, port = cloud.client("ecs"), cloud.client("elbv2"), free_port()
    group, _ = balanced(cloud, port)
    create(aws, cloud, "web", web(aws, image, 1), desiredCount=2,
           loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}])  # fmt: skip
    stable(aws, "web")
    balancer = elb.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"]
    site, _ = linked(cloud, listener)
    answer = site.get("/")
    assert (answer.status, answer.body.split()[0]) == (200, b"1")
    assert len({site.get("/").body for _ in range(8)}) == 2, "both tasks answer"
    assert site.get("/nothing").status == 404
    aws.update_service(service="web", taskDefinition=web(aws, image, 2))
    seen = set()

    def rolled() -> bool:
        answer = site.get("/")
        seen.add(answer.status)
        return answer.body.startswith(b"2")

    until(rolled, "the second version answers", 60)
    stable(aws, "web")
    assert seen == {200}

    rest = cloud.client("apigateway")
    api = rest.create_rest_api(name="public")
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    rest.put_method(**where, authorizationType="NONE")
    name = elb.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["DNSName"]
    uri = f"http://127.0.0.1:{cloud.endpoint.rpartition(':')[2]}/"
    rest.put_integration(
        **where, type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri,
        requestParameters={"integration.request.header.Host": f"'{name}'"},
    )  # fmt: skip
    rest.create_deployment(restApiId=api["id"], stageName="dev")
    assert Site(cloud, api["id"], "dev").get("/").body.startswith(b"2")
    delete(aws, "web")
    assert site.get("/").status == 503


def test_a_rest_api_behind_a_network_load_balancer(cloud, image):
    aws, elb, rest, port = (*map(cloud.client, ("ecs", "elbv2", "apigateway")), free_port())
    subnets = cloud.client("ec2").describe_subnets()["Subnets"]
    group = elb.create_target_group(
        Name="tcp", Protocol="TCP", Port=8080, VpcId=subnets[0]["VpcId"], TargetType="ip", HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    balancer = elb.create_load_balancer(
        Name="net", Type="network", Scheme="internal", Subnets=[one["SubnetId"] for one in subnets[:2]]
    )["LoadBalancers"][0]
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="TCP", Port=port,
                        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])  # fmt: skip
    create(aws, cloud, "tcp", web(aws, image, 3), desiredCount=1,
           loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}])  # fmt: skip
    stable(aws, "tcp")
    link = rest.create_vpc_link(name="net", targetArns=[balancer["LoadBalancerArn"]])["id"]
    until(lambda: rest.get_vpc_link(vpcLinkId=link)["status"] == "AVAILABLE", "the link is there")
    api = rest.create_rest_api(name="private")
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "ANY"}
    rest.put_method(**where, authorizationType="NONE")
    rest.put_integration(
        **where, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"http://{balancer['DNSName']}:{port}/",
        connectionType="VPC_LINK", connectionId="${stageVariables.link}",
    )  # fmt: skip
    rest.create_deployment(restApiId=api["id"], stageName="dev", variables={"link": link})
    site = Site(cloud, api["id"], "dev")
    answer = until(lambda: (told := site.get("/")).status == 200 and told, "the task answers", 40)
    assert answer.body.split()[0] == b"3"
    delete(aws, "tcp")


def test_a_service_by_its_name_in_cloud_map(cloud, image):
    aws, discovery = cloud.client("ecs"), cloud.client("servicediscovery")
    vpc = cloud.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    operation = discovery.create_private_dns_namespace(Name="shop.local", Vpc=vpc)["OperationId"]
    until(
        lambda: discovery.get_operation(OperationId=operation)["Operation"]["Status"] == "SUCCESS",
        "the namespace",
    )
    namespace = next(
        one["Id"] for one in discovery.list_namespaces()["Namespaces"] if one["Name"] == "shop.local"
    )
    registry = discovery.create_service(
        Name="found", NamespaceId=namespace, DnsConfig={"DnsRecords": [{"Type": "SRV", "TTL": 10}]}
    )["Service"]  # fmt: skip
    container = {"name": "web", "image": image, "command": ["/bin/web"], "portMappings": [{"containerPort": 8080}],
                 "environment": [{"name": "VERSION", "value": "map"}]}  # fmt: skip
    create(
        aws, cloud, "found", fargate(aws, "found", container), desiredCount=2,
        serviceRegistries=[{"registryArn": registry["Arn"], "containerName": "web", "containerPort": 8080}],
    )  # fmt: skip
    stable(aws, "found")
    site, _ = linked(cloud, registry["Arn"])
    answer = until(lambda: (told := site.get("/")).status == 200 and told, "a task answers", 40)
    assert answer.body.split()[0] == b"map"
    assert len({site.get("/").body for _ in range(24)}) == 2, "both tasks answer"
    delete(aws, "found")
    until(lambda: site.get("/").status == 503, "nobody is left")
