"""How API Gateway names what is wrong in a request: members of the body stand within the operation's input.

restApiId  ->  restApiId        patchOperations.1.member.op  ->  updateRestApiInput.patchOperations.1.member.op
"""

import msgspec

from cumulo.wire.models import OperationModel, ServiceModel
from cumulo.wire.validate import Fault


def named(faults: list[Fault], model: ServiceModel, operation: OperationModel) -> list[Fault]:
    """The faults with the paths that API Gateway gives them."""
    if operation.input is None:
        return faults
    members = model.members(model.shape(operation.input))
    body = {name[:1].lower() + name[1:] for name, member in members.items() if not member.location}
    whole = f"{operation.name[:1].lower()}{operation.name[1:]}Input"
    return [
        _within(fault, f"{whole}.{fault.path}") if fault.path.partition(".")[0] in body else fault
        for fault in faults
    ]


def _within(fault: Fault, path: str) -> Fault:
    # From the end: the value that comes before may hold the same words.
    head, at, tail = fault.sentence.rpartition(f" at '{fault.path}' failed ")
    sentence = f"{head} at '{path}' failed {tail}" if at else fault.sentence
    return msgspec.structs.replace(fault, path=path, sentence=sentence)
