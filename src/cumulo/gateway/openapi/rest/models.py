"""Schemas of documents as models of REST APIs: those with names, and those that lie in operations."""

from collections.abc import Callable, Mapping

from cumulo.gateway.definitions.rest import Model
from cumulo.gateway.openapi import schemas
from cumulo.gateway.openapi.documents import Document
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import Body
from cumulo.gateway.openapi.texts import Tree


class ModelsRead:
    """The models of a document; more come while its operations are read.

    api_id   the API's
    id_of    an id for the model with a name
    have     names of models that the API has already
    """

    def __init__(
        self, document: Document, api_id: str, id_of: Callable[[str], str], have: frozenset[str], notes: Notes
    ) -> None:
        self._document = document
        self._api_id = api_id
        self._id_of = id_of
        self._have = have
        self._notes = notes
        self.models: dict[str, Model] = {
            name: self._made(name, schema, name) for name, schema in document.schemas.items()
        }

    def of(self, bodies: tuple[Body, ...], where: str) -> dict[str, str]:
        """Names of models by content type; `where`: how AWS says whose bodies they are."""
        found = {}
        for body in bodies:
            name = self._named(body.schema, where) if body.schema is not None else None
            if name is not None:
                found[body.content_type] = name
        return found

    def _named(self, schema: Tree, where: str) -> str | None:
        name = schemas.referred(schema, self._document.schemas_at)
        if name is not None:
            if name in self.models or name in self._have:
                return name
            self._notes.warn(f"Reference to model '{name[:200]}' not found. Ignoring.")
            return None
        kind = schemas.unsupported_kind(schema, three=self._document.three)
        if kind:
            self._notes.warn(f"Unsupported model type '{kind}' in {where}. Ignoring.")
            return None
        name = schemas.invented_name(schema, self._document.schemas_at)
        model = self._made(name, schema, "")
        if self.models.setdefault(name, model).schema != model.schema:
            name = schemas.invented_name({"title": name, "schema": schema}, self._document.schemas_at)
            self.models[name] = self._made(name, schema, "")
        return name

    def _made(self, name: str, schema: Tree, own: str) -> Model:
        changed = schemas.to_model(schema, own, self._document.schemas_at, self._api_id)
        described = changed.get("description") if isinstance(changed, dict) else None
        return Model(
            id=self._id_of(name),
            name=name,
            description=described if isinstance(described, str) else "",
            schema=schemas.text_of(changed),
        )


def write_models(
    models: Mapping[str, Model], used: frozenset[str], schemas_at: str, api_id: str
) -> dict[str, Tree]:
    """Models as schemas.  ValueError for one that is used and is no JSON Schema; others of that kind are left out."""
    written: dict[str, Tree] = {}
    for name in sorted(models):
        model = models[name]
        schema = schemas.from_model(model.schema, name, schemas_at, api_id)
        if schema is None:
            if name in used:
                raise ValueError(name)
            continue
        if model.description and "description" not in schema:
            schema["description"] = model.description
        written[name] = schema
    return written
