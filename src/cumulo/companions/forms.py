"""Calls of the cloud's own to companions that speak the query protocol, and their answers in XML."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.calls import small, told_in_xml
from cumulo.companions.companions import Companions

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET  # loaded with the first answer: a cloud must start at once

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024  # thousands of instances
PAGES_MAX: Final = 1000


class Node:
    """An element of an answer, without namespaces."""

    def __init__(self, element: "ET.Element | None") -> None:
        self._element = element

    def __bool__(self) -> bool:
        return self._element is not None

    def text(self, *path: str) -> str:
        """The text at the end of a path of names; empty when there is none."""
        element = self._find(path)
        return "" if element is None or element.text is None else element.text.strip()

    def at(self, *path: str) -> "Node":
        """The element at the end of a path of names; one that is false when there is none."""
        return Node(self._find(path))

    def all(self, *path: str) -> list["Node"]:
        """The children of the element at the end of a path: the members of a list."""
        element = self._find(path)
        return [] if element is None else [Node(child) for child in element]

    def _find(self, path: Sequence[str]) -> "ET.Element | None":
        element = self._element
        for name in path:
            element = None if element is None else next((one for one in element if _tag(one) == name), None)
        return element


def _tag(element: "ET.Element") -> str:
    return element.tag.rpartition("}")[2]


async def call_form(
    companions: Companions,
    service: str,
    version: str,
    *,
    account: str,
    region: str,
    values: Mapping[str, str],
) -> Node:
    """Call an operation (`Action` in values); its answer, or AwsError as the service says it."""
    answer = await companions.call(
        service,
        "POST",
        "/",
        caller=Caller(account=account, access_key=account, region=region),
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=urlencode({"Version": version, **values}).encode(),
    )
    body = await small(answer, ANSWER_BYTES_MAX)
    if answer.status != 200:
        code, message = told_in_xml(body)
        status = answer.status if answer.status >= 400 else 500
        raise AwsError(
            code or "InternalError", message or f"{service} answered with {answer.status}", status=status
        )
    from xml.etree import ElementTree as ET

    try:
        # From the companion that was configured; expat resolves no external entities.
        return Node(ET.fromstring(body))  # noqa: S314
    except ET.ParseError as error:
        raise AwsError("InternalError", f"{service} did not answer in XML: {error}", status=502) from error
