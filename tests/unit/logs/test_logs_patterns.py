"""Filter patterns against the examples of AWS's user guide, and against malice."""

import time

import pytest

from cumulo.base.errors import AwsError
from cumulo.services.logs.pattern_regex import Regex
from cumulo.services.logs.patterns import compile_pattern

APACHE = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
JSON = """{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111",
  "arrayKey": ["value", "another value"], "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
  "SomeObject": null, "ThisFlag": true, "latency": 50.5, "code": "400", "a.b": {"c d": "x"}, "exp": 1e3}"""
NESTED = """{"user": {"id": 1, "email": "John.Stiles@example.com"},
  "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3, "email": "Jane.Doe@example.com"}],
  "actions": ["GET", "PUT", "DELETE"], "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]]}"""


@pytest.mark.parametrize(
    ("pattern", "line", "hit"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR] A fatal exception has occurred", True),
        ("ERROR", "an error", False),
        ("ERROR -Exiting", "Exiting with ERRORCODE: -1", False),
        ("ERROR Exception", "[ERROR] Unhandled Exception", True),
        ("ERROR Exception", "[ERROR] only", False),
        ('"Failed to process the request"', "[WARN] Failed to process the request", True),
        ('"Failed to process the request"', "Failed to process a request", False),
        ("?ERROR ?WARN", "WARN message", True),
        ("?ERROR ?WARN", "INFO message", False),
        ("ERROR ?WARN", "ERROR only", True),
        ('-"not this"', "but not this", False),
        ('"a \\"quoted\\" word"', 'has a "quoted" word', True),
        ("%AUTH.*ED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("%colou?r% -%gr[ae]y%", "the color grey", False),
        ("[w1=ERROR, w2]", "ERROR message", True),
        ("[w1=ERROR, w2]", "ERROR WARN message", False),
        ("[w1=ERROR || w1=WARN, w2]", "WARN message", True),
        ("[w1!=ERROR && w1!=WARN, ...]", "WARN message", False),
        ("[ip, user, username, timestamp, request, status_code, bytes]", APACHE, True),
        ("[..., status_code, bytes]", APACHE, True),
        ("[ip, user, ..., status_code = 404, bytes]", APACHE, True),
        ("[ip, user, username, timestamp, request, status_code, bytes > 2000]", APACHE, False),
        ("[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes]", APACHE, True),
        ("[..., status_code = 4* && status_code != 404, bytes]", APACHE, False),
        ("[..., status_code = %4[0-9]{2}%, bytes]", APACHE, True),
        ('{ $.eventType = "UpdateTrail" }', JSON, True),
        ("{ $.sourceIPAddress != 123.123.* }", JSON, True),
        ('{ $.arrayKey[0] = "value" }', JSON, True),
        ('{ $.arrayKey[*] = "another value" }', JSON, True),
        ('{ $.arrayKey = "value" }', JSON, False),
        ('{ $.arrayKey != "value" }', JSON, False),
        ("{ $.objectList[1].id = 2 }", JSON, True),
        ("{ $.objectList[9].id = 2 }", JSON, False),
        ("{ $.SomeObject IS NULL }", JSON, True),
        ("{ $.eventType IS NULL }", JSON, False),
        ("{ $.SomeOtherObject NOT EXISTS }", JSON, True),
        ("{ $.SomeObject NOT EXISTS }", JSON, False),
        ("{ $.ThisFlag IS TRUE }", JSON, True),
        ("{ $.ThisFlag IS FALSE }", JSON, False),
        ("{ $.latency >= 50.5 }", JSON, True),
        ("{ $.latency > 5e1 && $.latency < +51 }", JSON, True),
        ("{ $.exp = 1000 }", JSON, True),
        ("{ $.code = 400 }", JSON, True),
        ("{ $.latency = * }", JSON, True),
        ('{ $.["a.b"]["c d"] = x }', JSON, True),
        ("{ $.['a.b']['c d'] = %^x$% }", JSON, True),
        ("{ $.missing != 1 }", JSON, False),
        ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', NESTED, True),
        ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', NESTED, False),
        (
            '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
            NESTED,
            True,
        ),
        (
            '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch }',
            NESTED,
            False,
        ),
        ("{ $.a = 1 }", "no json", False),
        ("{ $.a = 1 }", "[1, 2]", False),
        ("{ $.a = 1 }", "{" * 100_000, False),
        ("{ $.a = 1 }", '{"a":' * 100_000, False),
    ],
)
def test_a_pattern_matches_what_aws_says(pattern, line, hit):
    assert compile_pattern(pattern).test(line) is hit


@pytest.mark.parametrize(
    "pattern",
    ["a@b", "?", "-", '"open', '""', '"a"b', "%open", "%%", "%(a)%", "%a{9999}%", "%[%", "%a$b%", "%*%", "%a**%",
     "{}", "{ $.a }", "{ a = 1 }", "{ $.a = }", "{ $.a > text }", "{ $.a = 1 && }", "{ ($.a = 1 }", "{ $.a = 1 ) }",
     "{ $.a IS MAYBE }", "{ $.a[x] = 1 }", "{ $.a[*].b[*] = 1 }", "{ " + "(" * 40 + "$.a = 1" + ")" * 40 + " }",
     "[..., ...]", "[a b]", "[a = ]", "[a > x]", "[a = 1 && b = 2]", "[a ! 1]", "%a% %b% %c%"],
)  # fmt: skip
def test_a_malformed_pattern_is_refused(pattern):
    with pytest.raises(AwsError, match=r"InvalidParameterException: Invalid filter pattern"):
        compile_pattern(pattern)


def test_a_pattern_that_does_not_end_is_told_how():
    with pytest.raises(AwsError, match=r"If a filter pattern starts with '{' it must end with '}'"):
        compile_pattern("{ $.a = 1")


def test_fields_without_a_name_are_extracted_by_number():
    values = compile_pattern("[..., request=*.html*, status_code=4*,]").extract(APACHE)
    assert values == {
        "$1": "127.0.0.1",
        "$2": "-",
        "$3": "frank",
        "$4": "10/Oct/2000:13:25:15 -0700",
        "$request": "GET /index.html HTTP/1.0",
        "$status_code": "404",
        "$7": "1534",
    }
    assert compile_pattern("{ $.eventType = * }").extract(JSON) == {"$.eventType": "UpdateTrail"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a*a*a*a*a*a*a*a*a*a*b", "a" * 100_000),
        ("a?" * 30 + "a" * 30, "a" * 29 + "b" + "a" * 29),
        (".*.*.*.*.*x", "y" * 100_000),
        ("a{0,200}a{0,200}b", "a" * 100_000),
    ],
)
def test_no_expression_takes_more_than_linear_time(source, text):
    start = time.process_time()
    assert not Regex(source).search(text)
    assert time.process_time() - start < 2
