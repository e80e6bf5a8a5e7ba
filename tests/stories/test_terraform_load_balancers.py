"""Terraform's AWS provider makes, reads, changes and destroys load balancers, and sees nothing to change in between.

EC2 and ACM are the cloud's own companions here.
"""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.elb_kit import ElbProcess, free_port, loopback
from tests.support import until

TEXT = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
variable "endpoint" { type = string }
variable "port" { type = number }
variable "path" { default = "/api/*" }
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {
    acm   = var.endpoint
    ec2   = var.endpoint
    elbv2 = var.endpoint
    sts   = var.endpoint
  }
}
resource "aws_vpc" "net" { cidr_block = "10.7.0.0/16" }
resource "aws_subnet" "net" {
  count             = 2
  vpc_id            = aws_vpc.net.id
  cidr_block        = "10.7.${count.index}.0/24"
  availability_zone = "us-east-1${["a", "b"][count.index]}"
}
resource "aws_security_group" "web" { vpc_id = aws_vpc.net.id }
resource "aws_lb" "web" {
  name               = "web"
  internal           = true
  load_balancer_type = "application"
  subnets            = aws_subnet.net[*].id
  security_groups    = [aws_security_group.web.id]
  idle_timeout       = 30
  tags               = { team = "shop" }
}
resource "aws_lb_target_group" "app" {
  count                = 2
  name                 = "app-${count.index}"
  port                 = 8080
  protocol             = "HTTP"
  vpc_id               = aws_vpc.net.id
  target_type          = "ip"
  deregistration_delay = 5
  health_check {
    path     = "/health"
    matcher  = "200-204"
    interval = 10
  }
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 600
    enabled         = count.index == 1
  }
}
resource "aws_lb_target_group" "net" {
  name        = "net"
  port        = 8080
  protocol    = "TCP"
  vpc_id      = aws_vpc.net.id
  target_type = "ip"
}
resource "aws_lb_target_group" "function" {
  name        = "function"
  target_type = "lambda"
}
resource "aws_lb_target_group_attachment" "app" {
  target_group_arn = aws_lb_target_group.app[0].arn
  target_id        = "10.7.0.9"
  port             = 8080
}
resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.web.arn
  port              = var.port
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}
resource "aws_acm_certificate" "site" {
  domain_name       = "shop.example.com"
  validation_method = "DNS"
}
resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.web.arn
  port              = var.port + 1
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate.site.arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.app[0].arn
  }
}
resource "aws_lb_listener_rule" "api" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 10
  action {
    type = "forward"
    forward {
      target_group {
        arn    = aws_lb_target_group.app[0].arn
        weight = 3
      }
      target_group {
        arn    = aws_lb_target_group.app[1].arn
        weight = 1
      }
      stickiness {
        enabled  = true
        duration = 60
      }
    }
  }
  condition {
    path_pattern { values = [var.path] }
  }
  condition {
    query_string {
      key   = "a"
      value = "b*"
    }
  }
  condition {
    http_header {
      http_header_name = "X-Test"
      values           = ["1", "2"]
    }
  }
}
resource "aws_lb_listener_rule" "fixed" {
  listener_arn = aws_lb_listener.https.arn
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "no"
      status_code  = "404"
    }
  }
  condition {
    host_header { values = ["*.example.com"] }
  }
  condition {
    source_ip { values = ["10.0.0.0/8"] }
  }
  condition {
    http_request_method { values = ["GET"] }
  }
}
resource "aws_lb" "net" {
  name               = "net"
  internal           = true
  load_balancer_type = "network"
  subnets            = aws_subnet.net[*].id
}
resource "aws_lb_listener" "net" {
  load_balancer_arn = aws_lb.net.arn
  port              = var.port + 2
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.net.arn
  }
}
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[ElbProcess]:
    process = ElbProcess(tmp_path / "data", "moto")
    process.start()
    yield process
    process.stop()


class Tool:
    """Terraform in a folder."""

    def __init__(self, folder: Path, cloud: ElbProcess, port: int) -> None:
        self.folder = folder
        (folder / "main.tf").write_text(TEXT)
        mirror = os.environ.get("CUMULO_TEST_TERRAFORM_MIRROR")
        config = folder / "terraform.rc"
        config.write_text(
            f'provider_installation {{ filesystem_mirror {{ path = "{mirror}" }} }}\n' if mirror else ""
        )
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_VAR_endpoint": f"http://127.0.0.1:{cloud.port}",
            "TF_VAR_port": str(port),
            "TF_IN_AUTOMATION": "1",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *words, "-no-color"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def must(self, *words: str) -> None:
        done = self.run(*words)
        assert done.returncode == 0, f"terraform {' '.join(words)}\n{done.stdout}\n{done.stderr}"

    def sees_nothing_to_change(self, *words: str) -> None:
        done = self.run("plan", "-detailed-exitcode", *words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_load_balancers_are_made_read_changed_and_destroyed(cloud: ElbProcess, tmp_path: Path) -> None:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    port = free_port()
    tool = Tool(tmp_path, cloud, port)
    done = tool.run("init")
    if "Failed to query available provider packages" in done.stderr:
        pytest.skip(f"terraform has no AWS provider here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    tool.must("apply", "-auto-approve")
    tool.sees_nothing_to_change()
    changed = ("-var", "path=/v2/*")
    tool.must("apply", "-auto-approve", *changed)
    tool.sees_nothing_to_change(*changed)

    elb = cloud.client()
    (web,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
    address = loopback(f"elb-{web['LoadBalancerArn'].rpartition('/')[2]}")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def shown() -> bytes:
        with (
            socket.create_connection((address, port + 1), 20) as plain,
            context.wrap_socket(plain, server_hostname="shop.example.com") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    assert b"shop.example.com" in until(shown, "HTTPS is spoken")
    tool.must("destroy", "-auto-approve", *changed)
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
