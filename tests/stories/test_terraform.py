"""Terraform's own AWS provider makes, reads, changes and destroys what is ours, and sees nothing to change in between.

The provider comes from a mirror that Terraform knows of (CUMULO_TEST_TERRAFORM_MIRROR names one of another place).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.image_kit import BUSYBOX, function_image, push
from tests.support import PYTHON, Process, package

PROVIDER = """
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
variable "endpoint" { type = string }
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false
  s3_use_path_style           = true
  endpoints {
    ecr    = var.endpoint
    iam    = var.endpoint
    lambda = var.endpoint
    logs   = var.endpoint
    sts    = var.endpoint
  }
}
"""
ECR = """
variable "keep" {
  type    = number
  default = 3
}
resource "aws_ecr_repository" "app" {
  name                 = "shop/app"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  encryption_configuration { encryption_type = "AES256" }
  image_scanning_configuration { scan_on_push = false }
  tags = { team = "shop" }
}
resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "keep a few"
    selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.keep }
    action       = { type = "expire" }
  }] })
}
resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid = "pull", Effect = "Allow", Principal = "*", Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
  }] })
}
resource "aws_ecr_replication_configuration" "all" {
  replication_configuration {
    rule {
      destination {
        region      = "eu-west-1"
        registry_id = "000000000000"
      }
    }
  }
}
resource "aws_ecr_pull_through_cache_rule" "public" {
  ecr_repository_prefix = "ecr-public"
  upstream_registry_url = "public.ecr.aws"
}
resource "aws_ecr_repository_creation_template" "cached" {
  prefix      = "ecr-public"
  description = "what is cached"
  applied_for = ["PULL_THROUGH_CACHE"]
  image_tag_mutability = "MUTABLE"
}
resource "aws_ecr_registry_policy" "all" {
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid = "replicate", Effect = "Allow", Principal = { AWS = "arn:aws:iam::111111111111:root" },
    Action = ["ecr:ReplicateImage"], Resource = ["arn:aws:ecr:us-east-1:000000000000:repository/*"]
  }] })
}
data "aws_ecr_authorization_token" "token" {}
output "url" { value = aws_ecr_repository.app.repository_url }
output "user" {
  value     = data.aws_ecr_authorization_token.token.user_name
  sensitive = true
}
"""
FUNCTION = """
variable "memory" {
  type    = number
  default = 256
}
resource "aws_iam_role" "run" {
  name               = "run"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }] })
}
resource "aws_lambda_function" "hello" {
  function_name    = "hello"
  filename         = "app.zip"
  source_code_hash = filebase64sha256("app.zip")
  role             = aws_iam_role.run.arn
  handler          = "app.handler"
  runtime          = "%s"
  memory_size      = var.memory
  environment { variables = { GREETING = "hello" } }
}
"""


IMAGE = """
variable "tag" { default = "1" }
variable "command" { default = "version" }
resource "aws_ecr_repository" "app" {
  name         = "shop/app"
  force_delete = true
}
resource "aws_iam_role" "run" {
  name               = "run"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }] })
}
resource "aws_lambda_function" "image" {
  function_name = "image"
  package_type  = "Image"
  image_uri     = "${aws_ecr_repository.app.repository_url}:${var.tag}"
  role          = aws_iam_role.run.arn
  memory_size   = 512
  timeout       = 20
  image_config { command = [var.command] }
}
data "aws_ecr_image" "app" {
  repository_name = aws_ecr_repository.app.name
  image_tag       = var.tag
}
output "digest" { value = data.aws_ecr_image.app.image_digest }
"""


class Terraform:
    """A folder of configuration, and the commands on it."""

    def __init__(self, folder: Path, endpoint: str, text: str) -> None:
        self.folder = folder
        (folder / "main.tf").write_text(PROVIDER + text)
        config = folder / "terraform.rc"
        mirror = os.environ.get("CUMULO_TEST_TERRAFORM_MIRROR")
        config.write_text(
            f'provider_installation {{ filesystem_mirror {{ path = "{mirror}" }} }}\n' if mirror else ""
        )
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_VAR_endpoint": endpoint,
            "TF_IN_AUTOMATION": "1",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=480,
            check=False,
        )

    def must(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"terraform {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sees_nothing_to_change(self) -> None:
        done = self.run("plan", "-detailed-exitcode", "-no-color")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def terraform(server, tmp_path):
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")

    def make(text: str) -> Terraform:
        made = Terraform(tmp_path, server.endpoint, text)
        done = made.run("init", "-no-color")
        if "Failed to query available provider packages" in done.stderr:
            pytest.skip(f"terraform has no AWS provider here: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stdout + done.stderr
        return made

    return make


def test_ecr_is_made_read_changed_and_destroyed(server: Process, terraform):
    tool = terraform(ECR)
    tool.must("apply", "-auto-approve", "-no-color")
    told = json.loads(tool.must("output", "-json"))
    assert "/shop/app" in told["url"]["value"]
    assert told["user"]["value"] == "AWS"
    tool.sees_nothing_to_change()
    tool.must("apply", "-auto-approve", "-no-color", "-var", "keep=5")
    aws = server.client("ecr")
    policy = json.loads(aws.get_lifecycle_policy(repositoryName="shop/app")["lifecyclePolicyText"])
    assert policy["rules"][0]["selection"]["countNumber"] == 5
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.describe_repositories()["repositories"] == []


def test_a_function_is_made_read_changed_and_destroyed(server: Process, terraform, tmp_path):
    (tmp_path / "app.zip").write_bytes(
        package("import os\ndef handler(e, c): return os.environ['GREETING']\n")
    )
    tool = terraform(FUNCTION % PYTHON)
    tool.must("apply", "-auto-approve", "-no-color")
    aws = server.client("lambda")
    assert json.load(aws.invoke(FunctionName="hello")["Payload"]) == "hello"
    tool.sees_nothing_to_change()
    tool.must("apply", "-auto-approve", "-no-color", "-var", "memory=512")
    assert aws.get_function_configuration(FunctionName="hello")["MemorySize"] == 512
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.list_functions()["Functions"] == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="the local engine needs root on Linux")
@pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed")
def test_a_function_from_an_image_is_made_read_changed_and_destroyed(server: Process, terraform):
    tool = terraform(IMAGE)
    ecr, aws = server.client("ecr"), server.client("lambda")
    tool.must("apply", "-auto-approve", "-no-color", "-target", "aws_ecr_repository.app")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    images = {tag: function_image("echo_event", VERSION=tag) for tag in "12"}
    for tag, image in images.items():
        push(server.endpoint, "shop/app", tag, image, token)
    tool.must("apply", "-auto-approve", "-no-color")
    assert json.loads(tool.must("output", "-json"))["digest"]["value"] == images["1"].digest
    assert json.load(aws.invoke(FunctionName="image")["Payload"]) == "1"
    tool.sees_nothing_to_change()
    tool.must("apply", "-auto-approve", "-no-color", "-var", "tag=2")
    assert json.load(aws.invoke(FunctionName="image")["Payload"]) == "2"
    tool.must("apply", "-auto-approve", "-no-color", "-var", "tag=2", "-var", "command=facts")
    assert "cwd" in json.load(aws.invoke(FunctionName="image")["Payload"])
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.list_functions()["Functions"] == []
    assert ecr.describe_repositories()["repositories"] == []
