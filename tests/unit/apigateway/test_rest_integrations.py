import pytest
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, patch, plain, refused

BAD, MISSING = "BadRequestException", "NotFoundException"
QUEUE_URI = f"arn:aws:apigateway:{REGION}:sqs:path/{ACCOUNT}/queue"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"
MAPPING = "Invalid mapping expression specified: Validation Result: warnings : [], errors : "


@pytest.fixture
def method(cloud):
    return Method(cloud)


class Method:
    """GET of the root, with a few parameters."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.client = cloud.client
        self.api_id, self.id = cloud.api()
        self.at = {"restApiId": self.api_id, "resourceId": self.id, "httpMethod": "GET"}
        cloud.method(
            self.api_id,
            self.id,
            requestParameters={
                "method.request.querystring.q": True,
                "method.request.header.X-H": False,
                "method.request.path.p": True,
            },
        )
        self.client.put_method_response(
            **self.at, statusCode="200", responseParameters={"method.response.header.X-A": False}
        )

    def put(self, **integration):
        return plain(self.client.put_integration(**self.at, **integration))

    def refused(self, **integration):
        return refused(self.client.put_integration, **self.at, **integration)

    def update(self, *operations):
        return plain(self.client.update_integration(**self.at, patchOperations=list(operations)))

    def update_refused(self, *operations):
        return refused(self.client.update_integration, **self.at, patchOperations=list(operations))

    def respond(self, **response):
        return plain(self.client.put_integration_response(**self.at, statusCode="200", **response))

    def respond_refused(self, **response):
        return refused(self.client.put_integration_response, **self.at, statusCode="200", **response)


def test_a_function_is_integrated(method):
    made = method.put(type="AWS_PROXY", integrationHttpMethod="POST", uri=FUNCTION_URI)
    assert made == {
        "type": "AWS_PROXY",
        "httpMethod": "POST",
        "uri": FUNCTION_URI,
        "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
        "cacheNamespace": method.id,
        "cacheKeyParameters": [],
    }
    assert plain(method.client.get_integration(**method.at)) == made
    assert method.client.get_method(**method.at)["methodIntegration"] == made


@pytest.mark.parametrize(
    "integration",
    [
        {"type": "MOCK"},
        {"type": "HTTP", "integrationHttpMethod": "GET", "uri": "http://example.com/x"},
        {"type": "HTTP_PROXY", "integrationHttpMethod": "ANY", "uri": "https://${stageVariables.host}/x"},
        {"type": "AWS", "integrationHttpMethod": "POST", "uri": FUNCTION_URI},
        {"type": "AWS", "integrationHttpMethod": "POST", "uri": QUEUE_URI, "credentials": ROLE},
        {
            "type": "AWS",
            "integrationHttpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:dynamodb:action/Query",
            "credentials": ROLE,
        },
        {
            "type": "AWS_PROXY",
            "integrationHttpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:lambda:path//2015-03-31/functions/"
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:${{stageVariables.f}}/invocations",
        },
        {
            "type": "AWS_PROXY",
            "integrationHttpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:lambda:path/2021-11-15/functions/"
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f/response-streaming-invocations",
            "responseTransferMode": "STREAM",
            "timeoutInMillis": 900_000,
        },
        {
            "type": "HTTP_PROXY",
            "integrationHttpMethod": "GET",
            "uri": "http://nlb.example.com",
            "connectionType": "VPC_LINK",
            "connectionId": "${stageVariables.vpcLinkId}",
        },
    ],
)
def test_what_aws_takes_is_taken(method, integration):
    shown = method.put(**integration)
    for name, value in integration.items():
        assert shown[{"integrationHttpMethod": "httpMethod"}.get(name, name)] == value


@pytest.mark.parametrize(
    ("integration", "sentence"),
    [
        ({"type": "HTTP", "uri": "http://x.com"}, "Enumeration value for HttpMethod must be non-empty"),
        ({"type": "AWS_PROXY", "uri": FUNCTION_URI}, "Enumeration value for HttpMethod must be non-empty"),
        (
            {"type": "HTTP", "integrationHttpMethod": "POST", "uri": "non-valid-http"},
            "Invalid HTTP endpoint specified for URI",
        ),
        (
            {"type": "HTTP_PROXY", "integrationHttpMethod": "POST"},
            "Invalid HTTP endpoint specified for URI",
        ),
        (
            {"type": "AWS", "integrationHttpMethod": "POST", "uri": "non-valid-arn"},
            "Invalid ARN specified in the request",
        ),
        (
            {"type": "AWS", "integrationHttpMethod": "POST", "uri": "arn:aws:iam::0000000000:role/x"},
            "AWS ARN for integration must contain path or action",
        ),
        (
            {"type": "AWS", "integrationHttpMethod": "POST", "uri": QUEUE_URI},
            "Role ARN must be specified for AWS integrations",
        ),
        (
            {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": QUEUE_URI, "credentials": ROLE},
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        ),
        ({"type": "MOCK", "timeoutInMillis": 49}, "Timeout should be between 50 ms and 29000 ms"),
        ({"type": "MOCK", "timeoutInMillis": 29_001}, "Timeout should be between 50 ms and 29000 ms"),
        (
            {"type": "MOCK", "requestTemplates": {"123": "x"}},
            "Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
        ),
        (
            {"type": "MOCK", "requestParameters": {"integration.request.path.p": "true"}},
            f"{MAPPING}[Invalid mapping expression specified: true]",
        ),
        (
            {"type": "MOCK", "requestParameters": {"integration.request.path.p": "method.request.path.z"}},
            f"{MAPPING}[Invalid mapping expression parameter specified: method.request.path.z]",
        ),
        (
            {"type": "MOCK", "requestParameters": {"request.path.p": "'x'"}},
            f"{MAPPING}[Invalid mapping expression parameter specified: request.path.p]",
        ),
        (
            {"type": "MOCK", "cacheKeyParameters": ["method.request.querystring.z"]},
            "Invalid cache key parameter specified: method.request.querystring.z",
        ),
    ],
)
def test_what_aws_refuses_is_refused_and_nothing_is_kept(method, integration, sentence):
    assert method.refused(**integration) == (BAD, sentence)
    assert refused(method.client.get_integration, **method.at) == (
        MISSING,
        "Invalid Integration identifier specified",
    )


def test_a_wrong_type_is_a_validation_error(method):
    assert method.refused(type="HTTPS_PROXY")[0] == "ValidationException"


def test_a_streaming_function_is_called_by_its_streaming_uri(method):
    assert (
        method.refused(
            type="AWS_PROXY", integrationHttpMethod="POST", uri=FUNCTION_URI, responseTransferMode="STREAM"
        )[0]
        == BAD
    )
    assert method.refused(type="MOCK", responseTransferMode="STREAM")[0] == BAD


def test_firehose_is_refused_by_name(method):
    code, message = method.refused(
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:firehose:action/PutRecord",
        credentials=ROLE,
    )
    assert code == "NotImplemented"
    assert "Firehose" in message


@pytest.mark.parametrize(
    "source",
    [
        "method.request.querystring.q",
        "method.request.multivaluequerystring.q",
        "method.request.header.X-H",
        "method.request.path.p",
        "method.request.body",
        "method.request.body.a.b",
        "method.request.body[0].b",
        "context.identity.sourceIp",
        "stageVariables.x",
        "'a literal'",
    ],
)
def test_parameters_come_from_everywhere(method, source):
    mapping = {"integration.request.header.X-To": source}
    assert method.put(type="MOCK", requestParameters=mapping)["requestParameters"] == mapping


def test_integrations_are_changed_by_patches(method):
    method.put(type="HTTP", integrationHttpMethod="GET", uri="http://example.com/x")
    changed = method.update(
        patch("replace", "/uri", "http://example.com/y"),
        patch("replace", "/timeoutInMillis", "1000"),
        patch("replace", "/passthroughBehavior", "NEVER"),
        patch("replace", "/contentHandling", "CONVERT_TO_TEXT"),
        patch("replace", "/tlsConfig/insecureSkipVerification", "true"),
        patch("add", "/requestParameters/integration.request.header.X", "method.request.header.X-H"),
        patch("add", "/requestTemplates/application~1json", "$input.body"),
        patch("add", "/cacheKeyParameters", "method.request.querystring.q"),
    )
    assert changed["uri"] == "http://example.com/y"
    assert changed["timeoutInMillis"] == 1000
    assert changed["tlsConfig"] == {"insecureSkipVerification": True}
    assert changed["requestParameters"] == {"integration.request.header.X": "method.request.header.X-H"}
    assert changed["requestTemplates"] == {"application/json": "$input.body"}
    assert changed["cacheKeyParameters"] == ["method.request.querystring.q"]
    left = method.update(
        patch("remove", "/requestParameters/integration.request.header.X"),
        patch("remove", "/cacheKeyParameters/method.request.querystring.q"),
        patch("replace", "/contentHandling", ""),
    )
    assert "requestParameters" not in left
    assert left["cacheKeyParameters"] == []
    assert method.update_refused(patch("replace", "/uri", "nonsense")) == (
        BAD,
        "Invalid HTTP endpoint specified for URI",
    )
    assert method.client.get_integration(**method.at)["uri"] == "http://example.com/y"


def test_a_link_must_be_there_unless_a_stage_variable_names_it(method):
    wanted = {
        "type": "HTTP_PROXY",
        "integrationHttpMethod": "GET",
        "uri": "http://x.example.com",
        "connectionType": "VPC_LINK",
    }
    assert method.refused(**wanted)[0] == BAD
    assert method.refused(**wanted, connectionId="nope") == (BAD, "Invalid Vpc Link identifier specified")
    target = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/x/1"
    link = method.client.create_vpc_link(name="link", targetArns=[target])["id"]
    assert method.put(**wanted, connectionId=link)["connectionType"] == "VPC_LINK"
    assert method.update(patch("replace", "/connectionId", "${stageVariables.link}"))["connectionId"]


def test_answers_of_integrations_are_mapped_by_status(method):
    method.put(type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    made = method.respond(selectionPattern="", responseTemplates={"application/json": '"created"'})
    assert made == {
        "statusCode": "200",
        "selectionPattern": "",
        "responseTemplates": {"application/json": '"created"'},
    }
    at = method.at | {"statusCode": "200"}
    changed = method.client.update_integration_response(
        **at, patchOperations=[patch("replace", "/selectionPattern", "updated-pattern")]
    )
    assert changed["selectionPattern"] == "updated-pattern"
    over = method.respond(selectionPattern="other", responseTemplates={"application/json": "overwrite"})
    assert over["responseTemplates"] == {"application/json": "overwrite"}
    shown = method.client.get_integration(**method.at)["integrationResponses"]
    assert shown == {"200": over}
    gone = method.client.delete_integration_response(**at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(method.client.get_integration_response, **at) == (
        MISSING,
        "Invalid Response status code specified",
    )


def test_an_empty_template_is_none(method):
    method.put(type="MOCK")
    made = method.respond(responseTemplates={"application/json": ""})
    assert made["responseTemplates"] == {"application/json": None}
    assert "selectionPattern" not in made


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (
            {"responseParameters": {"method.response.header.X-Z": "'x'"}},
            f"{MAPPING}[Invalid mapping expression parameter specified: method.response.header.X-Z]",
        ),
        (
            {"responseParameters": {"method.response.header.X-A": "x"}},
            f"{MAPPING}[Invalid mapping expression specified: x]",
        ),
        (
            {"responseTemplates": {"123": "x"}},
            "Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
        ),
        ({"selectionPattern": "("}, "Invalid selection pattern specified"),
    ],
)
def test_what_an_answer_cannot_be_mapped_to(method, response, sentence):
    method.put(type="MOCK")
    assert method.respond_refused(**response) == (BAD, sentence)


def test_what_is_missing_is_named(method, cloud):
    calls = method.client
    assert method.respond_refused() == (MISSING, "Invalid Integration identifier specified")
    other = method.at | {"httpMethod": "POST"}
    assert refused(calls.put_integration, **other, type="MOCK") == (
        MISSING,
        "Invalid Method identifier specified",
    )
    assert refused(calls.delete_integration_response, **other, statusCode="200") == (
        MISSING,
        "Invalid Integration identifier specified",
    )
    nowhere = method.at | {"resourceId": "nope"}
    assert refused(calls.put_integration, **nowhere, type="MOCK") == (
        MISSING,
        "Invalid Resource identifier specified",
    )


def test_an_integration_is_deleted(method):
    method.put(type="MOCK")
    gone = method.client.delete_integration(**method.at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "methodIntegration" not in method.client.get_method(**method.at)
