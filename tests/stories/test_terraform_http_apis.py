"""Terraform's own AWS provider makes, reads, changes and destroys HTTP and WebSocket APIs, and sees nothing to change."""

import json

import tests.stories.test_terraform as first
from tests.apps_kit import Site
from tests.support import PYTHON, Process, package

terraform = first.terraform
FUNCTION = """
resource "aws_iam_role" "run" {
  name               = "run"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }] })
}
resource "aws_lambda_function" "app" {
  function_name    = "app"
  filename         = "app.zip"
  source_code_hash = filebase64sha256("app.zip")
  role             = aws_iam_role.run.arn
  handler          = "app.handler"
  runtime          = "%s"
}
"""
HTTP = """
variable "burst" {
  type    = number
  default = 50
}
resource "aws_apigatewayv2_api" "shop" {
  name          = "shop"
  protocol_type = "HTTP"
  description   = "all that is sold"
  tags          = { team = "shop" }
  cors_configuration {
    allow_origins     = ["https://shop.example.com"]
    allow_methods     = ["GET", "POST"]
    allow_headers     = ["content-type"]
    expose_headers    = ["x-total"]
    allow_credentials = true
    max_age           = 300
  }
}
resource "aws_apigatewayv2_integration" "app" {
  api_id                 = aws_apigatewayv2_api.shop.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.app.invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 9000
}
resource "aws_apigatewayv2_integration" "backend" {
  api_id             = aws_apigatewayv2_api.shop.id
  integration_type   = "HTTP_PROXY"
  integration_method = "ANY"
  integration_uri    = "http://127.0.0.1:9/{proxy}"
  request_parameters = { "append:header.x-from" = "gateway" }
  response_parameters {
    status_code = 404
    mappings    = { "overwrite:statuscode" = "204" }
  }
}
resource "aws_apigatewayv2_authorizer" "tokens" {
  api_id           = aws_apigatewayv2_api.shop.id
  name             = "tokens"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]
  jwt_configuration {
    issuer   = "https://issuer.example"
    audience = ["shop"]
  }
}
resource "aws_apigatewayv2_authorizer" "gate" {
  api_id                            = aws_apigatewayv2_api.shop.id
  name                              = "gate"
  authorizer_type                   = "REQUEST"
  authorizer_uri                    = aws_lambda_function.app.invoke_arn
  authorizer_payload_format_version = "2.0"
  enable_simple_responses           = true
  identity_sources                  = ["$request.header.X-Who"]
}
resource "aws_apigatewayv2_route" "open" {
  api_id    = aws_apigatewayv2_api.shop.id
  route_key = "GET /open"
  target    = "integrations/${aws_apigatewayv2_integration.app.id}"
}
resource "aws_apigatewayv2_route" "mine" {
  api_id               = aws_apigatewayv2_api.shop.id
  route_key            = "GET /mine"
  target               = "integrations/${aws_apigatewayv2_integration.app.id}"
  authorization_type   = "JWT"
  authorizer_id        = aws_apigatewayv2_authorizer.tokens.id
  authorization_scopes = ["read"]
}
resource "aws_apigatewayv2_route" "rest" {
  api_id    = aws_apigatewayv2_api.shop.id
  route_key = "ANY /{proxy+}"
  target    = "integrations/${aws_apigatewayv2_integration.backend.id}"
}
resource "aws_cloudwatch_log_group" "access" { name = "/shop/access" }
resource "aws_apigatewayv2_stage" "live" {
  api_id          = aws_apigatewayv2_api.shop.id
  name            = "$default"
  auto_deploy     = true
  stage_variables = { v = "1" }
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = "$context.requestId $context.status"
  }
  default_route_settings {
    throttling_burst_limit = var.burst
    throttling_rate_limit  = 100
  }
  route_settings {
    route_key              = "GET /open"
    throttling_burst_limit = 20
    throttling_rate_limit  = 10
  }
  depends_on = [aws_apigatewayv2_route.open]
}
output "api" { value = aws_apigatewayv2_api.shop.id }
output "url" { value = aws_apigatewayv2_stage.live.invoke_url }
"""
WEBSOCKET = """
variable "text" {
  type    = string
  default = "one"
}
resource "aws_apigatewayv2_api" "talk" {
  name                       = "talk"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
}
resource "aws_apigatewayv2_model" "said" {
  api_id       = aws_apigatewayv2_api.talk.id
  name         = "Said"
  content_type = "application/json"
  schema       = jsonencode({ "$schema" = "http://json-schema.org/draft-04/schema#", type = "object" })
}
resource "aws_apigatewayv2_integration" "app" {
  api_id                    = aws_apigatewayv2_api.talk.id
  integration_type          = "AWS_PROXY"
  integration_uri           = aws_lambda_function.app.invoke_arn
  content_handling_strategy = "CONVERT_TO_TEXT"
  description               = var.text
}
resource "aws_apigatewayv2_integration" "mock" {
  api_id                        = aws_apigatewayv2_api.talk.id
  integration_type              = "MOCK"
  template_selection_expression = "200"
  request_templates             = { "200" = "{\\"statusCode\\": 200}" }
}
resource "aws_apigatewayv2_integration_response" "mock" {
  api_id                   = aws_apigatewayv2_api.talk.id
  integration_id           = aws_apigatewayv2_integration.mock.id
  integration_response_key = "/200/"
  response_templates       = { "200" = "{\\"pong\\": true}" }
}
resource "aws_apigatewayv2_route" "ping" {
  api_id                              = aws_apigatewayv2_api.talk.id
  route_key                           = "ping"
  target                              = "integrations/${aws_apigatewayv2_integration.mock.id}"
  route_response_selection_expression = "$default"
}
resource "aws_apigatewayv2_route_response" "ping" {
  api_id             = aws_apigatewayv2_api.talk.id
  route_id           = aws_apigatewayv2_route.ping.id
  route_response_key = "$default"
}
resource "aws_apigatewayv2_route" "default" {
  api_id    = aws_apigatewayv2_api.talk.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.app.id}"
}
resource "aws_apigatewayv2_deployment" "talk" {
  api_id     = aws_apigatewayv2_api.talk.id
  depends_on = [aws_apigatewayv2_route.ping, aws_apigatewayv2_route.default, aws_apigatewayv2_route_response.ping]
  triggers   = { text = var.text }
  lifecycle { create_before_destroy = true }
}
resource "aws_apigatewayv2_stage" "live" {
  api_id        = aws_apigatewayv2_api.talk.id
  name          = "live"
  deployment_id = aws_apigatewayv2_deployment.talk.id
  default_route_settings {
    logging_level          = "ERROR"
    data_trace_enabled     = false
    throttling_burst_limit = 100
    throttling_rate_limit  = 50
  }
}
output "api" { value = aws_apigatewayv2_api.talk.id }
output "url" { value = aws_apigatewayv2_stage.live.invoke_url }
"""


def made(terraform, text: str):
    """The tool in a folder with a function's code, with API Gateway among the provider's endpoints."""
    tool = terraform(FUNCTION % PYTHON + text)
    code = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hi'}\n"
    (tool.folder / "app.zip").write_bytes(package(code))
    config = tool.folder / "main.tf"
    more = "  endpoints {\n    apigatewayv2 = var.endpoint"
    config.write_text(config.read_text().replace("  endpoints {", more, 1))
    return tool


def test_an_http_api_is_made_read_changed_and_destroyed(server: Process, terraform):
    tool = made(terraform, HTTP)
    tool.must("apply", "-auto-approve", "-no-color")
    tool.sees_nothing_to_change()
    told = json.loads(tool.must("output", "-json"))
    api = told["api"]["value"]
    assert told["url"]["value"].startswith(f"https://{api}.execute-api.us-east-1.")
    site = Site(server, api)
    assert site.get("/open").body == b"hi"
    assert (site.get("/mine").status, site.get("/elsewhere").status) == (401, 503)
    tool.must("apply", "-auto-approve", "-no-color", "-var", "burst=60")
    aws = server.client("apigatewayv2")
    stage = aws.get_stage(ApiId=api, StageName="$default")
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 60
    assert stage["RouteSettings"]["GET /open"]["ThrottlingBurstLimit"] == 20
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.get_apis()["Items"] == []


def test_a_websocket_api_is_made_read_changed_and_destroyed(
    server: Process, terraform, tmp_path, monkeypatch
):
    tool = made(terraform, WEBSOCKET)
    tool.must("apply", "-auto-approve", "-no-color")
    tool.sees_nothing_to_change()
    told = json.loads(tool.must("output", "-json"))
    api = told["api"]["value"]
    assert told["url"]["value"] == f"wss://{api}.execute-api.us-east-1.amazonaws.com/live"
    aws = server.client("apigatewayv2")
    before = aws.get_stage(ApiId=api, StageName="live")["DeploymentId"]
    tool.must("apply", "-auto-approve", "-no-color", "-var", "text=two")
    assert aws.get_stage(ApiId=api, StageName="live")["DeploymentId"] != before
    tool.must("destroy", "-auto-approve", "-no-color")
    assert aws.get_apis()["Items"] == []
