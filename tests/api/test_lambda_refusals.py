"""What Lambda refuses through the front door: AWS's code, status, sentence and shape for each."""

import io
import os
import zipfile

import pytest
from botocore.exceptions import ClientError
from tests.support import PYTHON, ROLE, create, deploy, package

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CODE = "def handler(event, context):\n    return event\n"
NAME = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
ROLE_PATTERN = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
INVALID = "InvalidParameterValueException"
UNQUALIFIED = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation."
    " Please specify either a function name or an unqualified function ARN."
)


@pytest.fixture
def aws(cumulo_empty):
    from botocore.config import Config

    return cumulo_empty.client(
        "lambda", config=Config(parameter_validation=False, retries={"total_max_attempts": 1})
    )


def refusal(call, *args, **values):
    """Call, and return (status, code, message) after checking the error's shape."""
    with pytest.raises(ClientError) as error:
        call(*args, **values)
    answer = error.value.response
    code, said = answer["Error"]["Code"], answer["Error"]["Message"]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == code
    assert headers["x-amzn-requestid"] == answer["ResponseMetadata"]["RequestId"]
    if code == "ResourceNotFoundException":
        assert (answer["Message"], answer["Type"]) == (said, "User")
    elif code in (INVALID, "ResourceConflictException", "PreconditionFailedException"):
        assert (answer["message"], answer.get("Type", "User")) == (said, "User")
    elif code == "ValidationException":
        assert "Type" not in answer
    return answer["ResponseMetadata"]["HTTPStatusCode"], code, said


def creation(aws, **values):
    """The refusal of a creation that is good but for `values` (None takes one out)."""
    given = {
        "FunctionName": "f",
        "Runtime": PYTHON,
        "Handler": "app.handler",
        "Role": ROLE,
        "Code": {"ZipFile": package(CODE)},
    } | values
    return refusal(aws.create_function, **{name: value for name, value in given.items() if value is not None})


def constraint(value, member, sentence):
    said = (
        f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {sentence}"
    )
    return 400, "ValidationException", said


LONG = "a" * 129


@pytest.mark.parametrize(
    ("values", "value", "member", "sentence"),
    [
        ({"Role": "r1"}, "'r1'", "role", f"Member must satisfy regular expression pattern: {ROLE_PATTERN}"),
        ({"Role": None}, "null", "role", "Member must not be null"),
        ({"Code": None}, "null", "code", "Member must not be null"),
        ({"FunctionName": "invalid:function:name"}, "'invalid:function:name'", "functionName",
         f"Member must satisfy regular expression pattern: {NAME}"),
        ({"FunctionName": "a" * 141}, f"'{'a' * 141}'", "functionName",
         "Member must have length less than or equal to 140"),
        ({"Handler": "a b"}, "'a b'", "handler", r"Member must satisfy regular expression pattern: [^\s]+"),
        ({"Handler": LONG}, f"'{LONG}'", "handler", "Member must have length less than or equal to 128"),
        ({"Description": "x" * 257}, f"'{'x' * 257}'", "description",
         "Member must have length less than or equal to 256"),
        ({"Timeout": 0}, "'0'", "timeout", "Member must have value greater than or equal to 1"),
        ({"Timeout": 901}, "'901'", "timeout", "Member must have value less than or equal to 900"),
        ({"MemorySize": 127}, "'127'", "memorySize", "Member must have value greater than or equal to 128"),
        ({"EphemeralStorage": {"Size": 511}}, "'511'", "ephemeralStorage.size",
         "Member must have value greater than or equal to 512"),
        ({"Architectures": []}, "'[]'", "architectures", "Member must have length greater than or equal to 1"),
        ({"Architectures": ["x86_64", "arm64"]}, "'[x86_64, arm64]'", "architectures",
         "Member must have length less than or equal to 1"),
        ({"Architectures": ["X86_64"]}, "'[X86_64]'", "architectures",
         "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"),
        ({"TracingConfig": {"Mode": "x"}}, "'x'", "tracingConfig.mode",
         "Member must satisfy enum value set: [Active, PassThrough]"),
        ({"LoggingConfig": {"LogFormat": "x"}}, "'x'", "loggingConfig.logFormat",
         "Member must satisfy enum value set: [JSON, Text]"),
    ],
)  # fmt: skip
def test_a_creation_that_breaks_the_model_is_refused_in_the_models_words(
    aws, values, value, member, sentence
):
    assert creation(aws, **values) == constraint(value, member, sentence)
    assert aws.list_functions()["Functions"] == []


def test_every_broken_constraint_is_named(aws):
    status, code, said = creation(aws, Role="z", Timeout=0, MemorySize=1, FunctionName="b b")
    assert (status, code) == (400, "ValidationException")
    assert said.startswith("4 validation errors detected: Value '")
    for member in ("role", "timeout", "memorySize", "functionName"):
        assert f" at '{member}' failed to satisfy constraint: " in said
    assert said.count("; Value '") == 3


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"FunctionName": "a" * 65}, (f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to"
         " satisfy constraint: Member must have length less than or equal to 64")),
        ({"FunctionName": "f:1"}, UNQUALIFIED),
        ({"Runtime": None}, "Runtime and Handler are mandatory parameters for functions created with deployment packages."),
        ({"Handler": None}, "Runtime and Handler are mandatory parameters for functions created with deployment packages."),
        ({"Runtime": "python3.7"}, ("The runtime parameter of python3.7 is no longer supported for creating or updating"
         " AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.")),
        ({"Code": {"ZipFile": b"this is not a zip"}},
         "Could not unzip uploaded file. Please check your file, then try to upload again."),
        ({"Code": {"ZipFile": b""}}, "Uploaded file must be a non-empty zip"),
        ({"Code": {}}, "Please provide a source for function code."),
        ({"Code": {"S3Bucket": "none-such", "S3Key": "k"}}, ("Error occurred while GetObject. S3 Error Code: NoSuchBucket."
         " S3 Error Message: The specified bucket does not exist")),
        ({"MemorySize": 10_241},
         "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, ("Lambda was unable to configure your environment variables"
         " because the environment variables you have provided contains reserved keys that are currently not supported"
         " for modification. Reserved keys used in this request: AWS_REGION")),
        ({"Environment": {"Variables": {"AB": "x" * 4096}}}, ("Lambda was unable to configure your environment variables"
         " because the environment variables you have provided exceeded the 4KB limit. String measured:"
         f' {{"AB":"{"x" * 4096}"}}')),
        ({"Layers": [f"arn:aws:lambda:us-east-1:000000000000:layer:l{n}:1" for n in range(6)]},
         "Cannot reference more than 5 layers."),
        ({"Layers": [f"arn:aws:lambda:us-east-1:000000000000:layer:l:{n}" for n in (1, 2)]},
         ("Two different versions of the same layer are not allowed to be referenced in the same function."
         " arn:aws:lambda:us-east-1:000000000000:layer:l:1 and arn:aws:lambda:us-east-1:000000000000:layer:l:2"
         " are versions of the same layer.")),
        ({"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}},
         ('LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the'
         ' LogFormat to "JSON" and try again.')),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "nodejs20.x"},
         "nodejs20.x is not supported for SnapStart enabled functions."),
    ],
)  # fmt: skip
def test_a_creation_that_lambda_cannot_accept_is_refused_in_its_words(aws, values, said):
    assert creation(aws, **values) == (400, INVALID, said)
    assert aws.list_functions()["Functions"] == []


def test_an_unknown_runtime_is_refused_with_those_that_are_known(aws):
    for name in ("non-existent-runtime", "PYTHON3.9"):
        status, code, said = creation(aws, Runtime=name)
        assert (status, code) == (400, INVALID)
        assert said.startswith(
            f"Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["
        )
        assert said.endswith("] or be a valid ARN")
        assert "python3.12" in said
    deploy(aws, "f", CODE)
    assert refusal(aws.update_function_configuration, FunctionName="f", Runtime="x")[:2] == (400, INVALID)


def test_code_that_is_too_large_is_refused_at_each_of_its_limits(aws):
    zipped = creation(aws, Code={"ZipFile": os.urandom(52_428_801)})
    assert zipped == (
        413,
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )
    request = creation(aws, Code={"ZipFile": os.urandom(53_000_000)})
    assert request == (
        413,
        "RequestEntityTooLargeException",
        "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", bytes(262_144_001))
    unzipped = creation(aws, Code={"ZipFile": buffer.getvalue()})
    assert unzipped == (400, INVALID, "Unzipped size must be smaller than 262144000 bytes")


def test_a_name_is_taken_once(aws):
    create(aws, "f", CODE)
    assert creation(aws) == (409, "ResourceConflictException", "Function already exist: f")


def test_what_is_not_there_is_not_found(aws):
    missing = (404, "ResourceNotFoundException", f"Function not found: {ARN}none")
    for call, extra in (
        (aws.get_function, {}),
        (aws.get_function_configuration, {}),
        (aws.delete_function, {}),
        (aws.delete_function, {"Qualifier": "1"}),
        (aws.update_function_configuration, {"Timeout": 5}),
        (aws.update_function_code, {"ZipFile": package(CODE)}),
        (aws.publish_version, {}),
        (aws.list_versions_by_function, {}),
        (aws.put_function_concurrency, {"ReservedConcurrentExecutions": 1}),
        (aws.get_function_concurrency, {}),
        (aws.delete_function_concurrency, {}),
        (aws.get_policy, {}),
        (aws.get_function_code_signing_config, {}),
    ):
        assert refusal(call, FunctionName="none", **extra) == missing
    assert refusal(aws.invoke, FunctionName="none") == (*missing[:2], f"{missing[2]}:$LATEST")
    assert refusal(aws.list_tags, Resource=ARN + "none") == missing
    deploy(aws, "f", CODE)
    for call in (aws.get_function, aws.get_function_configuration, aws.invoke):
        for qualifier in ("1221", "no-alias"):
            said = f"Function not found: {ARN}f:{qualifier}"
            assert refusal(call, FunctionName="f", Qualifier=qualifier) == (*missing[:2], said)


def test_functions_of_other_regions_and_accounts_are_out_of_reach(aws):
    deploy(aws, "f", CODE)
    elsewhere = ARN.replace("us-east-1", "eu-west-1") + "f"
    said = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"
    for call in (aws.get_function, aws.get_function_configuration, aws.delete_function, aws.invoke):
        assert refusal(call, FunctionName=elsewhere) == (404, "ResourceNotFoundException", said)
    other = ARN.replace("000000000000", "123456789012") + "f"
    assert refusal(aws.get_function, FunctionName=other)[:2] == (403, "AccessDeniedException")


def test_two_qualifiers_must_agree(aws):
    deploy(aws, "f", CODE)
    said = "The derived qualifier from the function name does not match the specified qualifier."
    assert refusal(aws.get_function, FunctionName="f:1", Qualifier="2") == (400, INVALID, said)
    assert refusal(aws.invoke, FunctionName="f:1", Qualifier="2") == (400, INVALID, said)


def test_revisions_and_digests_guard_updates(aws):
    deploy(aws, "f", CODE)
    stale = (
        412,
        "PreconditionFailedException",
        (
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to"
            " retrieve the latest Revision Id"
        ),
    )
    assert refusal(aws.update_function_configuration, FunctionName="f", RevisionId="x") == stale
    assert refusal(aws.update_function_code, FunctionName="f", RevisionId="x", ZipFile=package(CODE)) == stale
    assert refusal(aws.publish_version, FunctionName="f", RevisionId="x") == stale
    now = aws.get_function_configuration(FunctionName="f")
    assert refusal(aws.publish_version, FunctionName="f", CodeSha256="other") == (
        400,
        INVALID,
        (
            f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({now['CodeSha256']})."
            " Please try again with the CodeSHA256 in $LATEST."
        ),
    )
    assert aws.publish_version(FunctionName="f", RevisionId=now["RevisionId"], CodeSha256=now["CodeSha256"])


def test_latest_is_not_deleted_alone(aws):
    deploy(aws, "f", CODE)
    said = "$LATEST version cannot be deleted without deleting the function."
    assert refusal(aws.delete_function, FunctionName="f", Qualifier="$LATEST") == (400, INVALID, said)


def test_tags_are_refused_in_awss_words(aws):
    deploy(aws, "f", CODE)
    versions = "Tags on function aliases and versions are not supported. Please specify a function ARN."
    for qualifier in ("1", "$LATEST"):
        told = refusal(aws.tag_resource, Resource=f"{ARN}f:{qualifier}", Tags={"a": "b"})
        assert told == (400, INVALID, versions)
    many = {str(number): "x" for number in range(51)}
    limit = (400, INVALID, "Number of tags exceeds resource tag limit.")
    assert refusal(aws.tag_resource, Resource=ARN + "f", Tags=many) == limit
    assert creation(aws, FunctionName="g", Tags=many) == limit
    assert refusal(aws.tag_resource, Resource=ARN + "f", Tags={}) == (
        400,
        INVALID,
        "An error occurred and the request cannot be processed.",
    )
    empty = refusal(aws.untag_resource, Resource=ARN + "f", TagKeys=[])
    assert empty == constraint("null", "tagKeys", "Member must not be null")
    status, code, said = refusal(aws.tag_resource, Resource="arn:aws:something", Tags={"a": "b"})
    assert (status, code) == (400, "ValidationException")
    assert said.startswith(
        "1 validation error detected: Value 'arn:aws:something' at 'resource' failed to satisfy constraint:"
        " Member must satisfy regular expression pattern: arn:"
    )


def test_a_reservation_leaves_some_for_others(aws):
    deploy(aws, "f", CODE)
    told = refusal(aws.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=901)
    assert told == (
        400,
        INVALID,
        (
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution"
            " below its minimum value of [100]."
        ),
    )
    assert refusal(aws.put_function_concurrency, FunctionName="f:1", ReservedConcurrentExecutions=1) == (
        400,
        INVALID,
        UNQUALIFIED,
    )


def test_policies_are_refused_in_awss_words(aws):
    deploy(aws, "f", CODE)
    missing = "ResourceNotFoundException"
    given = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}

    def added(**changes):
        return refusal(aws.add_permission, **({"FunctionName": "f"} | given | changes))

    assert refusal(aws.get_policy, FunctionName="f") == (
        404,
        missing,
        "The resource you requested does not exist.",
    )
    gone = refusal(aws.remove_permission, FunctionName="f", StatementId="s3")
    assert gone == (404, missing, "No policy is associated with the given resource.")
    assert added(StatementId="example.com") == constraint(
        "'example.com'", "statementId", "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"
    )
    assert added(Qualifier="$LATEST") == (
        400,
        INVALID,
        "We currently do not support adding policies for $LATEST.",
    )
    assert added(Principal="nobody") == (
        400,
        INVALID,
        "The provided principal was invalid. Please check the principal and try again.",
    )
    assert added(FunctionName="none") == (404, missing, f"Function not found: {ARN}none")
    assert added(Qualifier="no-alias") == (404, missing, f"Cannot find alias arn: {ARN}f:no-alias")
    assert added(Qualifier="42") == (404, missing, f"Function not found: {ARN}f:42")
    assert added(Qualifier="with-$-x") == (404, missing, f"Function not found: {ARN}f:with-$-x")
    aws.add_permission(FunctionName="f", **given)
    assert added() == (
        409,
        "ResourceConflictException",
        (
            "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing"
            " statement."
        ),
    )
    assert refusal(aws.get_policy, FunctionName="f", Qualifier="9") == (
        404,
        missing,
        "The resource you requested does not exist.",
    )
    told = refusal(aws.remove_permission, FunctionName="none", StatementId="s3")
    assert told == (404, missing, f"No policy found for: {ARN}none")
    told = refusal(aws.remove_permission, FunctionName="f", StatementId="s3", Qualifier="no-alias")
    assert told == (404, missing, f"Cannot find alias arn: {ARN}f:no-alias")
