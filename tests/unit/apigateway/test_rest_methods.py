import pytest
from tests.unit.apigateway.rest_kit import FUNCTION_URI, patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
AUTHORIZER = "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."


@pytest.fixture
def root(cloud):
    return Root(cloud)


class Root:
    """The root of an API, with methods."""

    def __init__(self, cloud):
        self.client = cloud.client
        self.api_id, self.id = cloud.api()
        self.at = {"restApiId": self.api_id, "resourceId": self.id}

    def put(self, name="ANY", **more):
        wanted = {"authorizationType": "NONE"} | more
        return plain(self.client.put_method(**self.at, httpMethod=name, **wanted))

    def put_refused(self, name="ANY", **more):
        wanted = {"authorizationType": "NONE"} | self.at | more
        return refused(self.client.put_method, httpMethod=name, **wanted)

    def update(self, *operations):
        return plain(self.client.update_method(**self.at, httpMethod="ANY", patchOperations=list(operations)))

    def update_refused(self, *operations):
        return refused(
            self.client.update_method, **self.at, httpMethod="ANY", patchOperations=list(operations)
        )

    def authorizer(self):
        made = self.client.create_authorizer(
            restApiId=self.api_id,
            name="who",
            type="TOKEN",
            authorizerUri=FUNCTION_URI,
            identitySource="method.request.header.Auth",
        )
        return made["id"]

    def model(self, name="Pet"):
        self.client.create_model(
            restApiId=self.api_id,
            name=name,
            contentType="application/json",
            schema='{"type": "object"}',
        )


def test_a_method_is_made_shown_and_deleted(root):
    shown = {"httpMethod": "ANY", "authorizationType": "NONE", "apiKeyRequired": False}
    assert root.put() == shown
    assert plain(root.client.get_method(**root.at, httpMethod="ANY")) == shown
    gone = root.client.delete_method(**root.at, httpMethod="ANY")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in (root.client.get_method, root.client.delete_method):
        assert refused(call, **root.at, httpMethod="ANY") == (
            MISSING,
            "Invalid Method identifier specified",
        )


def test_a_method_is_made_once(root):
    root.put("GET")
    assert root.put_refused("GET") == (CONFLICT, "Method already exists for this resource")


@pytest.mark.parametrize(
    ("name", "more", "answer"),
    [
        ("ANY", {"restApiId": "nope"}, (MISSING, "Invalid Resource identifier specified")),
        ("ANY", {"resourceId": "nope"}, (MISSING, "Invalid Resource identifier specified")),
        (
            "WRONG",
            {},
            (
                BAD,
                "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
            ),
        ),
        ("GET", {"authorizationType": "CUSTOM"}, (BAD, AUTHORIZER)),
        ("GET", {"authorizationType": "CUSTOM", "authorizerId": "nope"}, (BAD, AUTHORIZER)),
        (
            "GET",
            {"requestValidatorId": "nope"},
            (BAD, "Invalid Request Validator identifier specified"),
        ),
        (
            "GET",
            {"requestModels": {"application/json": "petModel"}},
            (BAD, "Invalid model identifier specified: petModel"),
        ),
        (
            "GET",
            {
                "requestParameters": {
                    "method.request.querystring.q": True,
                    "method.request.header.q": True,
                }
            },
            (BAD, "Parameter names must be unique across querystring, header and path"),
        ),
        (
            "GET",
            {"requestParameters": {"querystring.q": True}},
            (
                BAD,
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
                "[Invalid mapping expression specified: querystring.q]",
            ),
        ),
    ],
)
def test_what_a_method_cannot_be_is_refused(root, name, more, answer):
    assert root.put_refused(name, **more) == answer


def test_parameters_and_models_are_added_replaced_and_removed(root):
    root.put()
    parameter = "/requestParameters/method.request.querystring.optional"
    added = root.update(
        patch("add", parameter, "true"), patch("add", "/requestModels/application~1json", "Empty")
    )
    assert added["requestParameters"] == {"method.request.querystring.optional": True}
    assert added["requestModels"] == {"application/json": "Empty"}
    replaced = root.update(
        patch("replace", "/operationName", "ReplacedOperationName"),
        patch("replace", "/apiKeyRequired", "true"),
        patch("replace", "/authorizationType", "AWS_IAM"),
        patch("replace", parameter, "false"),
    )
    assert replaced["requestParameters"] == {"method.request.querystring.optional": False}
    assert (replaced["operationName"], replaced["apiKeyRequired"]) == ("ReplacedOperationName", True)
    left = root.update(patch("remove", parameter), patch("remove", "/requestModels/application~1json"))
    assert left.keys() == {"apiKeyRequired", "authorizationType", "httpMethod", "operationName"}


def test_an_authorizer_is_named_only_where_one_is_asked(root):
    root.put()
    who = root.authorizer()
    assert root.update_refused(patch("replace", "/authorizationType", "CUSTOM")) == (BAD, AUTHORIZER)
    assert "authorizerId" not in root.update(patch("replace", "/authorizerId", who))
    changed = root.update(
        patch("replace", "/authorizationType", "CUSTOM"), patch("replace", "/authorizerId", who)
    )
    assert (changed["authorizationType"], changed["authorizerId"]) == ("CUSTOM", who)
    assert root.update_refused(patch("replace", "/authorizerId", "nope")) == (BAD, AUTHORIZER)
    assert "authorizerId" not in root.update(patch("replace", "/authorizationType", "NONE"))


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (patch("add", "/operationName", "x"), "Invalid patch operation specified. Must be one of: [replace]"),
        (patch("remove", "/apiKeyRequired"), "Invalid patch operation specified. Must be one of: [replace]"),
        (patch("replace", "/httpMethod", "GET"), "Invalid patch path /httpMethod"),
        (patch("replace", "/requestParameters", "x"), "Invalid patch path /requestParameters"),
        (
            patch("add", "/requestModels/application/json", "Empty"),
            "Invalid patch path /requestModels/application/json",
        ),
        (
            patch("replace", "/requestValidatorId", "nope"),
            "Invalid Request Validator identifier specified",
        ),
    ],
)
def test_wrong_patches_are_refused_in_aws_sentences(root, operation, sentence):
    root.put()
    assert root.update_refused(operation) == (BAD, sentence)


def test_everything_but_true_is_false(root):
    root.put(apiKeyRequired=True)
    assert root.update(patch("replace", "/apiKeyRequired", "whatever"))["apiKeyRequired"] is False


def test_a_validator_is_taken_away_by_an_empty_value(root):
    validator = root.client.create_request_validator(restApiId=root.api_id, name="all")["id"]
    assert root.put(requestValidatorId=validator)["requestValidatorId"] == validator
    assert "requestValidatorId" not in root.update(patch("replace", "/requestValidatorId", ""))


def test_what_methods_answer_is_kept_by_status(root):
    root.put("GET")
    at = root.at | {"httpMethod": "GET", "statusCode": "200"}
    assert plain(root.client.put_method_response(**at)) == {"statusCode": "200"}
    assert refused(root.client.put_method_response, **at)[0] == CONFLICT
    added = root.client.update_method_response(
        **at,
        patchOperations=[
            patch("add", "/responseParameters/method.response.header.my-header", "true"),
            patch("add", "/responseModels/application~1json", "Empty"),
        ],
    )
    assert plain(added) == {
        "statusCode": "200",
        "responseParameters": {"method.response.header.my-header": True},
        "responseModels": {"application/json": "Empty"},
    }
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    whole = root.client.get_method(**root.at, httpMethod="GET")
    assert whole["methodResponses"]["200"] == plain(added)
    root.client.delete_method_response(**at)
    assert refused(root.client.get_method_response, **at) == (
        MISSING,
        "Invalid Response status code specified",
    )


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (
            patch("remove", "/responseParameters/method.response.header.x"),
            (MISSING, "Invalid parameter name specified"),
        ),
        (
            patch("replace", "/responseModels/application~1json", "Empty"),
            (MISSING, "Content-Type specified was not found"),
        ),
        (
            patch("add", "/wrong/method.response.header.my-header", "true"),
            (BAD, "Invalid patch path /wrong/method.response.header.my-header"),
        ),
    ],
)
def test_wrong_patches_of_method_responses(root, operation, answer):
    root.put("GET")
    at = root.at | {"httpMethod": "GET", "statusCode": "200"}
    root.client.put_method_response(**at)
    assert refused(root.client.update_method_response, **at, patchOperations=[operation]) == answer


def test_a_wrong_operation_is_a_validation_error_for_each(root):
    root.put("GET")
    at = root.at | {"httpMethod": "GET", "statusCode": "200"}
    root.client.put_method_response(**at)
    code, message = refused(
        root.client.update_method_response,
        **at,
        patchOperations=[patch("wrong_op", "/x"), patch("add", "/x"), patch("wrong_op", "/x")],
    )
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: Value 'wrong_op' at ")


def test_a_wrong_status_code_is_a_validation_error(root):
    root.put("GET")
    code, message = refused(root.client.put_method_response, **root.at, httpMethod="GET", statusCode="wrong")
    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [1-5]\\d\\d"
    )


def test_scopes_are_added_and_removed_by_value(root):
    root.put()
    path = "/authorizationScopes"
    assert root.update(patch("add", path, "a"), patch("add", path, "b"))["authorizationScopes"] == ["a", "b"]
    assert root.update(patch("remove", path, "a"))["authorizationScopes"] == ["b"]
