"""APIs of every kind as documents and back; documents of no kind at all."""

import json
import string

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import openapi_kit as kit

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions import rest, v2
from cumulo.gateway.openapi import texts
from cumulo.gateway.openapi.documents import document_of
from cumulo.gateway.openapi.http.reading import read_http
from cumulo.gateway.openapi.http.writing import HttpExport, write_http
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.rest.reading import read_rest
from cumulo.gateway.openapi.rest.writing import RestExport, write_rest
from cumulo.gateway.openapi.schemas import text_of

WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=6)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
TEMPLATES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
TYPES = st.sampled_from(["application/json", "text/plain", "application/xml"])
STATUSES = st.sampled_from(["200", "201", "404", "500"])
KINDS = st.sampled_from(["MOCK", "HTTP", "HTTP_PROXY", "AWS", "AWS_PROXY"])


class Ids:
    """Ids that are all different."""

    def __init__(self):
        self.count = 0

    def __call__(self, length=6):
        self.count += 1
        return f"{self.count:0{length}x}"


# -- REST ------------------------------------------------------------------------------------------------------


def templates():
    return st.dictionaries(TYPES, st.one_of(st.none(), TEMPLATES), max_size=2)


@st.composite
def integration_responses(draw):
    statuses = draw(st.lists(STATUSES, unique=True, max_size=3))
    patterns = draw(
        st.lists(st.one_of(st.none(), st.just(""), st.sampled_from(["4\\d{2}", "5.*", ".*Bad.*"])), unique=True, min_size=3, max_size=3)
    )  # fmt: skip
    return {
        status: rest.IntegrationResponse(
            status_code=status,
            selection_pattern=pattern,
            response_parameters=draw(
                st.dictionaries(WORDS.map("method.response.header.{}".format), TEXTS, max_size=2)
            ),
            response_templates=draw(templates()),
            content_handling=draw(st.sampled_from(["", "CONVERT_TO_TEXT", "CONVERT_TO_BINARY"])),
        )
        for status, pattern in zip(statuses, patterns, strict=False)
    }


@st.composite
def rest_integrations(draw, resource_id):
    kind = draw(KINDS)
    linked = draw(st.booleans()) and kind in ("HTTP", "HTTP_PROXY")
    return rest.Integration(
        type=kind,
        http_method="" if kind == "MOCK" else draw(st.sampled_from(["GET", "POST", "ANY"])),
        uri="" if kind == "MOCK" else draw(TEXTS),
        connection_type="VPC_LINK" if linked else "INTERNET",
        connection_id=draw(WORDS) if linked else "",
        integration_target=draw(st.one_of(st.just(""), WORDS)) if linked else "",
        credentials=draw(st.one_of(st.just(""), WORDS)),
        request_parameters=draw(
            st.dictionaries(WORDS.map("integration.request.header.{}".format), TEXTS, max_size=2)
        ),
        request_templates=draw(templates()),
        passthrough_behavior=draw(st.sampled_from(["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"])),
        content_handling=draw(st.sampled_from(["", "CONVERT_TO_TEXT"])),
        timeout_in_millis=draw(st.integers(50, 900_000)),
        cache_namespace=draw(st.one_of(st.just(resource_id), WORDS)),
        cache_key_parameters=tuple(draw(st.lists(WORDS, unique=True, max_size=2))),
        integration_responses=draw(integration_responses()),
        insecure_skip_verification=draw(st.booleans()),
        response_transfer_mode=draw(st.sampled_from(["BUFFERED", "STREAM"])),
    )


def json_models(names):
    return st.one_of(st.just({}), st.sampled_from(names).map(lambda one: {"application/json": one}))


@st.composite
def rest_methods(draw, resource, name, authorizers, validators, models):
    asked = draw(st.sampled_from(["NONE", "AWS_IAM", *authorizers]))
    one = authorizers.get(asked)
    kind = asked if one is None else "COGNITO_USER_POOLS" if one.type == "COGNITO_USER_POOLS" else "CUSTOM"
    variables = [part[1:-1].removesuffix("+") for part in resource.path.split("/") if part.startswith("{")]
    return rest.Method(
        http_method=name,
        authorization_type=kind,
        authorizer_id=one.id if one is not None else "",
        authorization_scopes=tuple(draw(st.lists(WORDS, unique=True, max_size=2))) if one is not None else (),
        api_key_required=draw(st.booleans()),
        request_validator_id=draw(st.sampled_from(["", *validators])),
        operation_name=draw(st.one_of(st.just(""), TEXTS)),
        request_parameters={f"method.request.path.{each}": draw(st.booleans()) for each in variables}
        | {
            f"method.request.{draw(st.sampled_from(['header', 'querystring']))}.{each}": draw(st.booleans())
            for each in draw(st.lists(WORDS, unique=True, max_size=2))
        },
        request_models=draw(json_models(models)),
        method_responses={
            status: rest.MethodResponse(
                status_code=status,
                response_parameters={
                    f"method.response.header.{each}": False
                    for each in draw(st.lists(WORDS, unique=True, max_size=2))
                },
                response_models=draw(json_models(models)),
            )
            for status in draw(st.lists(STATUSES, unique=True, max_size=3))
        },
        integration=draw(st.one_of(st.none(), rest_integrations(resource.id))),
    )


@st.composite
def rest_authorizers(draw):
    found = {}
    for number, name in enumerate(draw(st.lists(TEXTS, unique=True, max_size=3))):
        kind = draw(st.sampled_from(["TOKEN", "REQUEST", "COGNITO_USER_POOLS"]))
        sources = st.sampled_from(
            ["method.request.header.A", "method.request.querystring.b", "method.request.header.Unused",
             "method.request.header.A,context.stage", "stageVariables.x"]
        )  # fmt: skip
        found[f"a{number}"] = rest.Authorizer(
            id=f"a{number}",
            name=name,
            type=kind,
            auth_type=draw(st.sampled_from(["custom", "cognito_user_pools", "oauth2"])),
            provider_arns=tuple(draw(st.lists(WORDS, unique=True, max_size=2))),
            authorizer_uri=draw(st.one_of(st.just(""), WORDS)),
            authorizer_credentials=draw(st.one_of(st.just(""), WORDS)),
            identity_source=draw(sources),
            identity_validation_expression=draw(st.one_of(st.just(""), TEXTS)),
            ttl=draw(st.one_of(st.none(), st.integers(0, 3600))),
        )
    return found


@st.composite
def rest_apis(draw):
    parts = st.one_of(WORDS, st.just("{id}"))
    paths = draw(st.lists(st.lists(parts, min_size=1, max_size=3).map(tuple), max_size=4))
    resources = {(): rest.Resource(id="root", path="/")}
    for path in paths:
        for depth in range(1, len(path) + 1):
            at = path[:depth]
            if at not in resources:
                resources[at] = rest.Resource(
                    id=f"r{len(resources)}",
                    path="/" + "/".join(at),
                    parent_id=resources[at[:-1]].id,
                    path_part=at[-1],
                )
    models = {
        name: rest.Model(
            id=f"m{number}",
            name=name,
            description=described,
            schema=text_of(
                {
                    "type": "object",
                    "properties": {
                        "x": {"$ref": f"https://apigateway.amazonaws.com/restapis/api/models/{name}"}
                    },
                }
                | ({"description": described} if described else {})
            ),
        )
        for number, (name, described) in enumerate(
            draw(st.dictionaries(WORDS, st.one_of(st.just(""), TEXTS), min_size=1, max_size=3)).items()
        )
    }
    validators = {
        f"v{number}": rest.RequestValidator(
            id=f"v{number}",
            name=name,
            validate_request_body=draw(st.booleans()),
            validate_request_parameters=draw(st.booleans()),
        )
        for number, name in enumerate(draw(st.lists(TEXTS, unique=True, max_size=2)))
    }
    authorizers = draw(rest_authorizers())
    made = []
    for resource in sorted(resources.values(), key=lambda one: one.path):
        names = draw(st.lists(st.sampled_from(["GET", "POST", "ANY", "PATCH"]), unique=True, max_size=2))
        methods = {
            name: draw(rest_methods(resource, name, authorizers, list(validators), sorted(models)))
            for name in names
        }
        made.append(msgspec.structs.replace(resource, methods=methods))
    return rest.RestDefinition(
        api_id="api",
        account="123456789012",
        region="us-east-1",
        name=draw(TEXTS),
        root_resource_id="root",
        resources=tuple(made),
        authorizers=authorizers,
        models=models,
        request_validators=validators,
        gateway_responses=draw(
            st.dictionaries(
                st.sampled_from(["THROTTLED", "DEFAULT_4XX"]),
                st.builds(
                    rest.GatewayResponse,
                    response_type=st.just(""),
                    status_code=st.sampled_from(["", "429", "503"]),
                    response_parameters=st.dictionaries(WORDS, TEXTS, max_size=2),
                    response_templates=st.dictionaries(TYPES, TEMPLATES, max_size=2),
                ),
            ).map(
                lambda all_: {
                    kind: msgspec.structs.replace(one, response_type=kind) for kind, one in all_.items()
                }
            )
        ),
        binary_media_types=tuple(draw(st.lists(TEXTS, unique=True, max_size=2))),
        minimum_compression_size=draw(st.one_of(st.none(), st.integers(0, 10_485_760))),
        policy=draw(st.sampled_from(["", '{"Statement": [{"Effect": "Allow"}]}'])),
        api_key_source=draw(st.sampled_from(["HEADER", "AUTHORIZER"])),
        disable_execute_api_endpoint=draw(st.booleans()),
    )


@given(rest_apis(), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_rest_api_comes_back_from_its_document(api, three, yaml):
    export = RestExport(
        three=three, url="https://api.example/dev", version="1", extensions=frozenset({"apigateway"})
    )
    body = texts.write(write_rest(api, export), yaml=yaml)
    blank = msgspec.structs.replace(
        api,
        **{name: rest.RestDefinition(api_id="", account="", region="").__getattribute__(name) for name in (
            "binary_media_types", "minimum_compression_size", "policy", "api_key_source",
            "disable_execute_api_endpoint", "gateway_responses",
        )},
    )  # fmt: skip
    notes = Notes()
    read = read_rest(
        document_of(texts.read(body), notes), blank, Ids(), notes, merge=False, base_path="ignore"
    )
    assert not notes.errors
    assert not notes.warnings
    assert read.definition == api


# -- HTTP ------------------------------------------------------------------------------------------------------


@st.composite
def http_apis(draw):
    maps = st.dictionaries(TEXTS, TEXTS, max_size=2)
    integrations = {
        f"i{number}": v2.Integration(
            id=f"i{number}",
            integration_type=draw(st.sampled_from(["HTTP_PROXY", "AWS_PROXY"])),
            integration_subtype=draw(st.sampled_from(["", "SQS-SendMessage"])),
            integration_method=draw(st.sampled_from(["GET", "POST", "ANY"])),
            integration_uri=draw(st.one_of(st.just(""), TEXTS)),
            payload_format_version=draw(st.sampled_from(["1.0", "2.0"])),
            connection_type=draw(st.sampled_from(["INTERNET", "VPC_LINK"])),
            connection_id=draw(st.one_of(st.just(""), WORDS)),
            credentials_arn=draw(st.one_of(st.just(""), WORDS)),
            timeout_in_millis=draw(st.integers(50, 30_000)),
            request_parameters=draw(maps),
            response_parameters=draw(st.dictionaries(STATUSES, maps, max_size=2)),
            server_name_to_verify=draw(st.one_of(st.just(""), WORDS)),
        )
        for number in range(draw(st.integers(0, 3)))
    }
    authorizers = {}
    for number, name in enumerate(draw(st.lists(TEXTS, unique=True, max_size=3))):
        jwt = draw(st.booleans())
        authorizers[f"a{number}"] = v2.Authorizer(
            id=f"a{number}",
            name=name,
            authorizer_type="JWT" if jwt else "REQUEST",
            identity_source=tuple(
                draw(
                    st.lists(
                        st.sampled_from(["$request.header.A", "$request.querystring.b"]),
                        unique=True,
                        min_size=int(jwt),
                        max_size=2,
                    )
                )
            ),
            authorizer_uri=draw(st.one_of(st.just(""), WORDS)),
            authorizer_credentials_arn=draw(st.one_of(st.just(""), WORDS)),
            authorizer_payload_format_version=draw(st.sampled_from(["", "1.0", "2.0"])),
            enable_simple_responses=draw(st.booleans()),
            ttl=draw(st.one_of(st.none(), st.integers(0, 3600))),
            jwt_audience=tuple(draw(st.lists(TEXTS, max_size=2))) if jwt else (),
            jwt_issuer=draw(st.one_of(st.just(""), TEXTS)) if jwt else "",
        )
    keys = st.one_of(
        st.just("$default"),
        st.builds(
            "{} /{}".format,
            st.sampled_from(["GET", "POST", "ANY"]),
            st.sampled_from(["", "pets", "pets/", "pets/{id}", "{a}/{proxy+}", "a b"]),
        ),
    )
    routes = []
    for number, key in enumerate(sorted(draw(st.lists(keys, unique=True, max_size=5)))):
        asked = draw(st.sampled_from(["NONE", "AWS_IAM", *authorizers]))
        one = authorizers.get(asked)
        jwt = one is not None and one.authorizer_type == "JWT"
        target = draw(st.sampled_from(["", *integrations]))
        routes.append(
            v2.Route(
                id=f"r{number}",
                route_key=key,
                target=f"integrations/{target}" if target else "",
                authorization_type=asked if one is None else "JWT" if jwt else "CUSTOM",
                authorizer_id="" if one is None else one.id,
                authorization_scopes=tuple(draw(st.lists(WORDS, max_size=2))) if jwt else (),
                operation_name=draw(st.one_of(st.just(""), TEXTS)),
            )
        )
    lists = st.lists(TEXTS, max_size=2).map(tuple)
    return v2.V2Definition(
        api_id="api",
        account="123456789012",
        region="us-east-1",
        protocol_type="HTTP",
        name=draw(TEXTS),
        disable_execute_api_endpoint=draw(st.booleans()),
        cors=draw(
            st.one_of(
                st.none(),
                st.builds(
                    v2.Cors,
                    allow_origins=lists,
                    allow_methods=lists,
                    allow_headers=lists,
                    expose_headers=lists,
                    allow_credentials=st.one_of(st.none(), st.booleans()),
                    max_age=st.one_of(st.none(), st.integers(-1, 86_400)),
                ),
            )
        ),
        routes=tuple(routes),
        integrations=integrations,
        authorizers=authorizers,
    )


@given(http_apis(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_an_http_api_comes_back_from_its_document(api, yaml):
    body = texts.write(write_http(api, HttpExport(url="https://api.example", version="1")), yaml=yaml)
    notes = Notes()
    blank = msgspec.structs.replace(api, cors=None, disable_execute_api_endpoint=False)
    read = read_http(document_of(texts.read(body), notes), blank, Ids(), notes, base_path="ignore")
    assert not notes.errors
    assert not notes.warnings
    assert read.definition == api


# -- hostile documents -----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "x", "#/paths", "#/components/schemas/Thing", "{proxy+}", "\x00"]),
        TEXTS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["$ref", "type", "get", "default", "items", "x", ""]), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


def small(document, number):
    """A document of three paths, so that what is changed in it matters."""
    paths = list(document["paths"].items())
    kept = dict(paths[number % 40 : number % 40 + 3])
    return json.loads(json.dumps(document | {"paths": kept}))


def places(tree, above=()):
    """The way to everything in a tree."""
    if above:
        yield above
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*above, key))


def changed(tree, way, value):
    for key in way[:-1]:
        tree = tree[key]
    tree[way[-1]] = value


@given(st.data(), st.sampled_from(["swagger", "openapi", "http"]), st.integers(0, 39))
@settings(max_examples=100, deadline=None)
def test_wrong_types_everywhere_are_said_and_not_stumbled_over(data, kind, number):
    document = kit.big_http() if kind == "http" else kit.big_rest(three=kind == "openapi")
    tree = small(document, number)
    for _ in range(data.draw(st.integers(1, 4))):
        ways = list(places(tree))
        changed(tree, data.draw(st.sampled_from(ways)), data.draw(JSON))
    notes = Notes()
    try:
        read = document_of(texts.read(kit.as_json(tree)), notes)
        if kind == "http":
            have = v2.V2Definition(api_id="api", account="1", region="r", protocol_type="HTTP")
            made = read_http(read, have, Ids(), notes, base_path="prepend").definition
            write_http(made, HttpExport(url="https://x", version="1"))
        else:
            have = rest.RestDefinition(api_id="api", account="1", region="r", root_resource_id="root")
            made = read_rest(read, have, Ids(), notes, merge=True, base_path="split").definition
            msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=rest.RestDefinition)
    except AwsError as error:
        assert error.code == "BadRequestException"
        assert error.message


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_document_or_refused(body):
    try:
        assert isinstance(texts.read(body), dict)
    except AwsError as error:
        assert error.code == "BadRequestException"


@given(JSON.map(lambda inner: {"a": inner}), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_again(tree, yaml):
    assert texts.read(texts.write(tree, yaml=yaml)) == tree
