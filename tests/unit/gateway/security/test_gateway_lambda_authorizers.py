"""Lambda authorizers of REST, HTTP and WebSocket APIs."""

import asyncio
import json

import pytest
from tests.gateway_kit import ACCOUNT, API, FUNCTION, World, visit
from tests.gateway_security_kit import (
    ARN,
    PETS,
    STAGE,
    V2_STAGE,
    answer,
    method,
    rest_api,
    route,
    token_authorizer,
    v2_api,
    v2_authorizer,
)

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.rest import Resource
from cumulo.gateway.security.compile import rest_authorization, v2_authorization
from cumulo.gateway.visit import ClientCertificate, Refused

DENIED = "User is not authorized to access this resource"


class Rest:
    """GET /pets/{id} of a REST API with an authorizer."""

    def __init__(self, said=None, *, world=None, stage=STAGE, resource=PETS, **authorizer):
        self.world = world or World()
        self.world.invoker.functions[FUNCTION] = said if callable(said) else lambda _event: said
        self.authorizer = token_authorizer(**authorizer)
        self.authorize = rest_authorization(
            rest_api(self.authorizer), stage, resource, method("CUSTOM"), self.world.tools
        )
        self.visit = None

    def ask(self, token="let me in", target="/pets/1", verb="GET", **headers):
        sent = ({} if token is None else {"Authorization": token}) | headers
        self.visit = visit(verb, target, sent, stage="dev")
        return asyncio.run(self.authorize(self.visit))

    def refuse(self, *args, **options):
        with pytest.raises(Refused) as caught:
            self.ask(*args, **options)
        return caught.value.kind, caught.value.message

    @property
    def calls(self):
        return len(self.world.invoker.events)


# -- TOKEN --------------------------------------------------------------------------------------------------------


def test_a_token_is_sent_with_the_methods_arn():
    api = Rest(answer(context={"a": "x", "n": 1, "f": 1.5, "t": True}, usageIdentifierKey="key value"))
    grant = api.ask()
    assert api.world.invoker.event == {
        "type": "TOKEN", "methodArn": f"{ARN}/dev/GET/pets/1", "authorizationToken": "let me in",
    }  # fmt: skip
    assert (grant.kind, grant.usage_key, grant.settled) == ("LAMBDA", "key value", True)
    assert grant.context == {
        "principalId": "bob", "integrationLatency": 0, "a": "x", "n": "1", "f": "1.5", "t": "true",
    }  # fmt: skip
    assert grant.facts["status"] == 200


def test_a_context_cannot_say_who_the_principal_is():
    assert Rest(answer(context={"principalId": "root"})).ask().context["principalId"] == "bob"


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_nobody_is_called(token):
    api = Rest(answer())
    assert api.refuse(token) == ("UNAUTHORIZED", "Unauthorized")
    assert api.calls == 0


@pytest.mark.parametrize(
    ("token", "called"),
    [("abc-123", True), ("abc-", False), ("xabc-123", False), ("abc-123\n", False), ("abc-é", False)],
)
def test_a_token_must_fit_its_expression_whole(token, called):
    api = Rest(answer(), identity_validation_expression="abc-[0-9]+")
    if called:
        api.ask(token)
    else:
        assert api.refuse(token)[0] == "UNAUTHORIZED"
    assert api.calls == called


def test_an_expression_that_would_run_away_does_not():
    api = Rest(answer(), identity_validation_expression="(a+)+(b+)+(a|aa)+$")
    assert api.refuse("a" * 5000 + "!")[0] == "UNAUTHORIZED"


def test_an_expression_that_nobody_understands_lets_nobody_in():
    assert Rest(answer(), identity_validation_expression="(?<=a)(").refuse("a")[0] == "UNAUTHORIZED"


def test_a_log_tells_no_secrets():
    api = Rest(answer(context={"password": "hidden one"}))
    asked = visit("GET", "/pets/1", {"Authorization": "Bearer secret-token"}, stage="dev")
    asked.log = []
    asyncio.run(api.authorize(asked))
    told = [text for _, text in asked.log]
    assert told == [
        f"Starting authorizer: auth01 for request: {asked.context['requestId']}",
        "Incoming identity: *************-token",
        "Using valid authorizer policy for principal: bob",
        "Successfully completed authorizer execution",
    ]


# -- REQUEST ------------------------------------------------------------------------------------------------------

SOURCES = (
    "method.request.header.Auth, method.request.querystring.k,context.identity.sourceIp,stageVariables.color"
)


def test_a_request_is_sent_whole():
    api = Rest(answer(), type="REQUEST", identity_source=SOURCES)
    api.ask(None, "/pets/a%20b?k=1&k=2&l=%C3%A4", Auth="x", Accept="*/*")
    event = api.world.invoker.event
    context = event.pop("requestContext")
    assert event == {
        "type": "REQUEST",
        "methodArn": f"{ARN}/dev/GET/pets/a%20b",
        "resource": "/pets/{id}",
        "path": "/pets/a%20b",
        "httpMethod": "GET",
        "headers": {"Host": f"{API}.execute-api.us-east-1.amazonaws.com", "Auth": "x", "Accept": "*/*"},
        "multiValueHeaders": {
            "Host": [f"{API}.execute-api.us-east-1.amazonaws.com"], "Auth": ["x"], "Accept": ["*/*"],
        },
        "queryStringParameters": {"k": "2", "l": "ä"},
        "multiValueQueryStringParameters": {"k": ["1", "2"], "l": ["ä"]},
        "pathParameters": {"id": "a b"},
        "stageVariables": {"color": "blue"},
    }  # fmt: skip
    assert (context["resourceId"], context["resourcePath"], context["stage"]) == (
        "abc123",
        "/pets/{id}",
        "dev",
    )
    assert context["identity"]["sourceIp"] == "203.0.113.7"


@pytest.mark.parametrize(
    ("target", "headers"), [("/pets/1?k=1", {}), ("/pets/1", {"Auth": "x"}), ("/pets/1?k=", {"Auth": "x"}),
                            ("/pets/1?K=1", {"Auth": "x"}), ("/pets/1?k=1", {"Auth": ""})]
)  # fmt: skip
def test_each_identity_source_must_be_there(target, headers):
    api = Rest(answer(), type="REQUEST", identity_source=SOURCES)
    assert api.refuse(None, target, **headers) == ("UNAUTHORIZED", "Unauthorized")
    assert api.calls == 0


def test_a_stage_variable_that_is_not_there_lets_nobody_in():
    api = Rest(answer(), type="REQUEST", identity_source="stageVariables.missing")
    assert api.refuse()[0] == "UNAUTHORIZED"


def test_without_identity_sources_each_request_is_asked_about():
    api = Rest(answer(), type="REQUEST", identity_source="")
    api.ask()
    api.ask()
    assert api.calls == 2


def test_unicode_in_identity_sources_is_a_value_like_others():
    api = Rest(
        answer(), type="REQUEST", identity_source="method.request.header.Auth,method.request.querystring.k"
    )
    api.ask(None, "/pets/1?k=%F0%9F%90%B1", Auth="\u00e9")
    api.ask(None, "/pets/1?k=%F0%9F%90%B1", Auth="\u00e9")
    api.ask(None, "/pets/1?k=%F0%9F%90%B2", Auth="\u00e9")
    assert api.calls == 2


# -- what is kept -------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_for_its_seconds():
    api = Rest(answer(), ttl=60)
    first, second = api.ask(), api.ask()
    assert (api.calls, second.context) == (1, first.context)
    api.ask("another")
    assert api.calls == 2
    api.world.clock.advance(60)
    api.ask()
    assert api.calls == 3


@pytest.mark.parametrize(("ttl", "calls"), [(None, 1), (0, 2)])
def test_by_default_it_is_five_minutes(ttl, calls):
    api = Rest(answer(), ttl=ttl)
    api.ask()
    api.world.clock.advance(299)
    api.ask()
    assert api.calls == calls


def test_a_kept_policy_is_asked_about_each_method():
    api = Rest(answer("Allow", f"{ARN}/dev/GET/pets/1"))
    api.ask()
    assert api.refuse(target="/pets/2") == ("ACCESS_DENIED", DENIED)
    assert api.refuse(verb="POST") == ("ACCESS_DENIED", DENIED)
    assert api.calls == 1


def test_denials_are_kept_too_and_failures_are_not():
    api = Rest(answer("Deny"))
    for _ in range(2):
        assert api.refuse() == ("ACCESS_DENIED", f"{DENIED} with an explicit deny")
    assert api.calls == 1
    other = Rest(b"garbage")
    other.refuse()
    other.refuse()
    assert other.calls == 2


def test_what_is_kept_can_be_flushed_by_stage():
    api = Rest(answer())
    api.ask()
    api.world.tools.memory.authorizers.flush(API, "prod")
    api.ask()
    assert api.calls == 1
    api.world.tools.memory.authorizers.flush(API, "dev")
    api.ask()
    assert api.calls == 2
    api.world.tools.memory.authorizers.forget(API)
    api.ask()
    assert api.calls == 3


def test_identity_sources_are_not_mistaken_for_one_another():
    api = Rest(answer(), type="REQUEST", identity_source="method.request.header.A,method.request.header.B")
    api.ask(None, A="x,y", B="z")
    api.ask(None, A="x", B="y,z")
    api.ask(None, A='x","y', B="z")
    assert api.calls == 3


def test_authorizers_stages_and_apis_keep_apart():
    import msgspec

    world = World()
    Rest(answer(), world=world).ask()
    Rest(answer("Deny"), world=world, id="auth01", authorizer_credentials="arn:aws:iam::1:role/x").refuse()
    other = msgspec.structs.replace(STAGE, stage_name="prod")
    Rest(answer("Deny"), world=world, stage=other).refuse()
    definition = msgspec.structs.replace(rest_api(token_authorizer()), api_id="zzzzzz1234")
    authorize = rest_authorization(definition, STAGE, PETS, method("CUSTOM"), world.tools)
    with pytest.raises(Refused):
        asyncio.run(authorize(visit("GET", "/pets/1", {"Authorization": "let me in"}, stage="dev")))
    assert len(world.invoker.events) == 4


# -- answers ------------------------------------------------------------------------------------------------------

BROKEN = [
    b"", b"null", b"[]", b"7", b'"Allow"', b"{", b"\xff\xfe", b"[" * 5000, {}, {"principalId": "bob"},
    answer(principalId=None), answer(principalId=""), answer(principalId={}), answer(principalId=True),
    answer(policyDocument=None), answer(policyDocument="{}"), answer(policyDocument=[]), answer(policyDocument={}),
    answer("allow"), answer("Maybe"), answer(context=[]), answer(context="x"), answer(context={"a": {"b": 1}}),
    answer(context={"a": ["b"]}), answer(context={"a": None}), answer(usageIdentifierKey=7), answer(extra=1),
    {"isAuthorized": True}, answer(policyDocument={"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]}),
    answer(policyDocument={"Statement": {"Effect": "Allow", "Action": "execute-api:Invoke"}}),
    {"errorMessage": "x", "errorType": "E"},
]  # fmt: skip


@pytest.mark.parametrize("said", BROKEN)
def test_an_answer_that_is_none_is_the_authorizers_fault(said):
    api = Rest(said)
    assert api.refuse() == ("AUTHORIZER_CONFIGURATION_ERROR", None)
    assert api.visit.context["authorizer"]["error"]


def test_a_number_may_be_a_principal():
    assert Rest(answer(principalId=7)).ask().context["principalId"] == "7"


def test_a_function_may_say_unauthorized():
    raised = InvokeResult(
        payload=json.dumps({"errorMessage": "Unauthorized", "errorType": "Exception"}).encode(),
        function_error="Unhandled",
    )
    assert Rest(raised).refuse() == ("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize(
    "payload", [b'{"errorMessage": "unauthorized"}', b'{"errorMessage": 7}', b"x", b"[]"]
)
def test_any_other_error_is_the_authorizers_fault(payload):
    raised = InvokeResult(payload=payload, function_error="Unhandled")
    assert Rest(raised).refuse() == ("AUTHORIZER_CONFIGURATION_ERROR", None)


def test_a_function_that_errs_cannot_let_anybody_in():
    raised = InvokeResult(payload=json.dumps(answer()).encode(), function_error="Handled")
    assert Rest(raised).refuse()[0] == "AUTHORIZER_CONFIGURATION_ERROR"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(AwsError("TooManyRequestsException", "Rate Exceeded.", status=429), "AUTHORIZER_FAILURE"),
     (AwsError("ServiceException", "x", status=500), "AUTHORIZER_FAILURE"),
     (AwsError("ResourceNotFoundException", "x", status=404), "AUTHORIZER_CONFIGURATION_ERROR")],
)  # fmt: skip
def test_a_function_that_cannot_be_called_is_told(error, kind):
    def said(_event):
        raise error

    assert Rest(said).refuse() == (kind, None)


def test_a_function_must_allow_its_authorizer_where_permissions_count():
    world = World(shared=True)
    api = Rest(answer(), world=world)
    api.ask()
    assert world.functions.asked == [(FUNCTION, f"{ARN}/authorizers/auth01")]
    world.functions.denied.add(FUNCTION)
    assert api.refuse("another") == ("AUTHORIZER_CONFIGURATION_ERROR", None)


@pytest.mark.parametrize("uri", ["", "https://example.com", "arn:aws:sqs:us-east-1:1:q"])
def test_an_authorizer_without_a_function_is_at_fault(uri):
    assert Rest(answer(), authorizer_uri=uri).refuse() == ("AUTHORIZER_CONFIGURATION_ERROR", None)


def test_an_authorizer_that_is_gone_is_at_fault():
    authorize = rest_authorization(rest_api(), STAGE, PETS, method("CUSTOM"), World().tools)
    with pytest.raises(Refused) as caught:
        asyncio.run(authorize(visit("GET", "/pets/1")))
    assert (caught.value.kind, caught.value.message) == ("AUTHORIZER_CONFIGURATION_ERROR", None)


# -- policies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [("*", True), (f"{ARN}/*", True), (f"{ARN}/dev/*", True), (f"{ARN}/*/GET/pets/*", True),
     (f"{ARN}/dev/GET/pets/?", True), (f"{ARN}/dev/*/pets/1", True), (f"{ARN}/prod/*", False),
     (f"{ARN}/dev/POST/*", False), (f"{ARN}/dev/GET/pets", False), (f"{ARN}/dev/GET/pets/1/", False),
     (ARN.replace(API, "other"), False), (ARN.replace(ACCOUNT, "999999999999") + "/*", False),
     (f"{ARN[:-1]}", False), (f"{ARN}/DEV/GET/pets/1", False)],
)  # fmt: skip
def test_wildcards_of_policies_are_iams(resource, allowed):
    api = Rest(answer("Allow", resource))
    if allowed:
        api.ask()
    else:
        assert api.refuse() == ("ACCESS_DENIED", DENIED)


def test_no_resource_at_all_is_a_policy_that_allows_nothing():
    nothing = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": []}
    everything = nothing | {"Resource": "*"}
    for statements, allowed in (([nothing], False), (nothing, False), ([nothing, everything], True)):
        said = answer()
        said["policyDocument"] = {"Version": "2012-10-17", "Statement": statements}
        if allowed:
            assert Rest(said).ask().kind == "LAMBDA"
        else:
            assert Rest(said).refuse() == ("ACCESS_DENIED", DENIED)


def test_a_denial_wins():
    both = answer()
    both["policyDocument"]["Statement"] += answer("Deny", f"{ARN}/dev/GET/pets/*")["policyDocument"][
        "Statement"
    ]
    assert Rest(both).refuse() == ("ACCESS_DENIED", f"{DENIED} with an explicit deny")


SPELLINGS = [
    "/pets/@dmin",
    "/pets/%40dmin",
    "/pets/@%64%6D%69%6e",
    "/pets/%40%64min/",
    "//pets/@dmin",
    "/pets/@dmin//",
]


def but_not(resource):
    both = answer()
    both["policyDocument"]["Statement"] += answer("Deny", resource)["policyDocument"]["Statement"]
    return both


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_a_path_leads_round_a_denial(path):
    api = Rest(but_not(f"{ARN}/dev/GET/pets/@dmin"))
    assert api.refuse(target=path) == ("ACCESS_DENIED", f"{DENIED} with an explicit deny")
    api.ask(target="/pets/other")


@pytest.mark.parametrize("path", ["/pets/@dmin", "/pets/%40dmin", "/pets%2F@dmin"])
def test_http_apis_are_asked_about_the_path_that_routes_match(path):
    api = Http(but_not(f"{ARN}/*/GET/pets/@dmin"))
    assert api.refuse(path) == ("ACCESS_DENIED", "Forbidden")
    assert api.world.invoker.event["routeArn"] == f"{ARN}/$default/GET/pets/@dmin"
    assert api.world.invoker.event["rawPath"] == "/pets/@dmin"


def test_another_action_allows_nothing():
    other = answer()
    other["policyDocument"]["Statement"][0]["Action"] = "execute-api:ManageConnections"
    assert Rest(other).refuse() == ("ACCESS_DENIED", DENIED)


def test_conditions_are_asked():
    said = answer()
    said["policyDocument"]["Statement"][0]["Condition"] = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    Rest(said).ask()
    said["policyDocument"]["Statement"][0]["Condition"] = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    assert Rest(said).refuse() == ("ACCESS_DENIED", DENIED)


def test_a_greedy_resources_parameter_is_the_rest():
    api = Rest(answer(), type="REQUEST", identity_source="", resource=Resource(id="g", path="/x/{proxy+}"))
    api.ask(target="/x/a/b%2Fc")
    assert api.world.invoker.event["pathParameters"] == {"proxy": "a/b/c"}


# -- HTTP APIs ----------------------------------------------------------------------------------------------------


class Http:
    """A route of an HTTP API with an authorizer."""

    def __init__(self, said, *, key="GET /pets/{id}", kind="HTTP", world=None, **authorizer):
        self.world = world or World()
        self.world.invoker.functions[FUNCTION] = said if callable(said) else lambda _event: said
        self.definition = v2_api(v2_authorizer(**authorizer), kind=kind)
        self.authorize = v2_authorization(self.definition, V2_STAGE, route("CUSTOM", key), self.world.tools)

    def ask(self, target="/pets/1", certificate=None, **headers):
        sent = headers or {"Authorization": "x"}
        self.visit = visit("GET", target, sent, certificate=certificate)
        return asyncio.run(self.authorize(self.visit))

    def refuse(self, *args, **options):
        with pytest.raises(Refused) as caught:
            self.ask(*args, **options)
        return caught.value.kind, caught.value.message


def test_an_http_api_sends_2_0():
    api = Http({"isAuthorized": True, "context": {"a": ["b"], "m": {"n": 1}}}, enable_simple_responses=True)
    grant = api.ask("/pets/1?q=1&q=2", Authorization="x", Cookie="a=1; b=2", Accept="y")
    event = api.world.invoker.event
    context = event.pop("requestContext")
    assert event == {
        "version": "2.0", "type": "REQUEST", "routeArn": f"{ARN}/$default/GET/pets/1", "identitySource": ["x"],
        "routeKey": "GET /pets/{id}", "rawPath": "/pets/1", "rawQueryString": "q=1&q=2", "cookies": ["a=1", "b=2"],
        "headers": {"host": f"{API}.execute-api.us-east-1.amazonaws.com", "authorization": "x", "accept": "y"},
        "queryStringParameters": {"q": "1,2"}, "pathParameters": {"id": "1"}, "stageVariables": {"color": "blue"},
    }  # fmt: skip
    assert context["http"] == {
        "method": "GET", "path": "/pets/1", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "",
    }  # fmt: skip
    assert (grant.kind, grant.context, grant.principal) == ("LAMBDA", {"a": ["b"], "m": {"n": 1}}, "")


def test_a_clients_certificate_is_shown_to_authorizers():
    shown = ClientCertificate(
        pem="PEM", subject="CN=a", issuer="CN=b", serial="1", not_before="x", not_after="y"
    )
    api = Http({"isAuthorized": True}, enable_simple_responses=True)
    api.ask(certificate=shown)
    told = api.world.invoker.event["requestContext"]["authentication"]["clientCert"]
    assert (told["clientCertPem"], told["validity"]) == ("PEM", {"notBefore": "x", "notAfter": "y"})


def test_an_http_api_sends_1_0():
    api = Http(answer(), authorizer_payload_format_version="1.0", enable_simple_responses=True)
    grant = api.ask("/pets/1?q=1&q=2")
    event = api.world.invoker.event
    assert (event["version"], event["methodArn"]) == ("1.0", f"{ARN}/$default/GET/pets/1")
    assert (event["identitySource"], event["authorizationToken"]) == ("x", "x")
    assert (event["resource"], event["path"], event["pathParameters"]) == (
        "/pets/{id}",
        "/pets/1",
        {"id": "1"},
    )
    assert event["queryStringParameters"] == {"q": "2"}
    assert event["requestContext"]["resourcePath"] == "/pets/{id}"
    assert (grant.context, grant.principal) == ({}, "bob")


@pytest.mark.parametrize("said", [{"isAuthorized": False}, {"isAuthorized": False, "context": {"a": 1}}])
def test_a_simple_denial_is_forbidden(said):
    assert Http(said, enable_simple_responses=True).refuse() == ("ACCESS_DENIED", "Forbidden")


@pytest.mark.parametrize("said", [{}, {"isAuthorized": "true"}, {"isAuthorized": 1}, {"isAuthorized": None}, answer(),
                                  {"isAuthorized": True, "context": []}, b"", b"true"])  # fmt: skip
def test_a_simple_answer_must_be_one(said):
    api = Http(said, enable_simple_responses=True)
    assert api.refuse() == ("AUTHORIZER_CONFIGURATION_ERROR", "Internal Server Error")


def test_without_simple_answers_a_policy_is_wanted():
    assert Http({"isAuthorized": True}).refuse()[0] == "AUTHORIZER_CONFIGURATION_ERROR"
    assert Http(answer("Deny")).refuse() == ("ACCESS_DENIED", "Forbidden")
    assert Http(answer("Allow", f"{ARN}/$default/GET/cats")).refuse() == ("ACCESS_DENIED", "Forbidden")
    assert Http(answer(context={"a": {"b": []}})).ask().context == {"a": {"b": []}}


def test_http_apis_keep_answers_only_when_told_and_by_identity():
    said = {"isAuthorized": True}
    api = Http(said, enable_simple_responses=True)
    api.ask()
    api.ask()
    assert len(api.world.invoker.events) == 2
    api = Http(said, enable_simple_responses=True, ttl=60)
    api.ask()
    api.ask("/pets/2")
    assert len(api.world.invoker.events) == 1
    assert api.refuse(Other="x") == ("UNAUTHORIZED", "Unauthorized")


def test_routes_can_be_kept_apart():
    world = World()
    for key in ("GET /pets/{id}", "ANY /pets/{id}"):
        api = Http({"isAuthorized": True}, key=key, world=world, enable_simple_responses=True, ttl=60,
                   identity_source=("$request.header.Authorization", "$context.routeKey"))  # fmt: skip
        asked = visit("GET", "/pets/1", {"Authorization": "x"})
        asked.context["routeKey"] = key
        asyncio.run(api.authorize(asked))
    assert len(world.invoker.events) == 2


def test_simple_answers_are_not_mistaken_for_policies():
    world = World()
    Http({"isAuthorized": True}, world=world, ttl=60, enable_simple_responses=True).ask()
    assert Http(answer("Deny"), world=world, ttl=60).refuse() == ("ACCESS_DENIED", "Forbidden")


# -- WebSocket APIs -----------------------------------------------------------------------------------------------


def websocket(said, **more):
    found = {"identity_source": ("route.request.header.Auth", "route.request.querystring.k")} | more
    return Http(said, key="$connect", kind="WEBSOCKET", authorizer_payload_format_version="", **found)


def test_a_connection_is_asked_about():
    api = websocket(answer(context={"n": 1}))
    grant = api.ask("/?k=1", Auth="x")
    event = api.world.invoker.event
    assert (event["type"], event["methodArn"]) == ("REQUEST", f"{ARN}/$default/$connect")
    assert event["multiValueQueryStringParameters"] == {"k": ["1"]}
    assert grant.context == {"n": "1", "principalId": "bob", "integrationLatency": 0}
    api.ask("/?k=1", Auth="x")
    assert len(api.world.invoker.events) == 2


def test_a_connection_may_be_refused():
    assert websocket(answer()).refuse("/?k=1", Other="x") == ("UNAUTHORIZED", "Unauthorized")
    assert websocket(answer("Deny")).refuse("/?k=1", Auth="x") == (
        "ACCESS_DENIED", f"{DENIED} with an explicit deny",
    )  # fmt: skip
    assert websocket(answer("Allow", f"{ARN}/$default/other")).refuse("/?k=1", Auth="x") == (
        "ACCESS_DENIED",
        DENIED,
    )
    assert websocket({}).refuse("/?k=1", Auth="x") == ("AUTHORIZER_CONFIGURATION_ERROR", None)


def test_an_open_route_asks_for_nothing():
    assert v2_authorization(v2_api(), V2_STAGE, route("NONE"), World().tools) is None
    assert rest_authorization(rest_api(), STAGE, PETS, method("NONE"), World().tools) is None
