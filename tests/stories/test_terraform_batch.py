"""Terraform's own AWS provider makes, reads, changes and destroys Batch's environments, queues and policies."""

import shutil
from pathlib import Path

import pytest
from tests.stories.test_terraform import Terraform
from tests.support import Process

PLACES = """
variable "priority" {
  type    = number
  default = 1
}
variable "most" {
  type    = number
  default = 16
}
data "aws_subnets" "all" {}
data "aws_security_groups" "all" {}
resource "aws_iam_instance_profile" "run" { name = "ecsInstanceRole" }
"""
ENVIRONMENTS = """
resource "aws_batch_compute_environment" "ec2" {
  compute_environment_name = "ec2"
  type = "MANAGED"
  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    instance_role       = aws_iam_instance_profile.run.arn
    instance_type       = ["c5.large", "m5"]
    min_vcpus           = 0
    max_vcpus           = var.most
    security_group_ids  = data.aws_security_groups.all.ids
    subnets             = data.aws_subnets.all.ids
    tags                = { Name = "worker" }
  }
  update_policy {
    job_execution_timeout_minutes = 5
    terminate_jobs_on_update      = false
  }
  tags = { team = "shop" }
}
resource "aws_batch_compute_environment" "fargate" {
  compute_environment_name = "fargate"
  type = "MANAGED"
  compute_resources {
    type               = "FARGATE"
    max_vcpus          = var.most
    security_group_ids = data.aws_security_groups.all.ids
    subnets            = data.aws_subnets.all.ids
  }
}
data "aws_batch_compute_environment" "ec2" {
  compute_environment_name = aws_batch_compute_environment.ec2.compute_environment_name
}
"""
QUEUES = """
resource "aws_batch_scheduling_policy" "fair" {
  name = "fair"
  fair_share_policy {
    compute_reservation = 1
    share_decay_seconds = 3600
    share_distribution {
      share_identifier = "A1*"
      weight_factor    = 0.1
    }
  }
}
resource "aws_batch_job_queue" "shared" {
  name                  = "shared"
  state                 = "ENABLED"
  priority              = var.priority
  scheduling_policy_arn = aws_batch_scheduling_policy.fair.arn
  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.ec2.arn
  }
  job_state_time_limit_action {
    action           = "CANCEL"
    max_time_seconds = 606
    reason           = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"
    state            = "RUNNABLE"
  }
  tags = { team = "shop" }
}
"""


@pytest.fixture
def terraform(server: Process, tmp_path: Path):
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    made = Terraform(tmp_path, server.endpoint, PLACES + ENVIRONMENTS + QUEUES)
    main = tmp_path / "main.tf"
    ours = "".join(f"    {name} = var.endpoint\n" for name in ("batch", "ec2"))
    main.write_text(main.read_text().replace("  endpoints {\n", f"  endpoints {{\n{ours}"))
    done = made.run("init", "-no-color")
    if "Failed to query available provider packages" in done.stderr:
        pytest.skip(f"terraform has no AWS provider here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_environments_and_queues_are_made_read_changed_and_destroyed(server: Process, terraform: Terraform):
    terraform.must("apply", "-auto-approve", "-no-color")
    terraform.sees_nothing_to_change()
    aws = server.client("batch")
    terraform.must("apply", "-auto-approve", "-no-color", "-var", "most=32", "-var", "priority=9")
    plan = terraform.run("plan", "-detailed-exitcode", "-no-color", "-var", "most=32", "-var", "priority=9")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    found = {
        one["computeEnvironmentName"]: one
        for one in aws.describe_compute_environments()["computeEnvironments"]
    }
    assert {one["computeResources"]["maxvCpus"] for one in found.values()} == {32}
    assert found["ec2"]["updatePolicy"]["jobExecutionTimeoutMinutes"] == 5
    (queue,) = aws.describe_job_queues()["jobQueues"]
    assert queue["priority"] == 9
    terraform.must("destroy", "-auto-approve", "-no-color")
    assert aws.describe_compute_environments()["computeEnvironments"] == []
    assert aws.describe_job_queues()["jobQueues"] == []
    assert aws.list_scheduling_policies()["schedulingPolicies"] == []
