"""Writes docs/coverage.md: for each AWS operation of our services, whether it runs, is stored, or is refused."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cumulo.app import Cloud
from cumulo.settings import Settings
from cumulo.wire.service import Coverage, Operation

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
HEAD = """# Coverage

Generated from the code by `make coverage`; a test fails when it is out of date.

- **runs**: does what AWS does.
- **stored**: keeps and shows what it was told (or that there is nothing yet); nothing acts on it.
- **refused**: answers with a clear error that names what is missing (501 `NotImplemented` when nothing is built).

Every AWS service that is not listed here is answered by a companion (moto, unless you point it elsewhere).
"""


def catalogue() -> dict[str, tuple[list[str], Mapping[str, Operation]]]:
    """Every service of ours with AWS's operation names and those that are built; for docs/coverage.md."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Settings(data=Path(folder), sandbox="plain", engine="none", port=0))
        return asyncio.run(_catalogue(cloud))


async def _catalogue(cloud: Cloud) -> dict[str, tuple[list[str], Mapping[str, Operation]]]:
    await cloud.start()
    try:
        return {
            name: (sorted(cloud.models.service(name).operations), service.operations)
            for name, service in cloud.door.services.items()
        }
    finally:
        await cloud.stop()


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for service, (known, operations) in sorted(catalogue().items()):
        built = {name: operations[name].coverage for name in known if name in operations}
        count = {kind: sum(1 for value in built.values() if value is kind) for kind in Coverage}
        refused = len(known) - count[Coverage.RUNS] - count[Coverage.STORED]
        parts.append(
            f"\n## {service}\n\n{len(known)} operations: {count[Coverage.RUNS]} run, "
            f"{count[Coverage.STORED]} stored, {refused} refused.\n\n| operation | | note |\n|---|---|---|\n"
        )
        for name in sorted(known):
            operation = operations.get(name)
            kind = operation.coverage if operation else Coverage.REFUSED
            parts.append(f"| {name} | {kind} | {operation.note if operation else ''} |\n")
    return "".join(parts)


def main() -> None:
    """Write the page, or with --check only compare."""
    text = page()
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.exists() and PAGE.read_text() == text
            else "docs/coverage.md is out of date: make coverage"
        )
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
