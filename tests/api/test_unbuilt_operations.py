"""What is not built says so: every operation that docs/coverage.md calls refused answers 501 with its name."""

from pathlib import Path

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"


def refused():
    """(service, operation) of every row that says refused."""
    service = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            service = line[3:]
        elif line.startswith("| ") and line.split(" | ")[1] == "refused":
            yield service, line.split(" | ")[0][2:]


def least(shape, depth=0):
    """The least that a client can send for a shape: its required members."""
    match shape.type_name:
        case "structure":
            return {name: least(shape.members[name], depth + 1) for name in shape.required_members}
        case "list":
            return [least(shape.member, depth + 1)] * (shape.metadata.get("min") or 0)
        case "map":
            return {}
        case "integer" | "long" | "float" | "double":
            return shape.metadata.get("min") or 1
        case "boolean":
            return True
        case "blob":
            return b"x"
        case "timestamp":
            return 0
        case _:
            return (shape.enum or ["x" * max(1, shape.metadata.get("min") or 1)])[0]


@pytest.mark.parametrize("service", ["lambda", "logs"])
def test_every_operation_that_is_not_built_answers_501_with_its_name(cumulo_empty, service):
    client = cumulo_empty.client(
        service,
        config=Config(
            parameter_validation=False, inject_host_prefix=False, retries={"total_max_attempts": 1}
        ),
    )
    known = set(client.meta.service_model.operation_names)  # the page may be of another release of botocore
    names = [name for of, name in refused() if of == service and name in known]
    assert len(names) > 20
    for name in names:
        shape = client.meta.service_model.operation_model(name).input_shape
        with pytest.raises(ClientError) as error:
            getattr(client, xform_name(name))(**(least(shape) if shape else {}))
        answer = error.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501, f"{name}: {answer}"
        assert answer["Error"]["Code"] == "NotImplemented"
        assert answer["Error"]["Message"].startswith(f"{service} {name} is not implemented by Cumulo")
