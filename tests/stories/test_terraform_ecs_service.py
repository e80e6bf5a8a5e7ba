"""Terraform's AWS provider makes a whole ECS application with its neighbours, changes it and takes it away again.

A service behind a load balancer that scales with its load, one that others find by name, and one on instances that a
capacity provider brings.  Between two changes Terraform sees nothing to change.
"""

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, push_tools
from tests.elb_kit import free_port
from tests.stories.test_terraform import Terraform
from tests.support import Process, until

pytestmark = needs_local
SERVICES = (
    "applicationautoscaling",
    "autoscaling",
    "cloudwatch",
    "ec2",
    "ecs",
    "elbv2",
    "servicediscovery",
    "ssm",
)
NETWORK = """
variable "image" {}
variable "port" { type = number }
variable "message" { default = "1" }
variable "wanted" { default = 1 }
data "aws_vpc" "net" { default = true }
data "aws_subnets" "net" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.net.id]
  }
}
resource "aws_security_group" "web" {
  vpc_id = data.aws_vpc.net.id
  ingress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_iam_role" "run" {
  name               = "run"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }] })
}
resource "aws_cloudwatch_log_group" "web" { name = "web" }
resource "aws_ecs_cluster" "main" { name = "main" }
"""
BALANCED = """
resource "aws_lb" "web" {
  name            = "web"
  subnets         = slice(sort(data.aws_subnets.net.ids), 0, 2)
  security_groups = [aws_security_group.web.id]
}
resource "aws_lb_target_group" "web" {
  name                 = "web"
  port                 = 8080
  protocol             = "HTTP"
  vpc_id               = data.aws_vpc.net.id
  target_type          = "ip"
  deregistration_delay = 1
  health_check {
    path                = "/"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}
resource "aws_lb_listener" "web" {
  load_balancer_arn = aws_lb.web.arn
  port              = var.port
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}
resource "aws_ecs_task_definition" "web" {
  family                   = "web"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.run.arn
  container_definitions = jsonencode([{
    name         = "app"
    image        = var.image
    command      = ["web"]
    environment  = [{ name = "VERSION", value = var.message }]
    portMappings = [{ containerPort = 8080, name = "http" }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.web.name
        awslogs-region        = "us-east-1"
        awslogs-stream-prefix = "app"
      }
    }
  }])
}
resource "aws_ecs_service" "web" {
  name                               = "web"
  cluster                            = aws_ecs_cluster.main.id
  task_definition                    = aws_ecs_task_definition.web.arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  wait_for_steady_state              = true
  health_check_grace_period_seconds  = 60
  deployment_minimum_healthy_percent = 100
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = data.aws_subnets.net.ids
    security_groups  = [aws_security_group.web.id]
    assign_public_ip = true
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.web.arn
    container_name   = "app"
    container_port   = 8080
  }
  tags       = { team = "shop" }
  depends_on = [aws_lb_listener.web]
  lifecycle { ignore_changes = [desired_count] }
}
resource "aws_appautoscaling_target" "web" {
  min_capacity       = 1
  max_capacity       = 3
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.web.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  service_namespace  = "ecs"
}
resource "aws_appautoscaling_policy" "web" {
  name               = "by-cpu"
  policy_type        = "TargetTrackingScaling"
  resource_id        = aws_appautoscaling_target.web.resource_id
  scalable_dimension = aws_appautoscaling_target.web.scalable_dimension
  service_namespace  = aws_appautoscaling_target.web.service_namespace
  target_tracking_scaling_policy_configuration {
    target_value = 60
    predefined_metric_specification { predefined_metric_type = "ECSServiceAverageCPUUtilization" }
  }
}
data "aws_ecs_service" "web" {
  service_name = aws_ecs_service.web.name
  cluster_arn  = aws_ecs_cluster.main.arn
}
output "dns" { value = aws_lb.web.dns_name }
output "group" { value = aws_lb_target_group.web.arn }
"""
FOUND = """
resource "aws_service_discovery_private_dns_namespace" "shop" {
  name = "shop.local"
  vpc  = data.aws_vpc.net.id
}
resource "aws_service_discovery_service" "api" {
  name = "api"
  dns_config {
    namespace_id = aws_service_discovery_private_dns_namespace.shop.id
    dns_records {
      ttl  = 10
      type = "A"
    }
  }
  force_destroy = true
}
resource "aws_ecs_task_definition" "api" {
  family                   = "api"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.run.arn
  container_definitions = jsonencode([{
    name    = "api"
    image   = var.image
    command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
  }])
}
resource "aws_ecs_service" "api" {
  name            = "api"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.api.arn
  desired_count   = var.wanted
  launch_type     = "FARGATE"
  network_configuration {
    subnets         = data.aws_subnets.net.ids
    security_groups = [aws_security_group.web.id]
  }
  service_registries { registry_arn = aws_service_discovery_service.api.arn }
}
"""
INSTANCES = """
data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}
resource "aws_launch_template" "hosts" {
  name_prefix   = "hosts"
  image_id      = data.aws_ssm_parameter.ami.value
  instance_type = "t3.micro"
  user_data     = base64encode("#!/bin/bash\\necho ECS_CLUSTER=main >> /etc/ecs/ecs.config\\n")
}
resource "aws_autoscaling_group" "hosts" {
  name                = "hosts"
  min_size            = 0
  max_size            = 2
  vpc_zone_identifier = data.aws_subnets.net.ids
  launch_template {
    id      = aws_launch_template.hosts.id
    version = "$Latest"
  }
  tag {
    key                 = "AmazonECSManaged"
    value               = ""
    propagate_at_launch = true
  }
  lifecycle { ignore_changes = [desired_capacity] }
}
resource "aws_ecs_capacity_provider" "hosts" {
  name = "hosts"
  auto_scaling_group_provider {
    auto_scaling_group_arn = aws_autoscaling_group.hosts.arn
    managed_scaling {
      status          = "ENABLED"
      target_capacity = 100
    }
  }
}
resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = [aws_ecs_capacity_provider.hosts.name]
}
resource "aws_ecs_task_definition" "host" {
  family = "host"
  container_definitions = jsonencode([{
    name    = "app"
    image   = var.image
    memory  = 32
    command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
  }])
}
resource "aws_ecs_service" "host" {
  name                  = "host"
  cluster               = aws_ecs_cluster.main.id
  task_definition       = aws_ecs_task_definition.host.arn
  desired_count         = 1
  wait_for_steady_state = true
  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.hosts.name
    weight            = 1
  }
  ordered_placement_strategy {
    type  = "binpack"
    field = "memory"
  }
  depends_on = [aws_ecs_cluster_capacity_providers.main]
}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Process]:
    with a_region(tmp_path / "data", "--pace", "20") as made:
        yield made


def terraform(cloud: Process, folder: Path, text: str, port: int) -> Terraform:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    folder.mkdir()
    made = Terraform(folder, cloud.endpoint, NETWORK + text)
    main = folder / "main.tf"
    endpoints = "".join(f"    {name} = var.endpoint\n" for name in SERVICES)
    main.write_text(main.read_text().replace("  endpoints {\n", "  endpoints {\n" + endpoints))
    made.env |= {"TF_VAR_image": push_tools(cloud), "TF_VAR_port": str(port)}
    done = made.run("init", "-no-color")
    if "Failed to query available provider packages" in done.stderr:
        pytest.skip(f"terraform has no AWS provider here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def apply(tool: Terraform, *more: str) -> None:
    tool.must("apply", "-auto-approve", "-no-color", *(f"-var={one}" for one in more))


def answer(port: int, host: str) -> str:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        asking.request("GET", "/", headers={"Host": host})
        found = asking.getresponse()
        assert found.status == 200
        return found.read().decode()
    finally:
        asking.close()


def test_a_balanced_service_that_scales_is_made_changed_and_destroyed(cloud: Process, tmp_path: Path):
    port = free_port()
    tool = terraform(cloud, tmp_path / "tf", BALANCED, port)
    apply(tool)
    tool.sees_nothing_to_change()
    host = json.loads(tool.must("output", "-json"))["dns"]["value"]
    assert answer(port, host).startswith("1 ")
    apply(tool, "message=2")
    assert until(lambda: answer(port, host).startswith("2 "), "the new version answers", 60)
    aws = cloud.client("ecs")
    (service,) = aws.describe_services(cluster="main", services=["web"], include=["TAGS"])["services"]
    assert service["taskDefinition"].endswith("/web:2")
    assert service["tags"] == [{"key": "team", "value": "shop"}]
    targets = cloud.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")
    assert targets["ScalableTargets"][0]["ResourceId"] == "service/main/web"
    tool.must("destroy", "-auto-approve", "-no-color", "-var=message=2")
    assert aws.list_clusters()["clusterArns"] == []
    assert cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []


def test_a_service_that_is_found_by_name_is_made_changed_and_destroyed(cloud: Process, tmp_path: Path):
    tool = terraform(cloud, tmp_path / "tf", FOUND, 1)
    apply(tool)
    tool.sees_nothing_to_change()
    aws = cloud.client("ecs")

    def running() -> int:
        found = aws.describe_services(cluster="main", services=["api"])["services"][0]["runningCount"]
        return int(found)

    until(lambda: running() == 1, "one task runs", 60)
    apply(tool, "wanted=2")
    until(lambda: running() == 2, "two tasks run", 60)
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.list_clusters()["clusterArns"] == []
    assert cloud.client("servicediscovery").list_namespaces()["Namespaces"] == []


def test_a_service_on_instances_of_a_capacity_provider_is_made_and_destroyed(cloud: Process, tmp_path: Path):
    tool = terraform(cloud, tmp_path / "tf", INSTANCES, 1)
    apply(tool)
    tool.sees_nothing_to_change()
    aws = cloud.client("ecs")
    (service,) = aws.describe_services(cluster="main", services=["host"])["services"]
    assert service["runningCount"] == 1
    assert len(aws.list_container_instances(cluster="main")["containerInstanceArns"]) == 1
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.list_clusters()["clusterArns"] == []
    assert cloud.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
