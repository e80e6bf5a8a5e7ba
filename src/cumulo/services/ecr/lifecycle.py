"""Lifecycle policies: put, get, delete, and previews of what one would do."""

from collections.abc import Iterator

from cumulo.base.caller import Caller
from cumulo.services.ecr import lifecycle_rules
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.finding import no_paging, one_page, repository_of
from cumulo.services.ecr.lifecycle_run import LifecycleRun
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.previews import Preview, Row, no_preview
from cumulo.services.ecr.refusals import no_policy
from cumulo.services.ecr.views import moment, named
from cumulo.wire.service import Values


class Lifecycle:
    """The operations on lifecycle policies."""

    def __init__(self, catalog: StoredCatalog, run: LifecycleRun) -> None:
        self._catalog = catalog
        self._run = run

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutLifecyclePolicy."""
        repository = repository_of(self._catalog, caller, values)
        lifecycle_rules.read(values["lifecyclePolicyText"])
        text = lifecycle_rules.normal(values["lifecyclePolicyText"])
        repository = await self._catalog.update(repository, lifecycle=text, lifecycle_evaluated_at=0.0)
        self._run.look_at(repository)
        return named(repository, lifecyclePolicyText=text)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetLifecyclePolicy."""
        return _shown(self._having(caller, values))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteLifecyclePolicy."""
        repository = self._having(caller, values)
        await self._catalog.update(repository, lifecycle="", lifecycle_evaluated_at=0.0)
        return _shown(repository)

    def _having(self, caller: Caller, values: Values) -> Repository:
        repository = repository_of(self._catalog, caller, values)
        if not repository.lifecycle:
            raise no_policy("LifecyclePolicyNotFoundException", "Lifecycle policy", repository)
        return repository

    # -- previews ----------------------------------------------------------------------------------------

    async def start_preview(self, caller: Caller, values: Values) -> Values | None:
        """StartLifecyclePolicyPreview, of the policy in the request or of the repository's own."""
        text = values.get("lifecyclePolicyText")
        if text is None:
            repository = self._having(caller, values)
            text = repository.lifecycle
        else:
            repository = repository_of(self._catalog, caller, values)
            lifecycle_rules.read(text)
            text = lifecycle_rules.normal(text)
        preview = self._run.previews.start(repository, text)
        self._run.wake()
        return named(repository, lifecyclePolicyText=text, status=preview.status)

    async def get_preview(self, caller: Caller, values: Values) -> Values | None:
        """GetLifecyclePolicyPreview."""
        repository = repository_of(self._catalog, caller, values)
        no_paging(values, "imageIds")
        preview = self._run.previews.get(repository)
        if preview is None:
            raise no_preview(repository)
        rows = [row for row in preview.rows if _chosen(row, values)]

        def after(key: str) -> Iterator[tuple[int, Row]]:
            first = int(key) + 1 if key.isdigit() else 0
            return ((at, rows[at]) for at in range(first, len(rows)))

        found, token = await one_page(after, lambda one: str(one[0]), values)
        return named(
            repository,
            lifecyclePolicyText=preview.text,
            status=preview.status,
            nextToken=token,
            previewResults=[_row_view(row) for _, row in found],
            summary=_summary(preview) if preview.status == "COMPLETE" else None,
        )


def _shown(repository: Repository) -> Values:
    return named(
        repository,
        lifecyclePolicyText=repository.lifecycle,
        lastEvaluatedAt=repository.lifecycle_evaluated_at,
    )


def _chosen(row: Row, values: Values) -> bool:
    tagged = values.get("filter", {}).get("tagStatus", "ANY")
    if tagged != "ANY" and bool(row.tags) != (tagged == "TAGGED"):
        return False
    ids = values.get("imageIds")
    return not ids or any(
        one.get("imageDigest", row.digest) == row.digest
        and ("imageTag" not in one or one["imageTag"] in row.tags)
        for one in ids
    )


def _row_view(row: Row) -> Values:
    moved = row.kind == "transition"
    return {
        "imageTags": list(row.tags) or None,
        "imageDigest": row.digest,
        "imagePushedAt": moment(row.pushed_at),
        "action": {
            "type": "TRANSITION" if moved else "EXPIRE",
            "targetStorageClass": "ARCHIVE" if moved else None,
        },
        "appliedRulePriority": row.priority,
        "storageClass": "ARCHIVE" if row.archived else "STANDARD",
    }


def _summary(preview: Preview) -> Values:
    moved = sum(row.kind == "transition" for row in preview.rows)
    counts = [{"targetStorageClass": "ARCHIVE", "imageTotalCount": moved}] if moved else None
    return {
        "expiringImageTotalCount": len(preview.rows) - moved,
        "transitioningImageTotalCounts": counts,
    }
