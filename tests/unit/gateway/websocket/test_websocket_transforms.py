"""Integrations that are no proxy: templates, integration responses, models, contentHandling; and authorizers."""

import asyncio
import base64
import json

import pytest
from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World
from tests.unit.gateway.websocket.websocket_kit import SIGNED, STAGE, api, behind, function, run
from websockets.exceptions import InvalidStatus

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import (
    Authorizer,
    Integration,
    IntegrationResponse,
    Model,
    Route,
)
from cumulo.gateway.tools import Answer

URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"


async def told(gateway, *messages):
    answers = []
    async with gateway.connect() as ws:
        for message in messages:
            await ws.send(message)
            answers.append(await asyncio.wait_for(ws.recv(), 5))
    return answers


def custom(**more):
    return Integration(id="c", integration_type="AWS", integration_uri=URI, **more)


def response(key, **more):
    return IntegrationResponse(id=key, key=key, **more)


def test_a_template_makes_what_the_function_gets_and_another_what_the_client_hears():
    integration = custom(
        request_templates={"$default": '{"to":$input.json("$.name"),"from":"$context.connectionId"}'},
        template_selection_expression="\\$default",
        integration_responses={
            "1": response("$default", response_templates={"$default": 'said $input.path("$.said")'},
                          template_selection_expression="\\$default")
        },
    )  # fmt: skip

    async def test(gateway):
        assert await told(gateway, '{"name":"ann"}') == ["said hi ann"]
        event = gateway.world.invoker.event
        assert event["to"] == "ann" and len(event["from"]) == 16

    run(
        test,
        api(behind("$default", integration, two_way=True)),
        functions={FUNCTION: lambda e: {"said": f"hi {e['to']}"}},
    )


def test_the_template_is_chosen_by_its_expression():
    integration = custom(
        request_templates={"a": '{"which":"a"}', "$default": '{"which":"default"}'},
        template_selection_expression="${request.body.kind}",
    )

    async def test(gateway):
        return await told(gateway, '{"kind":"a"}', '{"kind":"b"}', "text")

    heard = run(
        test, api(behind("$default", integration, two_way=True)), functions={FUNCTION: lambda e: e["which"]}
    )
    assert heard == ['"a"', '"default"', '"default"']


@pytest.mark.parametrize(
    ("behavior", "templates", "fine"),
    [
        ("", {}, True),
        ("WHEN_NO_MATCH", {"x": "{}"}, True),
        ("WHEN_NO_TEMPLATES", {}, True),
        ("WHEN_NO_TEMPLATES", {"x": "{}"}, False),
        ("NEVER", {}, False),
    ],
)
def test_what_no_template_is_for_passes_through_as_the_behavior_says(behavior, templates, fine):
    integration = custom(
        passthrough_behavior=behavior,
        request_templates=templates,
        template_selection_expression="${request.body.kind}",
    )

    async def test(gateway):
        (heard,) = await told(gateway, '{"kind":"other"}')
        if fine:
            assert json.loads(heard) == {"kind": "other"}
        else:
            assert json.loads(heard)["message"] == "Unsupported Media Type"

    run(test, api(behind("$default", integration, two_way=True)), functions={FUNCTION: lambda event: event})


def test_integration_responses_are_chosen_by_what_the_function_complained_of():
    def shout(text):
        return {"response_templates": {"$default": text}, "template_selection_expression": "\\$default"}

    integration = custom(
        integration_responses={
            "1": response("/.*not found.*/", **shout("nowhere")),
            "2": response("$default", **shout("fine")),
        }
    )

    def answer(event):
        if event == "bad":
            return InvokeResult(payload=b'{"errorMessage":"user not found"}', function_error="Unhandled")
        return {}

    async def test(gateway):
        return await told(gateway, '"bad"', '"good"')

    assert run(test, api(behind("$default", integration, two_way=True)), functions={FUNCTION: answer}) == [
        "nowhere", "fine",
    ]  # fmt: skip


def test_backends_answers_are_chosen_by_status_and_what_matches_nothing_is_an_error():
    world = World()
    integration = Integration(
        id="h", integration_type="HTTP", integration_method="POST", integration_uri="http://backend.test/",
        integration_responses={"1": response(r"/2\d\d/"), "2": response("404")},
    )  # fmt: skip

    async def test(gateway):
        heard = []
        for status in (200, 204, 404, 500):
            world.http.answer = Answer(status=status, headers=(), body=b"%d" % status)
            heard += await told(gateway, "x")
        assert heard[:3] == ["200", "204", "404"]
        assert json.loads(heard[3])["message"] == "Internal server error"

    run(test, api(behind("$default", integration, two_way=True)), world=world)


def test_content_handling_decodes_and_encodes():
    world = World()
    world.http.answer = Answer(status=200, headers=(), body=b"\xff\x00")
    integration = Integration(
        id="h", integration_type="HTTP", integration_uri="http://backend.test/",
        content_handling_strategy="CONVERT_TO_BINARY",
        integration_responses={"1": response("$default", content_handling_strategy="CONVERT_TO_TEXT")},
    )  # fmt: skip

    async def test(gateway):
        assert await told(gateway, base64.b64encode(b"\x01\xfe").decode()) == [
            base64.b64encode(b"\xff\x00").decode()
        ]
        assert world.http.request["body"] == b"\x01\xfe"

    run(test, api(behind("$default", integration, two_way=True)), world=world)


def test_a_template_that_is_none_is_an_error_and_no_more():
    integration = custom(request_templates={"$default": "#if(1"}, template_selection_expression="\\$default")

    async def test(gateway):
        (heard,) = await told(gateway, "x")
        assert json.loads(heard)["message"] == "Internal server error"

    run(test, api(behind("$default", integration, two_way=True)), functions={FUNCTION: lambda _event: {}})


def test_messages_keep_to_their_models():
    pytest.importorskip("jsonschema_rs")
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    model = Model(id="m1", name="named", schema=json.dumps(schema))
    route, integration = function(
        "$default", two_way=True, model_selection_expression="${request.body.kind}",
        request_models={"strict": "named", "byid": "m1", "missing": "nothing"},
    )  # fmt: skip

    async def test(gateway):
        heard = await told(
            gateway, '{"kind":"strict","name":"ann"}', '{"kind":"byid","name":"ann"}', '{"kind":"strict","name":7}',
            '{"kind":"other"}', '{"kind":"missing"}', "no json",
        )  # fmt: skip
        assert heard[:2] == ["ok", "ok"]
        assert [json.loads(one)["message"] for one in heard[2:]] == ["Bad request body"] * 4
        assert "validationErrorString" in gateway.world.observer.seen[-2]["visit"].context["error"]

    run(
        test,
        api((route, integration), models={"m1": model}),
        functions={FUNCTION: lambda _event: {"body": "ok"}},
    )


AUTHORIZER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:who"


def guarded(**more):
    route, integration = function("$connect", authorization_type="CUSTOM", authorizer_id="a1")
    authorizer = Authorizer(
        id="a1", name="who", authorizer_type="REQUEST", identity_source=("route.request.querystring.token",),
        authorizer_uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{AUTHORIZER}/invocations",
    )  # fmt: skip
    return api(
        (route, integration), function("$default", two_way=True), authorizers={"a1": authorizer}, **more
    )


def policy(effect, event):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {
        "principalId": "ann",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"team": "blue"},
    }


def test_a_lambda_authorizer_decides_and_every_later_event_shows_what_it_found():
    asked = []

    def who(event):
        asked.append(event)
        return policy("Allow" if event["queryStringParameters"]["token"] == "good" else "Deny", event)

    async def test(gateway):
        for target, status in (("", 401), ("?token=bad", 403)):
            with pytest.raises(InvalidStatus) as caught:
                async with gateway.connect(target):
                    pass
            assert caught.value.response.status_code == status
        async with gateway.connect("?token=good") as ws:
            await ws.send("hi")
            assert await ws.recv() == "ok"
        for event in [*gateway.events("CONNECT")[-1:], *gateway.events("MESSAGE")]:
            authorizer = event["requestContext"]["authorizer"]
            assert (authorizer["principalId"], authorizer["team"]) == ("ann", "blue")
        assert asked[-1]["methodArn"] == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API}/{STAGE}/$connect"
        assert asked[-1]["requestContext"]["connectionId"]

    answers = {FUNCTION: lambda _event: {"statusCode": 200, "body": "ok"}, AUTHORIZER: who}
    run(test, guarded(), functions=answers)


def test_iam_wants_a_signature():
    async def test(gateway):
        with pytest.raises(InvalidStatus) as caught:
            async with gateway.connect():
                pass
        assert caught.value.response.status_code == 403
        async with gateway.connect(additional_headers=SIGNED):
            identity = gateway.events("CONNECT")[-1]["requestContext"]["identity"]
            assert identity["accessKey"] == "AKIAEXAMPLE"

    route = function("$connect", authorization_type="AWS_IAM")
    run(test, api(route), functions={FUNCTION: lambda _event: {"statusCode": 200}})


def test_a_route_without_an_integration_says_so():
    async def test(gateway):
        (heard,) = await told(gateway, "x")
        assert json.loads(heard)["message"] == "Internal server error"

    run(test, api((Route(id="r", route_key="$default"), None)))
