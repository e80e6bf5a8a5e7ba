"""Cloud Map of the companions, as the cloud's own services use it, and what clients see of that."""

from collections.abc import Iterator

import pytest
from tests.api.test_companions import Cloud

from cumulo.base.errors import AwsError
from cumulo.companions.discovery import Discovery

ACCOUNT, REGION = "111122223333", "us-east-1"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.close()


def test_a_task_goes_in_and_out_of_a_service_of_a_private_namespace(cloud):
    map_, client = Discovery(cloud.companions), cloud.client("servicediscovery", key=ACCOUNT)
    client.create_private_dns_namespace(Name="corp.local", Vpc="vpc-1")
    [shown] = client.list_namespaces()["Namespaces"]
    namespace = cloud.do(map_.namespace(ACCOUNT, REGION, "corp.local"))
    assert (namespace.id, namespace.arn, namespace.kind) == (shown["Id"], shown["Arn"], "DNS_PRIVATE")
    assert cloud.do(map_.namespace(ACCOUNT, REGION, namespace.arn)) == namespace
    made = client.create_service(
        Name="web",
        DnsConfig={"NamespaceId": namespace.id, "DnsRecords": [{"Type": "A", "TTL": 10}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )["Service"]
    service = cloud.do(map_.service(ACCOUNT, REGION, made["Id"]))
    assert (service.name, service.namespace, service.record_types) == ("web", namespace.id, ("A",))
    assert service.custom_health
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        said = {"AWS_INSTANCE_IPV4": address, "ECS_SERVICE_NAME": "s"}
        cloud.do(map_.register(ACCOUNT, REGION, service.id, "task", said))
    [instance] = client.list_instances(ServiceId=service.id)["Instances"]
    assert (instance["Id"], instance["Attributes"]["AWS_INSTANCE_IPV4"]) == ("task", "10.0.0.2")
    cloud.do(map_.set_health(ACCOUNT, REGION, service.id, "task", healthy=False))
    assert client.get_instances_health_status(ServiceId=service.id)["Status"] == {"task": "UNHEALTHY"}
    for _ in range(2):
        cloud.do(map_.deregister(ACCOUNT, REGION, service.id, "task"))
    assert client.list_instances(ServiceId=service.id)["Instances"] == []
    cloud.do(map_.deregister(ACCOUNT, REGION, "srv-none", "task"))


def test_a_service_for_calls_alone_is_made_once(cloud):
    map_, client = Discovery(cloud.companions), cloud.client("servicediscovery", key=ACCOUNT)
    with pytest.raises(AwsError) as caught:
        cloud.do(map_.namespace(ACCOUNT, REGION, "mesh"))
    assert caught.value.code == "NamespaceNotFound"
    namespace = cloud.do(map_.namespace(ACCOUNT, REGION, "mesh", make=True))
    assert namespace.kind == "HTTP"
    first = cloud.do(map_.service_named(ACCOUNT, REGION, namespace.id, "api"))
    assert cloud.do(map_.service_named(ACCOUNT, REGION, namespace.id, "api")) == first
    assert (first.name, first.namespace, first.record_types) == ("api", namespace.id, ())
    cloud.do(map_.register(ACCOUNT, REGION, first.id, "t", {"AWS_INSTANCE_IPV4": "10.0.0.1"}))
    assert len(client.list_instances(ServiceId=first.id)["Instances"]) == 1


def test_instances_of_clients_have_names_and_each_change_is_heard(cloud):
    account = "444455556666"
    map_, client = Discovery(cloud.companions), cloud.client("servicediscovery", key=account)
    heard = []
    map_.watch(lambda account, region: heard.append((account, region)))
    assert cloud.do(map_.names(account, REGION)) == {}
    client.create_private_dns_namespace(Name="Own.local", Vpc="vpc-2")
    [namespace] = client.list_namespaces()["Namespaces"]
    records = {"NamespaceId": namespace["Id"], "DnsRecords": [{"Type": "A", "TTL": 10}]}
    service = client.create_service(Name="db", DnsConfig=records)["Service"]["Id"]
    assert (heard, cloud.do(map_.names(account, REGION))) == ([], {})
    for number in (1, 2):
        said = {"AWS_INSTANCE_IPV4": f"10.0.0.{number}"}
        client.register_instance(ServiceId=service, InstanceId=f"i{number}", Attributes=said)
    assert heard == [(account, REGION)] * 2
    assert cloud.do(map_.names(account, REGION)) == {"db.own.local": ["10.0.0.1", "10.0.0.2"]}
    client.update_instance_custom_health_status(ServiceId=service, InstanceId="i1", Status="UNHEALTHY")
    assert cloud.do(map_.names(account, REGION)) == {"db.own.local": ["10.0.0.2"]}
    for number in (1, 2):
        client.deregister_instance(ServiceId=service, InstanceId=f"i{number}")
    own = {"AWS_INSTANCE_IPV4": "10.0.0.3", "ECS_SERVICE_NAME": "s"}
    cloud.do(map_.register(account, REGION, service, "task", own))
    assert cloud.do(map_.names(account, REGION)) == {}
    assert len(heard) == 5, "the cloud's own changes are not heard"


def test_what_is_not_there_is_said_by_cloud_maps_names(cloud):
    map_ = Discovery(cloud.companions)
    for asked, code in (
        (map_.service(ACCOUNT, REGION, "srv-none"), "ServiceNotFound"),
        (map_.namespace(ACCOUNT, REGION, "ns-none"), "NamespaceNotFound"),
    ):
        with pytest.raises(AwsError) as caught:
            cloud.do(asked)
        assert caught.value.code == code
