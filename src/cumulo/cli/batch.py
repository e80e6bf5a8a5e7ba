"""`cumulo batch`: AWS Batch as people want to see it.  Each word of it is a file: batch_top, batch_wait, batch_graph."""

from collections.abc import Mapping
from types import MappingProxyType

import click

from cumulo.cli.main import Words

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "top": "Show queues, shares, environments and instances as they are now.",
        "wait": "Wait until jobs have ended.",
        "graph": "Draw what waits for what, as a Mermaid diagram.",
    }
)


@click.group("batch", cls=Words, words=WORDS, prefix="batch_")
def command() -> None:
    """Watch AWS Batch: queues, jobs, what waits for what."""
