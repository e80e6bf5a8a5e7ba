"""How ECS tells of a value that is none of its choices."""

import pytest
from wire_door import MODELS

from cumulo.wire.errors import Errors
from cumulo.wire.patterns import Patterns
from cumulo.wire.protocols.registry import codec
from cumulo.wire.validate import Validators


@pytest.mark.parametrize(
    ("operation", "values", "sentence"),
    [
        (
            "ListServices",
            {"launchType": "MOON"},
            "launch type should be one of [EC2,FARGATE,EXTERNAL,FMI,MANAGED_INSTANCES]",
        ),
        (
            "ListServices",
            {"schedulingStrategy": "X"},
            "Scheduling strategy should be one of [REPLICA,DAEMON]",
        ),
        ("ListTasks", {"desiredStatus": "X"}, "desiredStatus should be one of [RUNNING,PENDING,STOPPED]"),
        ("DescribeServices", {"services": ["a"], "include": ["X"]}, "include should be one of [TAGS]"),
        (
            "DescribeServices",
            {},
            "1 validation error detected: Value null at 'services' failed to satisfy constraint: "
            "Member must not be null",
        ),
    ],
)
def test_choices_are_listed_in_the_words_of_ecs(operation, values, sentence):
    model = MODELS.service("ecs")
    faults = Validators(model, Patterns()).faults(model.operations[operation])(values)
    error = Errors(model, "json", codec(model, "json")).validation(faults)
    assert (error.code, error.message) == ("InvalidParameterException", sentence)
