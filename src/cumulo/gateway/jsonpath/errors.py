"""What is wrong with a JSONPath, or with what it would cost."""


class JsonPathError(Exception):
    """A sentence that says it."""
