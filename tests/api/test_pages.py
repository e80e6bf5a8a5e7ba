"""Cumulo's own pages, through the front door."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.support import call, deploy


def get(cloud, path, *, method="GET", headers=None):
    with urlopen(Request(cloud.endpoint + path, method=method, headers=headers or {})) as answer:
        return answer.headers, answer.read()


def test_health_names_the_services_and_answers_where_other_tools_look(cumulo):
    for path in ("/_cumulo/health", "/_localstack/health"):
        _, body = get(cumulo, path)
        health = json.loads(body)
        assert health["status"] == "running"
        assert health["services"]["lambda"] == "running"


def test_ready_says_so(cumulo):
    assert json.loads(get(cumulo, "/_cumulo/ready")[1]) == {"ready": True}


def test_metrics_are_in_prometheus_form_and_count(cumulo_empty):
    from prometheus_client.parser import text_string_to_metric_families

    deploy(cumulo_empty.client("lambda"), "counted", "def handler(e, c): return 1")
    assert call(cumulo_empty.client("lambda"), "counted") == 1
    families = {f.name: f for f in text_string_to_metric_families(get(cumulo_empty, "/metrics")[1].decode())}
    assert sum(sample.value for sample in families["cumulo_requests"].samples) > 2
    assert families["cumulo_functions"].samples[0].value == 1
    environments = sum(
        f.samples[0].value for name, f in families.items() if name.startswith("cumulo_environments_")
    )
    assert environments >= 1


def test_the_keys_page_wants_the_token_of_the_data_folder(cumulo):
    with pytest.raises(HTTPError) as refused:
        get(cumulo, "/_cumulo/keys")
    assert refused.value.code == 403
    refused.value.close()
    token = {"x-cumulo-token": (cumulo.cloud.data / "admin-token").read_text()}
    made = json.loads(
        get(cumulo, "/_cumulo/keys?account=123456789012&name=ci", method="POST", headers=token)[1]
    )
    assert made["id"].startswith("AKIA")
    listed = json.loads(get(cumulo, "/_cumulo/keys", headers=token)[1])["keys"]
    assert {"id": made["id"], "account": "123456789012", "name": "ci"} in listed
    assert made["secret"] not in json.dumps(listed)
    assert cumulo.client("sts", account=made["id"]).get_caller_identity()["Account"] == "123456789012"
    gone = get(cumulo, f"/_cumulo/keys?id={made['id']}", method="DELETE", headers=token)[1]
    assert json.loads(gone) == {"deleted": True}


def test_an_unknown_page_and_a_wrong_method_are_told(cumulo):
    for path, method, code in (("/_cumulo/nothing", "GET", 404), ("/_cumulo/reset", "GET", 405)):
        with pytest.raises(HTTPError) as refused:
            get(cumulo, path, method=method)
        assert refused.value.code == code
        assert "message" in json.load(refused.value)
        refused.value.close()


def test_the_bill_page_answers_json_and_refuses_bad_questions(cumulo):
    assert "total" in json.dumps(json.loads(get(cumulo, "/_cumulo/bill")[1])).lower()
    with pytest.raises(HTTPError) as refused:
        get(cumulo, "/_cumulo/bill?month=never")
    assert refused.value.code == 400
    refused.value.close()
