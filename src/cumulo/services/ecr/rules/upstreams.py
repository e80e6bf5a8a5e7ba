"""The upstream registries that a cache rule may name.  Pure.

AWS takes a fixed list.  Besides it, Cumulo takes a registry on this machine (`localhost:5000`, `127.0.0.1:5000`,
which is asked by plain HTTP), so that a cache can be used and tested without the Internet; not in shared mode,
where what listens on this machine is not for everybody.  An upstream that is an ECR registry is one of this cloud.
"""

import re
from typing import NamedTuple

from cumulo.base.errors import AwsError
from cumulo.services.ecr.rules.model import CacheRule, unfit

_ECR = re.compile(
    r"([0-9]{12})\.dkr\.ecr\.([a-z0-9-]{2,25})\.(?:amazonaws\.com(?:\.cn)?|localhost(?::[0-9]{1,5})?)"
)
_AZURE = re.compile(r"[a-zA-Z0-9]{5,50}\.azurecr\.(?:io|cn|us)")
_LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")


class Kind(NamedTuple):
    """What is asked of a rule for an upstream."""

    name: str
    needs_credentials: bool = False


_BY_HOST = {
    "public.ecr.aws": Kind("ecr-public"),
    "quay.io": Kind("quay"),
    "registry.k8s.io": Kind("k8s"),
    "registry-1.docker.io": Kind("docker-hub", needs_credentials=True),
    "ghcr.io": Kind("github-container-registry", needs_credentials=True),
    "registry.gitlab.com": Kind("gitlab-container-registry", needs_credentials=True),
    "cgr.dev": Kind("chainguard", needs_credentials=True),
}
_IMAGES = {
    "public.ecr.aws": ("docker/library/alpine", "latest"),
    "registry-1.docker.io": ("library/alpine", "latest"),
    "registry.k8s.io": ("pause", "3.9"),
}
ECR = Kind("ecr")
LOCAL = Kind("")


def kind_of(url: str, *, local: bool = True) -> Kind:
    """What kind of upstream a URL names, `local` ones only if they may be.  AwsError UnsupportedUpstreamRegistryException."""
    found = _BY_HOST.get(url)
    if found is not None:
        return found
    if _ECR.fullmatch(url):
        return ECR
    if _AZURE.fullmatch(url):
        return Kind("azure-container-registry", needs_credentials=True)
    if local and is_local(url):
        return LOCAL
    raise AwsError(
        "UnsupportedUpstreamRegistryException",
        f"The upstream registry URL {url} is invalid. Specify a valid upstream registry URL and try again",
    )


def is_local(url: str) -> bool:
    """Whether an upstream is a registry on this machine, which speaks plain HTTP."""
    return _LOCAL.fullmatch(url) is not None


def registry_of(url: str) -> tuple[str, str] | None:
    """Account and region of an upstream that is a registry of this cloud."""
    found = _ECR.fullmatch(url)
    return (found[1], found[2]) if found else None


def known_image(url: str) -> tuple[str, str]:
    """Repository and tag to ask an upstream for when it is only asked whether it lets us in.

    Some refuse a name that they do not know as if it were the login, so theirs is one that they know.
    """
    return _IMAGES.get(url, ("library/alpine", "latest"))


def check(rule: CacheRule) -> None:
    """AwsError for a rule that AWS would not take."""
    kind = kind_of(rule.upstream_url)
    if rule.upstream and rule.upstream != kind.name:
        raise unfit("upstreamRegistry", f"The upstream registry does not match the URL {rule.upstream_url}")
    if kind.needs_credentials and not rule.credential_arn:
        raise AwsError(
            "UnsupportedUpstreamRegistryException",
            "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN"
            " and try again",
        )
    home = registry_of(rule.upstream_url)
    if home is None:
        if rule.role_arn:
            raise unfit("customRoleArn", "A custom role is only supported for an ECR upstream registry")
        return
    if rule.credential_arn:
        raise unfit("credentialArn", "Credentials are not supported for an ECR upstream registry")
    if home == (rule.account, rule.region):
        raise unfit("upstreamRegistryUrl", "The upstream registry cannot be the registry itself")
    if home[0] != rule.account and not rule.role_arn:
        raise unfit(
            "customRoleArn", "A custom role is required for an ECR upstream registry of another account"
        )
