"""What CloudWatch is told of load balancers."""

import asyncio

from tests.unit.elbv2.elb_api import REGION, Cloud

from cumulo.base.errors import AwsError
from cumulo.services.elbv2.arns import last_part
from cumulo.services.elbv2.counts import FIXED, REDIRECT, Figures
from cumulo.services.elbv2.metrics import APPLICATION, NETWORK, LoadMetrics, since
from cumulo.services.elbv2.model import Health, Standing


class Told:
    """A CloudWatch that keeps what it is told."""

    def __init__(self):
        self.data = {}
        self.refuses = False

    async def put(self, account, region, namespace, data):
        if self.refuses:
            raise AwsError("InternalFailure", "not now", status=500)
        assert region == REGION
        for one in data:
            key = (namespace, one.name, *sorted(one.dimensions.items()))
            assert key not in self.data, f"{key} is told twice"
            self.data[key] = one


class World:
    """A load balancer, a group with two targets, and what they are said to have done."""

    def __init__(self, path, **kind):
        self.cloud = Cloud(path)
        self.balancer = self.cloud.balancer(**kind)
        wanted = {"Protocol": "TCP"} if kind else {}
        self.group = self.cloud.group(**wanted)
        self.cloud.listener(self.balancer, self.group, **wanted)
        self.group_arn = self.group["TargetGroupArn"]
        self.records = self.cloud.house._records
        self.counts = self.cloud.house._counts
        self.told = Told()
        self.loop = LoadMetrics(self.records, self.counts, self.told, self.cloud.clock)
        self.of_balancer = ("LoadBalancer", last_part(self.balancer["LoadBalancerArn"]))
        self.of_group = ("TargetGroup", last_part(self.group_arn))

    def register(self, *states):
        targets = [{"Id": f"10.0.0.{number + 1}"} for number in range(len(states))]
        self.cloud.client.register_targets(TargetGroupArn=self.group_arn, Targets=targets)
        for number, one in enumerate(sorted(self.records.targets.all(), key=lambda one: one.id)):
            self.records.targets.put(_with(one, states[number]))

    def request(self, status=200, seconds=0.5, *, of_target=True, group=True, note=""):
        arn = self.group_arn if group else ""
        self.counts.request(
            self.balancer["LoadBalancerArn"], arn, status, seconds, of_target=of_target, note=note
        )

    def publish(self):
        self.told.data.clear()
        asyncio.run(self.loop.publish())
        return self.told.data

    def close(self):
        self.cloud.close()


def _with(target, health):
    from msgspec.structs import replace

    return replace(target, standing=Standing(health=health))


def test_requests_are_told_by_load_balancer_and_by_group_and_per_target(tmp_path):
    it = World(tmp_path)
    it.register(Health.HEALTHY, Health.UNHEALTHY)
    for seconds in (0.1, 0.5, 0.3):
        it.request(seconds=seconds)
    it.request(404)
    told = it.publish()
    both = (it.of_balancer, it.of_group)
    assert told[APPLICATION, "RequestCount", it.of_balancer].value == 4
    assert told[APPLICATION, "RequestCount", *both].value == 4
    assert told[APPLICATION, "RequestCountPerTarget", it.of_group].value == 2
    assert told[APPLICATION, "RequestCountPerTarget", *both].value == 2
    assert told[APPLICATION, "HTTPCode_Target_2XX_Count", *both].value == 3
    assert told[APPLICATION, "HTTPCode_Target_4XX_Count", it.of_balancer].value == 1
    times = told[APPLICATION, "TargetResponseTime", *both]
    assert (times.minimum, times.maximum, times.count) == (0.1, 0.5, 4)
    assert times.unit == "Seconds"
    assert told[APPLICATION, "HealthyHostCount", *both].value == 1
    assert told[APPLICATION, "UnHealthyHostCount", *both].value == 1
    it.close()


def test_each_period_tells_only_what_is_new(tmp_path):
    it = World(tmp_path)
    it.register(Health.HEALTHY)
    it.request()
    it.publish()
    it.cloud.clock.advance(60)
    told = it.publish()
    assert (APPLICATION, "RequestCount", it.of_balancer) not in told
    assert told[APPLICATION, "RequestCountPerTarget", it.of_group].value == 0
    it.request()
    it.request()
    assert it.publish()[APPLICATION, "RequestCount", it.of_balancer].value == 2
    it.close()


def test_pages_of_the_load_balancer_are_no_requests_of_targets(tmp_path):
    it = World(tmp_path)
    it.register(Health.HEALTHY)
    it.request(503, of_target=False)
    it.request(502, of_target=False)
    it.request(301, of_target=False, group=False, note=REDIRECT)
    it.request(404, of_target=False, group=False, note=FIXED)
    told = it.publish()
    assert (
        told[APPLICATION, "RequestCount", it.of_balancer].value == 1
    )  # a target was chosen, and was not there
    assert told[APPLICATION, "TargetConnectionErrorCount", it.of_balancer].value == 1
    assert told[APPLICATION, "HTTPCode_ELB_5XX_Count", it.of_balancer].value == 2
    assert told[APPLICATION, "HTTPCode_ELB_503_Count", it.of_balancer].value == 1
    assert told[APPLICATION, "HTTPCode_ELB_3XX_Count", it.of_balancer].value == 1
    assert told[APPLICATION, "HTTP_Redirect_Count", it.of_balancer].value == 1
    assert told[APPLICATION, "HTTP_Fixed_Response_Count", it.of_balancer].value == 1
    assert not any(name.startswith("HTTPCode_ELB") and len(whose) > 1 for _, name, *whose in told)
    it.close()


def test_a_group_without_targets_has_no_share(tmp_path):
    it = World(tmp_path)
    it.request(503, of_target=False)
    told = it.publish()
    assert not any(name == "RequestCountPerTarget" for _, name, *_ in told)
    assert told[APPLICATION, "HealthyHostCount", it.of_balancer, it.of_group].value == 0
    it.close()


def test_network_load_balancers_tell_flows(tmp_path):
    it = World(tmp_path, Type="network")
    it.register(Health.HEALTHY)
    it.counts.connection(it.balancer["LoadBalancerArn"], it.group_arn, 1000)
    it.counts.connection(it.balancer["LoadBalancerArn"], it.group_arn, 24)
    told = it.publish()
    assert told[NETWORK, "NewFlowCount", it.of_balancer].value == 2
    assert told[NETWORK, "ProcessedBytes", it.of_balancer].value == 1024
    assert told[NETWORK, "HealthyHostCount", it.of_balancer, it.of_group].value == 1
    assert not any(space == APPLICATION for space, *_ in told)
    it.close()


def test_a_cloudwatch_that_refuses_is_told_again_in_the_next_period(tmp_path):
    it = World(tmp_path)
    it.told.refuses = True
    it.request()
    it.publish()
    it.told.refuses = False
    it.request()
    assert it.publish()[APPLICATION, "RequestCount", it.of_balancer].value == 1
    it.close()


def test_times_are_those_of_the_period_that_is_over(tmp_path):
    it = World(tmp_path)
    it.request()
    now = it.cloud.clock.now()
    it.cloud.clock.advance(60 - now % 60 + 0.2)
    told = it.publish()
    assert told[APPLICATION, "RequestCount", it.of_balancer].at == now // 60 * 60
    it.close()


def test_figures_of_groups_that_are_gone_are_forgotten(tmp_path):
    it = World(tmp_path)
    it.request()
    client = it.cloud.client
    client.delete_load_balancer(LoadBalancerArn=it.balancer["LoadBalancerArn"])
    client.delete_target_group(TargetGroupArn=it.group_arn)
    it.publish()
    assert it.group_arn not in it.counts.snapshot()
    it.close()


def test_what_is_between_two_moments_is_their_difference():
    before = Figures(requests=3, routed=2, by_target={"2XX": 2}, seconds=1.0, timed=2)
    now = Figures(requests=5, routed=4, by_target={"2XX": 3, "5XX": 1}, seconds=1.5, timed=4, octets=7)
    done = since(before, now)
    assert (done.requests, done.routed, done.timed, done.octets) == (2, 2, 2, 7)
    assert done.by_target == {"2XX": 1, "5XX": 1}
