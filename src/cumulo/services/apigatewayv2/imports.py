"""HTTP APIs from OpenAPI documents: new ones, and documents in place of what there is."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from cumulo.base.arn import partition_of
from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import V2Definition
from cumulo.services.apigatewayv2 import bounds
from cumulo.services.apigatewayv2.contents import Contents
from cumulo.services.apigatewayv2.records import HTTP
from cumulo.services.apigatewayv2.refusals import bad, too_many
from cumulo.services.apigatewayv2.routes import ROUTES_MAX
from cumulo.wire.service import Operation, Values

if TYPE_CHECKING:  # documents are read late: nothing of OpenAPI is imported before somebody has one
    from cumulo.gateway.openapi.http.reading import HttpImport
    from cumulo.gateway.openapi.notes import Notes

_INLINE_CHARACTERS: Final = 64 * 1024


class Imports:
    """The operations that read documents."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {"ImportApi": Operation(self.import_api), "ReimportApi": Operation(self.reimport_api)}

    async def import_api(self, caller: Caller, values: Values) -> Values:
        """Make an API of a document."""
        root = await _root(caller, values["Body"])
        blank = self._contents.blank(caller, HTTP)
        read, notes = self._read(root, blank, values)
        api = await self._contents.assemble(
            read.definition,
            description=read.description,
            version=read.version,
            tags=read.tags,
            import_info=notes.information,
            warnings=notes.warnings,
        )
        return self._contents.view(api, caller)

    async def reimport_api(self, caller: Caller, values: Values) -> Values:
        """Put what a document says in place of what an API is."""
        self._contents.find(caller, values["ApiId"])
        root = await _root(caller, values["Body"])
        api = self._contents.find(caller, values["ApiId"])
        if not api.is_http:
            raise bad("Importing an OpenAPI definition is only supported for HTTP APIs.")
        read, notes = self._read(root, api.definition, values)
        api = await self._contents.replace_contents(
            api,
            read.definition,
            description=read.description,
            version=read.version,
            tags=read.tags,
            import_info=notes.information,
            warnings=notes.warnings,
        )
        return self._contents.view(api, caller)

    def _read(
        self, root: Mapping[str, Any], have: V2Definition, values: Values
    ) -> tuple["HttpImport", "Notes"]:
        from cumulo.gateway.openapi.documents import document_of
        from cumulo.gateway.openapi.http.reading import read_http
        from cumulo.gateway.openapi.notes import Notes
        from cumulo.services.apigatewayv2.import_checks import possible

        notes = Notes()
        document = document_of(root, notes)
        if len(document.paths) > ROUTES_MAX:
            raise too_many("Routes")
        base_path = values.get("Basepath") or "ignore"
        read = read_http(document, have, self._contents.new_id, notes, base_path=base_path)
        if not read.definition.name:
            raise bad("The title of the document must have length between 1 and 128")
        bounds.check({"Name": read.definition.name, "Description": read.description, "Version": read.version})
        definition = possible(read.definition, notes)
        notes.settle(fail_on_warnings=bool(values.get("FailOnWarnings")))
        return replace(read, definition=definition), notes


async def _root(caller: Caller, body: str) -> dict[str, Any]:
    """The document in a body, with AWS's variables filled in; a long one is read beside the loop."""
    from cumulo.gateway.openapi.texts import read

    for name, value in (
        ("${AWS::AccountId}", caller.account),
        ("${AWS::Partition}", partition_of(caller.region)),
        ("${AWS::Region}", caller.region),
    ):
        body = body.replace(name, value)
    try:
        text = body.encode()
    except UnicodeEncodeError:
        raise bad("Invalid OpenAPI input. The document is not UTF-8.") from None
    return read(text) if len(text) <= _INLINE_CHARACTERS else await asyncio.to_thread(read, text)
