"""A mapping template that shows what a model's JSON looks like, for whoever writes a real one.  Pure.

#set($inputRoot = $input.path('$'))
{
  "name" : "foo",
  "tags" : [
    ##TODO: Update this foreach loop to reference array from input json
    #foreach($elem in $inputRoot)
    "foo"
    #if($foreach.hasNext),#end
    #end
  ]
}
"""

import json
from collections.abc import Mapping
from typing import Any, Final

_DEPTH_MAX: Final = 20
_SAMPLES: Final[Mapping[str, str]] = {
    "boolean": "true",
    "integer": "42",
    "null": "null",
    "number": "42.0",
    "string": '"foo"',
}


def sample(schema: Any) -> str:
    """The template; members of which the schema does not say what they are become strings."""
    lines = _lines(schema, 0)
    return "\n".join(["#set($inputRoot = $input.path('$'))", *lines])


def _lines(schema: Any, depth: int) -> list[str]:
    told = schema if isinstance(schema, dict) else {}
    kind = told.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if depth > _DEPTH_MAX:
        return ["{ }"]
    if kind == "array":
        return _array(told.get("items"), depth)
    properties = told.get("properties")
    if isinstance(kind, str) and kind in _SAMPLES and not properties:
        return [_SAMPLES[kind]]
    if kind is None and not properties and depth:
        return [_SAMPLES["string"]]
    return _object(properties if isinstance(properties, dict) else {}, depth)


def _object(properties: Mapping[str, Any], depth: int) -> list[str]:
    if not properties:
        return ["{ }"]
    lines = ["{"]
    for number, (name, schema) in enumerate(properties.items(), 1):
        first, *rest = _lines(schema, depth + 1)
        inner = [f"{json.dumps(name)} : {first}", *rest]
        if number < len(properties):
            inner[-1] += ","
        lines += [f"  {line}" for line in inner]
    return [*lines, "}"]


def _array(items: Any, depth: int) -> list[str]:
    inner = _lines(items, depth + 1)
    return [
        "[",
        "  ##TODO: Update this foreach loop to reference array from input json",
        "  #foreach($elem in $inputRoot)",
        *(f"  {line}" for line in inner),
        "  #if($foreach.hasNext),#end",
        "  #end",
        "]",
    ]
