"""How ECR tells of input that breaks its model: of the first fault alone, in a sentence of its own.

It checks the names of repositories, the ids of registries and the kinds of mutability itself, in other words than the
model's.
"""

from collections.abc import Mapping

SENTENCE = "Invalid parameter at '{path}' failed to satisfy constraint: '{rule}'"
_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
_AT_NAME = "at 'repositoryName' failed to satisfy constraint: Member must "
_ENUM = "Member must satisfy enum value set: "


def _of(path: str, rule: str) -> str:
    return SENTENCE.format(path=path, rule=rule)


_NO_NAME = _of("repositoryName", "must not be null")
_BAD_NAME = _of(
    "repositoryName",
    r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'",
)
OWN: Mapping[tuple[str, str], str] = {
    ("repositoryName", f"Value null {_AT_NAME}not be null"): _NO_NAME,
    ("repositoryName", f"Value '' {_AT_NAME}have length greater than or equal to 2"): _NO_NAME,
    ("repositoryName", "Member must have length greater than or equal to 2"): _of(
        "repositoryName", "must have length greater than or equal to 2"
    ),
    ("repositoryName", "Member must have length less than or equal to 256"): _of(
        "repositoryName", "must have length less than or equal to 256"
    ),
    ("repositoryName", _NAME): _BAD_NAME,
    ("repositoryNames", f"{_NAME}, Member must not be null]"): _BAD_NAME,
    ("registryId", "[0-9]{12}"): _of("registryId", "must satisfy regular expression [0-9]{12}"),
    (
        "imageTagMutability",
        f"{_ENUM}[MUTABLE, IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]",
    ): _of(
        "imageTagMutability",
        f"{_ENUM}[IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
    ),
}
"""(member, how the model's sentence ends): AWS's sentence."""
