"""Terraform's own AWS provider makes, reads, changes and destroys REST APIs, and sees nothing to change in between."""

import json
import urllib.error
import urllib.request

import tests.stories.test_terraform as first
from tests.support import Process

terraform = first.terraform
NOUNS = """
variable "text" {
  type    = string
  default = "one"
}
variable "level" {
  type    = string
  default = "OFF"
}
resource "aws_api_gateway_rest_api" "pets" {
  name                     = "pets"
  description              = "pets ${var.text}"
  binary_media_types       = ["image/png", "application/x-${var.text}"]
  minimum_compression_size = 1000
  endpoint_configuration { types = ["REGIONAL"] }
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Principal = "*", Action = "execute-api:Invoke", Resource = "*"
  }] })
  tags = { team = var.text }
}
resource "aws_api_gateway_resource" "items" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  parent_id   = aws_api_gateway_rest_api.pets.root_resource_id
  path_part   = "items"
}
resource "aws_api_gateway_resource" "item" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  parent_id   = aws_api_gateway_resource.items.id
  path_part   = "{id}"
}
resource "aws_api_gateway_model" "item" {
  rest_api_id  = aws_api_gateway_rest_api.pets.id
  name         = "Item"
  content_type = "application/json"
  schema       = jsonencode({ type = "object", title = var.text })
}
resource "aws_api_gateway_request_validator" "all" {
  rest_api_id                 = aws_api_gateway_rest_api.pets.id
  name                        = "all ${var.text}"
  validate_request_parameters = true
}
resource "aws_api_gateway_method" "get" {
  rest_api_id          = aws_api_gateway_rest_api.pets.id
  resource_id          = aws_api_gateway_resource.item.id
  http_method          = "GET"
  authorization        = "NONE"
  api_key_required     = true
  request_validator_id = aws_api_gateway_request_validator.all.id
  request_models       = { "application/json" = aws_api_gateway_model.item.name }
  request_parameters   = { "method.request.path.id" = true, "method.request.querystring.${var.text}" = false }
}
resource "aws_api_gateway_method_response" "ok" {
  rest_api_id         = aws_api_gateway_rest_api.pets.id
  resource_id         = aws_api_gateway_resource.item.id
  http_method         = aws_api_gateway_method.get.http_method
  status_code         = "200"
  response_models     = { "application/json" = "Empty" }
  response_parameters = { "method.response.header.X-${var.text}" = true }
}
resource "aws_api_gateway_integration" "get" {
  rest_api_id          = aws_api_gateway_rest_api.pets.id
  resource_id          = aws_api_gateway_resource.item.id
  http_method          = aws_api_gateway_method.get.http_method
  type                 = "MOCK"
  cache_key_parameters = ["method.request.path.id"]
  request_parameters   = { "integration.request.header.X" = "method.request.path.id" }
  request_templates    = { "application/json" = "{\\"statusCode\\": 200}" }
}
resource "aws_api_gateway_integration_response" "ok" {
  rest_api_id         = aws_api_gateway_rest_api.pets.id
  resource_id         = aws_api_gateway_resource.item.id
  http_method         = aws_api_gateway_integration.get.http_method
  status_code         = aws_api_gateway_method_response.ok.status_code
  response_parameters = { "method.response.header.X-${var.text}" = "'${var.text}'" }
  response_templates  = { "application/json" = "said ${var.text}" }
}
resource "aws_api_gateway_gateway_response" "forbidden" {
  rest_api_id         = aws_api_gateway_rest_api.pets.id
  response_type       = "INVALID_API_KEY"
  status_code         = "401"
  response_templates  = { "application/json" = "no ${var.text}" }
  response_parameters = { "gatewayresponse.header.X" = "'${var.text}'" }
}
resource "aws_api_gateway_deployment" "pets" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  triggers    = { text = var.text }
  depends_on = [
    aws_api_gateway_integration_response.ok, aws_api_gateway_gateway_response.forbidden, aws_api_gateway_model.item
  ]
  lifecycle { create_before_destroy = true }
}
resource "aws_api_gateway_stage" "dev" {
  rest_api_id           = aws_api_gateway_rest_api.pets.id
  deployment_id         = aws_api_gateway_deployment.pets.id
  stage_name            = "dev"
  description           = var.text
  variables             = { text = var.text }
  cache_cluster_enabled = true
  cache_cluster_size    = "0.5"
  xray_tracing_enabled  = true
  access_log_settings {
    destination_arn = "arn:aws:logs:us-east-1:000000000000:log-group:access"
    format          = "$context.requestId ${var.text}"
  }
}
resource "aws_api_gateway_method_settings" "all" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  stage_name  = aws_api_gateway_stage.dev.stage_name
  method_path = "*/*"
  settings {
    metrics_enabled        = true
    logging_level          = var.level
    throttling_burst_limit = 50
    throttling_rate_limit  = 100
  }
}
resource "aws_api_gateway_method_settings" "one" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  stage_name  = aws_api_gateway_stage.dev.stage_name
  method_path = "items/{id}/GET"
  settings {
    caching_enabled      = true
    cache_ttl_in_seconds = 60
  }
}
resource "aws_api_gateway_api_key" "mine" {
  name        = "mine"
  description = var.text
}
resource "aws_api_gateway_usage_plan" "plan" {
  name        = "plan ${var.text}"
  description = var.text
  api_stages {
    api_id = aws_api_gateway_rest_api.pets.id
    stage  = aws_api_gateway_stage.dev.stage_name
    throttle {
      path        = "/items/{id}/GET"
      rate_limit  = 5
      burst_limit = 10
    }
  }
  quota_settings {
    limit  = 20
    offset = 2
    period = "WEEK"
  }
  throttle_settings {
    burst_limit = 5
    rate_limit  = 10
  }
}
resource "aws_api_gateway_usage_plan_key" "mine" {
  key_id        = aws_api_gateway_api_key.mine.id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.plan.id
}
resource "aws_api_gateway_vpc_link" "link" {
  name        = "link ${var.text}"
  target_arns = ["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/web/1234"]
}
resource "aws_api_gateway_client_certificate" "mine" {
  description = var.text
}
resource "aws_api_gateway_documentation_part" "api" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  properties  = jsonencode({ description = var.text })
  location { type = "API" }
}
resource "aws_api_gateway_documentation_version" "v1" {
  rest_api_id = aws_api_gateway_rest_api.pets.id
  version     = "v1"
  description = var.text
  depends_on  = [aws_api_gateway_documentation_part.api]
}
resource "aws_api_gateway_account" "here" {
  cloudwatch_role_arn = "arn:aws:iam::000000000000:role/${var.text}"
}
output "api" { value = aws_api_gateway_rest_api.pets.id }
output "key" {
  value     = aws_api_gateway_api_key.mine.value
  sensitive = true
}
"""


def ask(server, outputs, **headers):
    """Status, body and the header X-... of an answer."""
    url = f"{server.endpoint}/_aws/execute-api/{outputs['api']['value']}/dev/items/7"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_rest_apis_are_made_read_changed_and_destroyed(server: Process, terraform):
    text = NOUNS.replace("PROVIDER", "")
    tf = terraform(text)
    config = tf.folder / "main.tf"
    config.write_text(
        config.read_text().replace("  endpoints {", "  endpoints {\n    apigateway = var.endpoint")
    )
    tf.must("apply", "-auto-approve", "-no-color")
    tf.sees_nothing_to_change()
    outputs = json.loads(tf.must("output", "-json"))
    assert ask(server, outputs) == (401, "no one")
    assert ask(server, outputs, **{"x-api-key": outputs["key"]["value"]}) == (200, "said one")
    tf.must("apply", "-auto-approve", "-no-color", "-var", "text=two", "-var", "level=ERROR")
    done = tf.run("plan", "-detailed-exitcode", "-no-color", "-var", "text=two", "-var", "level=ERROR")
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = json.loads(tf.must("output", "-json"))
    apigateway = server.client("apigateway")
    apigateway.flush_stage_cache(restApiId=outputs["api"]["value"], stageName="dev")
    assert ask(server, outputs, **{"x-api-key": outputs["key"]["value"]}) == (200, "said two")
    tf.must("destroy", "-auto-approve", "-no-color")
    assert apigateway.get_rest_apis()["items"] == []
