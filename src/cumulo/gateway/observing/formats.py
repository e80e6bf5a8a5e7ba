"""Access log formats: any text with `$context` variables in it (CLF, JSON, XML, CSV), compiled once for a stage.  Pure."""

import re
from collections.abc import Callable
from typing import Final

from cumulo.gateway.observing.variables import Ended, text_of

_VARIABLE: Final = re.compile(r"\$context((?:\.\w+)+)", re.ASCII)
_BREAKS: Final = re.compile(r"[\r\n]+")

Render = Callable[[Ended], str]


def compile_format(text: str) -> Render:
    """What makes the line of a request; `-` stands for what is missing, and there are no line breaks."""
    parts = _VARIABLE.split(text)  # a text, a name, a text, ...
    texts = [part.replace("%", "%%") for part in parts[::2]]
    values = tuple(text_of(name[1:]) for name in parts[1::2])
    whole = "%s".join(texts)

    def render(ended: Ended) -> str:
        line = whole % tuple([value(ended) for value in values])
        return _BREAKS.sub(" ", line) if "\n" in line or "\r" in line else line

    return render
