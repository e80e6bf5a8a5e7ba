"""Terraform's own AWS provider makes clusters and task definitions, and sees nothing to change in between."""

import shutil
from pathlib import Path

import pytest
from tests.stories.test_terraform import Terraform
from tests.support import Process

ROLE = """
variable "memory" {
  type    = number
  default = 512
}
variable "insights" { default = "enabled" }
resource "aws_iam_role" "run" {
  name               = "run"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }] })
}
"""
CLUSTER = """
resource "aws_ecs_account_setting_default" "insights" {
  name  = "containerInsights"
  value = var.insights
}
resource "aws_ecs_cluster" "main" {
  name = "main"
  setting {
    name  = "containerInsights"
    value = var.insights
  }
  configuration {
    execute_command_configuration {
      logging = "OVERRIDE"
      log_configuration { cloud_watch_log_group_name = "exec" }
    }
  }
  tags = { team = "shop", insights = var.insights }
}
resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
  default_capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    weight            = 100
    base              = 1
  }
}
data "aws_ecs_cluster" "main" { cluster_name = aws_ecs_cluster.main.name }
"""
DEFINITIONS = """
resource "aws_ecs_task_definition" "web" {
  family                   = "web"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.run.arn
  task_role_arn            = aws_iam_role.run.arn
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }
  ephemeral_storage { size_in_gib = 30 }
  volume { name = "scratch" }
  volume {
    name = "shared"
    efs_volume_configuration {
      file_system_id     = "fs-12345678"
      transit_encryption = "ENABLED"
    }
  }
  container_definitions = jsonencode([
    {
      name         = "app"
      image        = "busybox"
      portMappings = [{ name = "http", containerPort = 80 }]
      environment  = [{ name = "B", value = "2" }, { name = "A", value = "1" }]
      mountPoints  = [{ sourceVolume = "scratch", containerPath = "/scratch" }]
      dependsOn    = [{ containerName = "first", condition = "SUCCESS" }]
      healthCheck  = { command = ["CMD-SHELL", "true"] }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = "web"
          awslogs-region        = "us-east-1"
          awslogs-stream-prefix = "app"
        }
      }
    },
    { name = "first", image = "busybox", essential = false, command = ["true"], stopTimeout = 5 },
  ])
  tags = { team = "shop" }
}
resource "aws_ecs_task_definition" "batch" {
  family = "batch"
  container_definitions = jsonencode([{
    name         = "job"
    image        = "busybox:1"
    cpu          = 10
    memory       = 64
    portMappings = [{ containerPort = 80, hostPort = 8080 }]
    ulimits      = [{ name = "nofile", softLimit = 1024, hardLimit = 2048 }]
  }])
  volume {
    name      = "data"
    host_path = "/data"
  }
  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]"
  }
}
data "aws_ecs_task_definition" "web" { task_definition = aws_ecs_task_definition.web.family }
output "revision" { value = data.aws_ecs_task_definition.web.revision }
"""


@pytest.fixture
def terraform(server: Process, tmp_path: Path):
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    made = Terraform(tmp_path, server.endpoint, ROLE + CLUSTER + DEFINITIONS)
    main = tmp_path / "main.tf"
    main.write_text(main.read_text().replace("  endpoints {\n", "  endpoints {\n    ecs = var.endpoint\n"))
    done = made.run("init", "-no-color")
    if "Failed to query available provider packages" in done.stderr:
        pytest.skip(f"terraform has no AWS provider here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_clusters_and_definitions_are_made_read_changed_and_destroyed(server: Process, terraform: Terraform):
    terraform.must("apply", "-auto-approve", "-no-color")
    terraform.sees_nothing_to_change()
    aws = server.client("ecs")
    (cluster,) = aws.describe_clusters(clusters=["main"], include=["SETTINGS", "TAGS"])["clusters"]
    assert sorted(cluster["capacityProviders"]) == ["FARGATE", "FARGATE_SPOT"]
    assert {tag["key"]: tag["value"] for tag in cluster["tags"]} == {"team": "shop", "insights": "enabled"}
    terraform.must("apply", "-auto-approve", "-no-color", "-var", "memory=1024", "-var", "insights=disabled")
    found = aws.describe_task_definition(taskDefinition="web")["taskDefinition"]
    assert (found["revision"], found["memory"]) == (2, "1024")
    assert aws.list_task_definitions(status="INACTIVE")["taskDefinitionArns"][0].endswith("web:1")
    (cluster,) = aws.describe_clusters(clusters=["main"], include=["SETTINGS", "TAGS"])["clusters"]
    assert {"key": "insights", "value": "disabled"} in cluster["tags"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    terraform.must("destroy", "-auto-approve", "-no-color")
    assert aws.list_clusters()["clusterArns"] == []
    assert aws.list_task_definitions()["taskDefinitionArns"] == []
