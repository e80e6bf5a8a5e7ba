"""APIs in front of AWS services without a function between: templates write the call, and read the answer."""

import json

import pytest
from tests.apps_kit import Site, ask
from tests.support import deploy, until

JSON = {"Content-Type": "application/json"}
ROLE = "arn:aws:iam::000000000000:role/gateway"


class Api:
    """A REST API of methods that call services."""

    def __init__(self, cloud):
        self.aws = cloud.client("apigateway")
        self.api = self.aws.create_rest_api(name="services")
        self.site = Site(cloud, self.api["id"], "dev")

    def method(
        self, verb, path, uri, template, answer="", *, content="application/json", failed="", **integration
    ):
        resource = self.api["rootResourceId"]
        for part in path.strip("/").split("/"):
            found = self.aws.get_resources(restApiId=self.api["id"], limit=500)["items"]
            there = [
                one["id"] for one in found if one.get("parentId") == resource and one["pathPart"] == part
            ]
            resource = there[0] if there else self.aws.create_resource(
                restApiId=self.api["id"], parentId=resource, pathPart=part)["id"]  # fmt: skip
        where = {"restApiId": self.api["id"], "resourceId": resource, "httpMethod": verb}
        self.aws.put_method(**where, authorizationType="NONE")
        self.aws.put_integration(
            **where, type="AWS", integrationHttpMethod="POST", credentials=ROLE, uri=f"arn:aws:apigateway:us-east-1:{uri}",
            requestParameters={"integration.request.header.Content-Type": f"'{content}'"},
            requestTemplates={"application/json": template}, **integration,
        )  # fmt: skip
        for status, pattern, text in (("200", "", answer), ("400", "4\\d{2}", failed)):
            self.aws.put_method_response(**where, statusCode=status)
            self.aws.put_integration_response(
                **where, statusCode=status, responseTemplates={"application/json": text},
                **({"selectionPattern": pattern} if pattern else {}),
            )  # fmt: skip

    def deploy(self):
        self.aws.create_deployment(restApiId=self.api["id"], stageName="dev")
        return self.site


def test_a_table_is_written_read_and_listed(cumulo):
    cumulo.client("dynamodb").create_table(
        TableName="music", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "artist", "KeyType": "HASH"},
                                                                   {"AttributeName": "song", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("artist", "song")],
    )  # fmt: skip
    api = Api(cumulo)
    api.method("POST", "/songs", "dynamodb:action/PutItem", """
        #set($in = $input.path('$'))
        {"TableName": "music", "ConditionExpression": "attribute_not_exists(song)", "Item": {
          "artist": {"S": "$util.escapeJavaScript($in.artist)"}, "song": {"S": "$in.song"}
          #if($in.year != ""), "year": {"N": "$in.year"}#end}}""", '{"ok": true}',
        failed="""#set($e = $input.path('$'))
        #if($e.toString().contains("ConditionalCheckFailed"))
        #set($context.responseOverride.status = 409){"error": "already there"}
        #else{"error": "$util.escapeJavaScript($e.message)"}#end""")  # fmt: skip
    api.method("GET", "/songs/{artist}", "dynamodb:action/Query", """{"TableName": "music",
        "KeyConditionExpression": "artist = :a",
        "ExpressionAttributeValues": {":a": {"S": "$util.urlDecode($input.params('artist'))"}}}""",
        """#set($all = $input.path('$')){"count": $all.Count, "songs": [
        #foreach($one in $all.Items){"song": "$one.song.S", "year": "$!one.year.N"}#if($foreach.hasNext),#end
        #end]}""")  # fmt: skip
    site = api.deploy()
    for song, more in (("Blue", ', "year": 1971'), ("Carey", "")):
        assert site.ask("POST", "/songs", f'{{"artist": "Joni M.", "song": "{song}"{more}}}', JSON).json == {
            "ok": True
        }
    again = site.ask("POST", "/songs", '{"artist": "Joni M.", "song": "Blue"}', JSON)
    assert (again.status, again.json) == (409, {"error": "already there"})
    listed = site.ask("GET", "/songs/Joni%20M.", headers=JSON).json
    assert listed == {"count": 2, "songs": [{"song": "Blue", "year": "1971"}, {"song": "Carey", "year": ""}]}


def test_a_message_is_published_and_heard(cumulo):
    sns, sqs = cumulo.client("sns"), cumulo.client("sqs")
    topic = sns.create_topic(Name="news")["TopicArn"]
    queue = sqs.create_queue(QueueName="api-readers")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    api = Api(cumulo)
    api.method("POST", "/publish", "sns:action/Publish",
               f"TopicArn=$util.urlEncode('{topic}')&Message=$util.urlEncode($input.body)",
               '{"id": "$input.path(\'$.PublishResponse.PublishResult.MessageId\')"}',
               content="application/x-www-form-urlencoded")  # fmt: skip
    site = api.deploy()
    assert site.ask("POST", "/publish", '{"a": "b & c"}', JSON).json["id"]
    heard = until(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"), "it is heard"
    )
    assert json.loads(heard[0]["Body"]) == {"a": "b & c"}


def test_a_state_machine_is_started(cumulo):
    machines = cumulo.client("stepfunctions")
    definition = {
        "StartAt": "Say",
        "States": {"Say": {"Type": "Pass", "Result": {"said": "hi"}, "End": True}},
    }
    machine = machines.create_state_machine(
        name="hi", definition=json.dumps(definition), roleArn="arn:aws:iam::000000000000:role/steps"
    )["stateMachineArn"]
    api = Api(cumulo)
    api.method("POST", "/start", "states:action/StartExecution",
               f'{{"stateMachineArn": "{machine}", "input": "$util.escapeJavaScript($input.json(\'$\'))"}}',
               '{"arn": $input.json(\'$.executionArn\')}')  # fmt: skip
    site = api.deploy()
    started = site.ask("POST", "/start", '{"order": "a\\"b"}', JSON).json["arn"]
    shown = machines.describe_execution(executionArn=started)
    assert (shown["stateMachineArn"], json.loads(shown["input"])) == (machine, {"order": 'a"b'})


def test_a_function_is_called_in_the_background(cumulo):
    source = "def handler(event, context):\n    print('RAN', event['n'])\n    return event\n"
    function = deploy(cumulo.client("lambda"), "api-background", source)["FunctionArn"]
    api = Api(cumulo)
    api.method("POST", "/later", f"lambda:path/2015-03-31/functions/{function}/invocations", "$input.body", "accepted",
               )  # fmt: skip
    rest = api.aws
    [resource] = [
        one["id"] for one in rest.get_resources(restApiId=api.api["id"])["items"] if one["path"] == "/later"
    ]
    rest.update_integration(
        restApiId=api.api["id"], resourceId=resource, httpMethod="POST", patchOperations=[
            {"op": "add", "path": "/requestParameters/integration.request.header.X-Amz-Invocation-Type", "value": "'Event'"}],
    )  # fmt: skip
    site = api.deploy()
    answer = site.ask("POST", "/later", '{"n": 7}', JSON)
    assert (answer.status, answer.body) == (200, b"accepted")
    logs = cumulo.client("logs")

    def ran():
        try:
            found = logs.filter_log_events(logGroupName="/aws/lambda/api-background")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return False
        return any("RAN 7" in one["message"] for one in found)

    until(ran, "the function ran")


def test_an_event_of_an_http_api_finds_its_target(cumulo):
    events, sqs, v2 = (cumulo.client(name) for name in ("events", "sqs", "apigatewayv2"))
    queue = sqs.create_queue(QueueName="api-orders")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="orders", EventPattern=json.dumps({"source": ["shop"]}))
    events.put_targets(Rule="orders", Targets=[{"Id": "q", "Arn": arn}])
    api = v2.create_api(Name="orders", ProtocolType="HTTP")["ApiId"]
    for key, subtype, parameters in (
        ("POST /orders", "EventBridge-PutEvents",
         {"Detail": "$request.body", "DetailType": "${request.path.kind}", "Source": "shop"}),
        ("POST /send/{kind}", "SQS-SendMessage", {"QueueUrl": queue, "MessageBody": "$request.body.text"}),
    ):  # fmt: skip
        if subtype.startswith("EventBridge"):
            parameters["DetailType"] = "order"
        made = v2.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationSubtype=subtype, PayloadFormatVersion="1.0",
            CredentialsArn=ROLE, RequestParameters=parameters,
        )["IntegrationId"]  # fmt: skip
        v2.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{made}")
    v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    site = Site(cumulo, api)
    assert site.ask("POST", "/orders", '{"id": 5}', JSON).json["FailedEntryCount"] == 0
    found = until(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"), "the event is there"
    )
    told = json.loads(found[0]["Body"])
    assert (told["source"], told["detail-type"], told["detail"]) == ("shop", "order", {"id": 5})
    assert site.ask("POST", "/send/x", '{"text": "hello"}', JSON).status == 200
    found = until(
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"), "the message is there"
    )
    assert found[0]["Body"] == "hello"


@pytest.mark.parametrize("form", ["own", "localstack", "floci"])
def test_paths_for_clients_that_cannot_choose_the_host(cumulo, form):
    rest = cumulo.client("apigateway")
    api = rest.create_rest_api(name="mock")
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    rest.put_method(**where, authorizationType="NONE")
    rest.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    rest.put_method_response(**where, statusCode="200")
    rest.put_integration_response(
        **where, statusCode="200", responseTemplates={"application/json": "$context.stage"}
    )
    rest.create_deployment(restApiId=api["id"], stageName="dev")
    path = {
        "own": f"/_aws/execute-api/{api['id']}/dev/",
        "localstack": f"/restapis/{api['id']}/dev/_user_request_/",
        "floci": f"/execute-api/{api['id']}/dev/",
    }[form]
    answer = ask(cumulo.endpoint, "127.0.0.1", "GET", path)
    assert (answer.status, answer.body) == (200, b"dev")
