"""What a hostile program in a task tries against its neighbours, the machine and the cloud, in real containers."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, address, fargate, logs, network, push_tools, running, shell, stopped, task
from tests.support import Process, until

pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("escapes") / "data", "--overcommit", "8") as made:
        made.client("ecs").create_cluster()
        made.client("logs").create_log_group(logGroupName="/t")
        yield made


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


class Attacker:
    """Runs scripts in tasks."""

    def __init__(self, cloud: Process, image: str) -> None:
        self.cloud, self.image, self.ecs = cloud, image, cloud.client("ecs")

    def start(self, script: str, *, container: dict[str, Any] | None = None, **more: Any) -> str:
        """A task on Fargate that runs a script; its ARN."""
        family = f"f{secrets.token_hex(4)}"
        options = {"awslogs-group": "/t", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "x"}
        logged = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
        definition = fargate(
            self.ecs, family, shell(self.image, script, **({"stopTimeout": 2} | logged | (container or {}))),
            taskRoleArn="arn:aws:iam::000000000000:role/task", **more,
        )  # fmt: skip
        answer = self.ecs.run_task(
            taskDefinition=definition, launchType="FARGATE", networkConfiguration=network(self.cloud)
        )
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def says(self, script: str, seconds: float = 60, **more: Any) -> str:
        """What a script prints, to its end."""
        arn = self.start(script, **more)
        done = stopped(self.ecs, arn, seconds)
        one = done["containers"][0]
        assert one.get("exitCode") is not None, (done.get("stoppedReason"), one.get("reason"))
        return "\n".join(logs(self.cloud, "/t", f"x/main/{arn.split('/')[-1]}"))


@pytest.fixture(scope="module")
def attacker(cloud: Process, image: str) -> Attacker:
    return Attacker(cloud, image)


@pytest.fixture(scope="module")
def victim(attacker: Attacker, cloud: Process) -> dict[str, Any]:
    """A task that says where its keys are, and serves a page."""
    arn = attacker.start(
        "env; mkdir -p /w; echo victim > /w/index.html; exec httpd -f -p 8080 -h /w",
        container={"portMappings": [{"containerPort": 8080}]},
    )
    described = running(attacker.ecs, arn)
    stream = f"x/main/{arn.split('/')[-1]}"

    def told() -> list[str]:
        with contextlib.suppress(ClientError):
            return [one for one in logs(cloud, "/t", stream) if "RELATIVE_URI" in one]
        return []

    said = until(told, "it says", 20)
    return described | {"keys": said[0].split("=", 1)[1], "address": address(described)}


def test_the_keys_and_metadata_of_another_task_are_out_of_reach(attacker: Attacker, victim: dict[str, Any]):
    """By its ids at my own endpoint; by its address; by giving its address to myself; by routes around."""
    short = victim["taskArn"].split("/")[-1]
    gateway = ".".join([*victim["address"].split(".")[:2], "0", "1"])
    script = f"""
ask() {{ timeout 4 wget -q -O - "$1" 2>/dev/null; }}
ask http://169.254.170.2{victim["keys"]} && echo LEAK own endpoint
ask http://169.254.170.2/v4/{short}-0000000000/task && echo LEAK ids
ask http://169.254.170.2/v4/../v4/{short}/task && echo LEAK dots
for p in 80 51678 51679; do
  ask http://{victim["address"]}:$p{victim["keys"]} && echo LEAK its address $p
  ask http://{gateway}:$p{victim["keys"]} && echo LEAK gateway $p
done
ip route add 169.254.170.2/32 via {victim["address"]} 2>/dev/null && echo LEAK route
ip addr add {victim["address"]}/16 dev eth0 2>/dev/null && echo LEAK address
ip link set eth0 address 02:00:00:00:00:01 2>/dev/null && echo LEAK hardware address
ask http://169.254.169.254/latest/meta-data/ && echo LEAK imds
ask http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI >/dev/null && echo mine works
ask http://{victim["address"]}:8080/
"""
    assert attacker.says(script).split("\n") == ["mine works", "victim"]


def test_what_the_machine_listens_at_is_out_of_reach(attacker: Attacker, cloud: Process):
    """At every address, at 127.0.0.1, through the gateway and the machine's own addresses; but for the cloud."""
    with socket.socket() as everywhere, socket.socket() as here:
        for sock, where in ((everywhere, "0.0.0.0"), (here, "127.0.0.1")):
            sock.bind((where, 0))
            sock.listen(8)
        ports = f"{everywhere.getsockname()[1]} {here.getsockname()[1]} 22"
        mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with mine:
            mine.connect(("192.0.2.77", 9))
            host = mine.getsockname()[0]
        script = f"""
gw=$(ip route | awk '/default/ {{print $3}}')
for a in $gw {host} 127.0.0.1 127.0.0.53 169.254.170.2 host.docker.internal; do
  for p in {ports}; do timeout 3 nc -w 2 $a $p </dev/null >/dev/null 2>&1 && echo LEAK $a $p; done
done
cat /proc/net/tcp | wc -l > /dev/null
echo done
"""
        assert attacker.says(script) == "done"
        for sock in (everywhere, here):
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.accept()


def test_the_kernel_the_devices_and_the_data_folder_are_not_to_be_had(attacker: Attacker, cloud: Process):
    script = f"""
w() {{ (echo 1 > "$1") 2>/dev/null && echo "LEAK wrote $1"; }}
w /proc/sys/kernel/core_pattern; w /proc/sysrq-trigger; w /proc/sys/vm/drop_caches; w /sys/kernel/uevent_helper
w /proc/sys/net/ipv4/ip_forward; w /proc/irq/0/smp_affinity
(echo -1000 > /proc/self/oom_score_adj) 2>/dev/null && echo LEAK is never killed
for f in $(ls -d /sys/fs/cgroup/*/ 2>/dev/null | head -20); do mkdir $f/x 2>/dev/null && echo LEAK $f; done
w /sys/fs/cgroup/memory/cgroup.procs; w /sys/fs/cgroup/memory/release_agent
timeout 2 head -c 1 /proc/kcore 2>/dev/null | grep -q . && echo LEAK kcore
for d in "b 8 0" "b 259 0" "b 254 0" "c 1 1" "c 1 2" "c 1 11" "c 10 200"; do
  rm -f /tmp/d; busybox mknod /tmp/d $d 2>/dev/null && timeout 2 head -c 1 /tmp/d >/dev/null 2>&1 && echo "LEAK device $d"
done
mount -t tmpfs x /mnt 2>/dev/null && echo LEAK mount
mount -t proc x /tmp 2>/dev/null && echo LEAK proc
mount -o remount,rw /sys 2>/dev/null && echo LEAK remount
busybox unshare -Urm true 2>/dev/null && echo LEAK unshare
busybox chroot /proc/1/root test -e {cloud.data} 2>/dev/null && echo LEAK root
test -e {cloud.data}/cumulo.db && echo LEAK data
busybox nsenter -t 1 -m true 2>/dev/null; ls /proc | grep -c '^[0-9]' | awk '$1 > 60 {{print "LEAK pids"}}'
ls /run /var/run 2>/dev/null | grep -i -E "cumulo|docker|containerd" && echo LEAK sockets
timeout 2 busybox reboot -f 2>/dev/null; busybox hostname pwned 2>/dev/null && echo LEAK hostname
grep -E " / / | /tmp " /proc/self/mountinfo | grep -v overlay && echo LEAK mounts
echo done
"""
    before = socket.gethostname()
    assert attacker.says(script) == "done"
    assert socket.gethostname() == before


def test_links_in_a_file_system_lead_nowhere(attacker: Attacker, cloud: Process):
    """A root directory that is a link of a task's making is refused, whatever it points to."""
    secret = cloud.data / "admin-token"
    assert secret.exists()
    system = "fs-00000000000000aa"

    def efs(root: str) -> dict[str, Any]:
        return {
            "volumes": [
                {"name": "v", "efsVolumeConfiguration": {"fileSystemId": system, "rootDirectory": root}}
            ]
        }

    point = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    made = attacker.says(
        f"mkdir -p /v/a; cd /v; busybox ln -s / out; busybox ln -s {cloud.data} data; busybox ln -s ../.. up;"
        " busybox ln -s / a/b; echo made", container=point, **efs("/"),
    )  # fmt: skip
    assert made == "made"
    for root in ("/out", "/data", "/up", "/a/b", "/out/etc", "/a/../../..", "/..", "/a/b/root"):
        try:
            arn = attacker.start("ls /v", container=point, **efs(root))
        except attacker.ecs.exceptions.ClientException:
            continue
        done = stopped(attacker.ecs, arn)
        assert done["containers"][0].get("exitCode") is None, root
        assert str(cloud.data) not in str(done.get("stoppedReason")), "the machine's paths stay unknown"


def test_a_folder_that_is_exchanged_for_a_link_in_time_is_not_followed(tmp_path: Path):
    """Between the making of a folder and its mount a container may put a link there."""
    from cumulo.engines.engine import Mount, MountKind, StartFailed
    from cumulo.engines.local.preparing import open_binds
    from cumulo.services.ecs.running import folders

    prize = tmp_path / "prize"
    prize.mkdir()
    (prize / "secret").write_text("x")
    below = tmp_path / "efs"
    place = folders.make(str(below), ("fs-1", "dir", "in"))
    mount = Mount(target="/v", kind=MountKind.BIND, source=str(place), below=str(below))
    opened = open_binds([mount])
    for fd in opened.values():
        os.close(fd)
    assert list(opened) == ["/v"]
    for link in (place, place.parent):
        folders.make(str(below), ("fs-1", "dir", "in"))
        aside = link.with_name("aside")
        link.rename(aside)
        link.symlink_to(prize)
        (prize / "in").mkdir(exist_ok=True)
        with pytest.raises(StartFailed):
            open_binds([mount])
        link.unlink()
        aside.rename(link)


def test_volumes_of_another_task_have_other_names_and_hostile_mounts_stay_inside(
    attacker: Attacker, cloud: Process
):
    """Volumes that are called alike are not the same; a target of `..` or of /proc does not leave the container."""
    volume = {"volumes": [{"name": "shared"}]}
    point = {"mountPoints": [{"sourceVolume": "shared", "containerPath": "/v"}]}
    assert attacker.says("echo secret > /v/x; echo ok", container=point, **volume) == "ok"
    assert attacker.says("ls /v; echo end", container=point, **volume) == "end"
    for path in ("/../../../../tmp/x", "/proc", "/proc/self/root", "/sys/kernel", "/dev/../../x", "//", "/."):
        before = sorted(os.listdir("/tmp"))
        try:
            arn = attacker.start(
                "echo pwned > /tmp/x/pwned; ls", **volume,
                container={"mountPoints": [{"sourceVolume": "shared", "containerPath": path}]},
            )  # fmt: skip
        except attacker.ecs.exceptions.ClientException:
            continue
        stopped(attacker.ecs, arn)
        assert not Path("/tmp/x/pwned").exists(), path
        assert "x" not in set(os.listdir("/tmp")) - set(before), path
    assert cloud.client("ecs").list_clusters()["clusterArns"]


def test_memory_file_systems_are_memory_and_nothing_else(attacker: Attacker):
    for words in (["bind"], ["rbind"], ["remount"], ["size=90%"], ["dev", "suid", "exec"], ["rshared"]):
        tmpfs = [{"containerPath": "/m", "size": 4, "mountOptions": words}]
        try:
            arn = attacker.start(
                "busybox df -k /m | tail -1; ls /m; dd if=/dev/zero of=/m/x bs=1M count=30 2>/dev/null;"
                " busybox du -k /m/x | awk '$1 > 4096 {print \"LEAK size\"}'",
                container={"linuxParameters": {"tmpfs": tmpfs}},
            )  # fmt: skip
        except attacker.ecs.exceptions.ClientException:
            continue
        done = stopped(attacker.ecs, arn)
        if done["containers"][0].get("exitCode") is None:
            continue
        said = logs(attacker.cloud, "/t", f"x/main/{arn.split('/')[-1]}")
        assert "LEAK size" not in said, (words, said)


def test_a_fork_bomb_and_a_memory_hog_hurt_only_themselves(attacker: Attacker, victim: dict[str, Any]):
    bomb = attacker.start("f() { f | f & }; for i in $(seq 100); do sleep 1000 & done; f; sleep 20")
    hog = attacker.start("exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'")
    done = stopped(attacker.ecs, hog, 60)
    assert done["containers"][0]["exitCode"] == 137, done
    assert "OutOfMemory" in done["containers"][0].get("reason", ""), done
    assert task(attacker.ecs, victim["taskArn"])["lastStatus"] == "RUNNING"
    attacker.ecs.stop_task(task=bomb)
    stopped(attacker.ecs, bomb, 60)
    assert attacker.says("echo alive") == "alive"


def test_processes_of_a_task_are_bounded(attacker: Attacker):
    """Long before the machine has no more of them."""
    said = attacker.says(
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; cat /proc/self/cgroup | head -20;"
        " echo end"
    )
    assert said.endswith("end")
    ids = attacker.start("sleep 100")
    running(attacker.ecs, ids)
    short = ids.split("/")[-1]
    found = [
        path.read_text().strip()
        for top in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
        for path in top.glob(f"cumulopods-*/ecs-{short}/pids.max")
    ]
    attacker.ecs.stop_task(task=ids)
    assert any(one.isdigit() and int(one) <= 8192 for one in found), found


def test_a_flood_of_the_endpoints_and_of_the_log_leaves_the_cloud_answering(
    attacker: Attacker, victim: dict[str, Any], cloud: Process
):
    flood = attacker.start(
        "for i in $(seq 60); do (while true; do"
        " timeout 5 wget -q -O /dev/null http://169.254.170.2/v4/x/task/stats 2>/dev/null;"
        " timeout 5 wget -q -O /dev/null ${ECS_CONTAINER_METADATA_URI_V4}/task/stats 2>/dev/null; done) & done;"
        " for i in $(seq 700); do (busybox nc 169.254.170.2 51678 < /dev/zero >/dev/null 2>&1) & done; sleep 60"
    )
    noise = attacker.start("i=0; while [ $i -lt 40000 ]; do echo $i; i=$((i+1)); done; echo end; sleep 60")
    running(attacker.ecs, flood)
    running(attacker.ecs, noise)
    import time

    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        assert attacker.ecs.list_tasks()["taskArns"]
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)  # a steady observer, not a wait for anything
    for arn in (flood, noise):
        attacker.ecs.stop_task(task=arn)
    for arn in (flood, noise):
        stopped(attacker.ecs, arn, 60)
    assert slowest < 5, f"ListTasks took {slowest:.1f} s"
    assert task(attacker.ecs, victim["taskArn"])["lastStatus"] == "RUNNING"


def test_names_and_values_with_hostile_characters_stay_what_they_are(attacker: Attacker):
    """In environment, labels, hostname, commands: a value reaches the container as it is, or is refused by name."""
    values = ["a\nINJECTED=1", "../../etc", "a\x1b[31m", "é\u202e\U0001f600", "$(id)", "a'b\"c`d"]
    environment = [{"name": f"V{number}", "value": value} for number, value in enumerate(values)]
    said = attacker.says(
        'test -z "$INJECTED" && printf "%s" "$V0" | wc -l && printf "%s" "$V4" && echo && printf "%s" "$V3" | wc -c',
        container={"environment": environment, "dockerLabels": {"a\nb": "../../x", "é": values[3]}},
    )
    assert said.split() == ["1", "$(id)", "9"]
    hostile = [
        {"environment": [{"name": "A\0B", "value": "x"}]},
        {"environment": [{"name": "A", "value": "x\0y"}]},
        {"environment": [{"name": "A=B", "value": "x"}]},
        {"workingDirectory": "/tmp/../../../etc\0x"},
        {"user": "root\0"},
        {"user": "0:0\nroot"},
        {"dockerLabels": {"x": "y\0"}},
    ]
    for container in hostile:
        try:
            arn = attacker.start("test ! -e /never; echo end", container=container)
        except attacker.ecs.exceptions.ClientError:
            continue
        done = stopped(attacker.ecs, arn)
        assert done["lastStatus"] == "STOPPED", container
    assert attacker.says("echo alive") == "alive"


def test_the_machines_own_names_cannot_be_taken(attacker: Attacker, cloud: Process):
    """A namespace of Cloud Map that is called like the host leads nobody astray."""
    sd = cloud.client("servicediscovery")
    vpc = cloud.client("ec2").describe_subnets()["Subnets"][0]["VpcId"]
    ecs = attacker.ecs
    for name, service in (("docker.internal", "host"), ("localhost", "elb")):
        try:
            operation = sd.create_private_dns_namespace(Name=name, Vpc=vpc)["OperationId"]
        except sd.exceptions.ClientError:
            continue
        target = until(
            lambda o=operation: sd.get_operation(OperationId=o)["Operation"].get("Targets", {}).get("NAMESPACE"),
            "a namespace", 20,
        )  # fmt: skip
        registry = sd.create_service(
            Name=service, NamespaceId=target,
            DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 5}], "RoutingPolicy": "MULTIVALUE"},
        )["Service"]["Arn"]  # fmt: skip
        definition = fargate(ecs, f"taker-{service}", shell(attacker.image, "sleep 1000"))
        ecs.create_service(
            serviceName=f"taker-{service}", taskDefinition=definition, desiredCount=1, launchType="FARGATE",
            networkConfiguration=network(cloud), serviceRegistries=[{"registryArn": registry}],
        )  # fmt: skip
        until(
            lambda s=service: ecs.describe_services(services=[f"taker-{s}"])["services"][0]["runningCount"],
            "it runs", 40,
        )  # fmt: skip
    said = attacker.says(
        "gw=$(ip route | awk '/default/ {print $3}'); echo gw $gw;"
        " nslookup host.docker.internal | awk '/^Address/ && !/:53/ {print $NF}'"
    )
    found = said.split("\n")
    assert set(found[1:]) == {found[0].removeprefix("gw ")}, said


def test_a_task_without_a_network_reaches_nothing(attacker: Attacker):
    """Network mode none: not even the endpoint."""
    ecs = attacker.ecs
    arn = ecs.register_task_definition(
        family="none", networkMode="none", requiresCompatibilities=["EC2"],
        containerDefinitions=[shell(attacker.image, "true", memory=64)],
    )["taskDefinition"]["taskDefinitionArn"]  # fmt: skip
    assert ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["networkMode"] == "none"
