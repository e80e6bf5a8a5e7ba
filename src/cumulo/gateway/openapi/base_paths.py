"""What an import does with the base path of a document, and what paths consist of."""

from cumulo.base.errors import AwsError

MODES = ("ignore", "prepend", "split")


def prefix_of(base_path: str, mode: str) -> str:
    """What goes before every path: `` or `/a/b`.  BadRequestException for a mode that is none.

    ignore   nothing
    prepend  the base path
    split    the base path without its first part, which is for a base path mapping to say
    """
    if mode not in MODES:
        raise AwsError(
            "BadRequestException", f"Invalid basepath specified: {mode}. Valid options are {', '.join(MODES)}"
        )
    parts = [one for one in base_path.split("/") if one]
    if mode == "ignore":
        return ""
    return "".join(f"/{one}" for one in (parts if mode == "prepend" else parts[1:]))


def parts_of(path: str) -> list[str]:
    """The parts of a path; slashes at its end or doubled count for nothing."""
    return [one for one in path.split("/") if one]


def variables_of(path: str) -> list[str]:
    """The names of a path's variables, `proxy` for `{proxy+}`."""
    return [
        one[1:-1].removesuffix("+") for one in parts_of(path) if one.startswith("{") and one.endswith("}")
    ]
