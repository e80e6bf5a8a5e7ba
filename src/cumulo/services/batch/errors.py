"""What clients of Batch are told.  There are two errors: ClientException (400) and ServerException (500).

What is wrong with a request by itself comes in AWS's wrapping (`Error executing request, Exception : ..., RequestId: ...`);
what is wrong with it as things are (no such queue) comes bare.
"""

from collections.abc import Mapping

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError, not_implemented
from cumulo.wire.service import Operation, Run, Values


class Unfit(AwsError):
    """A request that is wrong by itself; `wrapped` operations tell it as AWS does."""

    def __init__(self, sentence: str) -> None:
        super().__init__("ClientException", sentence)


def unfit(sentence: str) -> AwsError:
    """The request is wrong by itself."""
    return Unfit(sentence)


def client(sentence: str) -> AwsError:
    """The request cannot be done as things are."""
    return AwsError("ClientException", sentence)


def unbuilt(operation: str, what: str) -> AwsError:
    """Something of Batch that this cloud does not have, by name."""
    return not_implemented("batch", operation, what)


def wrapped(operations: Mapping[str, Operation]) -> Mapping[str, Operation]:
    """The same operations, which tell what is Unfit in AWS's wrapping."""
    return {
        name: Operation(_wrapped(one.run), coverage=one.coverage, note=one.note)
        for name, one in operations.items()
    }


def _wrapped(run: Run) -> Run:
    async def operation(caller: Caller, values: Values) -> Values | None:
        try:
            return await run(caller, values)
        except Unfit as error:
            raise client(
                f"Error executing request, Exception : {error.message}, RequestId: {caller.request_id}"
            ) from None

    return operation
