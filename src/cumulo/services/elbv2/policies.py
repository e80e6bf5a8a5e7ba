"""What clients may speak on HTTPS and TLS listeners: AWS's security policies, as far as OpenSSL goes with them.

Each names the TLS versions and, in OpenSSL's words, the ciphers of TLS 1.2 and below.
"""

import ssl
from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.elbv2.finding import one_page
from cumulo.wire.service import Values

POLICY_DEFAULT: Final = "ELBSecurityPolicy-2016-08"
_TLS13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_FIPS13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384")
_GCM: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
_CBC2: Final = (
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
)
_CBC: Final = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
)
_RSA2: Final = ("AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256")
_RSA: Final = ("AES128-SHA", "AES256-SHA")


class Policy(msgspec.Struct, frozen=True):
    """One security policy: its versions from the newest (TLSv1.3) down, and its ciphers."""

    name: str
    versions: tuple[str, ...]
    ciphers: tuple[str, ...]


_ALL_OLD: Final = (*_GCM, *_CBC2, *_CBC, *_RSA2, *_RSA)
_FROM_10: Final = ("TLSv1.2", "TLSv1.1", "TLSv1")
_POLICIES: Final[Mapping[str, Policy]] = {
    one.name: one
    for one in (
        Policy(POLICY_DEFAULT, _FROM_10, _ALL_OLD),
        Policy("ELBSecurityPolicy-TLS-1-0-2015-04", _FROM_10, _ALL_OLD),
        Policy("ELBSecurityPolicy-TLS-1-1-2017-01", ("TLSv1.2", "TLSv1.1"), _ALL_OLD),
        Policy("ELBSecurityPolicy-TLS-1-2-2017-01", ("TLSv1.2",), (*_GCM, *_CBC2, *_RSA2)),
        Policy("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ("TLSv1.2",), _ALL_OLD),
        Policy("ELBSecurityPolicy-FS-2018-06", _FROM_10, (*_GCM, *_CBC2, *_CBC)),
        Policy("ELBSecurityPolicy-FS-1-1-2019-08", ("TLSv1.2", "TLSv1.1"), (*_GCM, *_CBC2, *_CBC)),
        Policy("ELBSecurityPolicy-FS-1-2-2019-08", ("TLSv1.2",), (*_GCM, *_CBC2, *_CBC)),
        Policy("ELBSecurityPolicy-FS-1-2-Res-2019-08", ("TLSv1.2",), (*_GCM, *_CBC2)),
        Policy("ELBSecurityPolicy-FS-1-2-Res-2020-10", ("TLSv1.2",), _GCM),
        Policy("ELBSecurityPolicy-TLS13-1-3-2021-06", ("TLSv1.3",), _TLS13),
        Policy("ELBSecurityPolicy-TLS13-1-2-2021-06", ("TLSv1.3", "TLSv1.2"), (*_TLS13, *_GCM, *_CBC2)),
        Policy("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", ("TLSv1.3", "TLSv1.2"), (*_TLS13, *_GCM)),
        Policy(
            "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
            ("TLSv1.3", "TLSv1.2"),
            (*_TLS13, *_GCM, *_CBC2, *_RSA2),
        ),
        Policy("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", ("TLSv1.3", "TLSv1.2"), (*_TLS13, *_ALL_OLD)),
        Policy(
            "ELBSecurityPolicy-TLS13-1-1-2021-06", ("TLSv1.3", "TLSv1.2", "TLSv1.1"), (*_TLS13, *_ALL_OLD)
        ),
        Policy("ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04", ("TLSv1.3",), _FIPS13),
        Policy("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04", ("TLSv1.3", "TLSv1.2"), (*_FIPS13, *_GCM, *_CBC2)),
        Policy("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04", ("TLSv1.3", "TLSv1.2"), (*_FIPS13, *_GCM)),
        Policy(
            "ELBSecurityPolicy-TLS13-1-2-Ext0-FIPS-2023-04",
            ("TLSv1.3", "TLSv1.2"),
            (*_FIPS13, *_GCM, *_CBC2, *_CBC),
        ),
        Policy(
            "ELBSecurityPolicy-TLS13-1-2-Ext1-FIPS-2023-04",
            ("TLSv1.3", "TLSv1.2"),
            (*_FIPS13, *_GCM, *_CBC2, *_RSA2),
        ),
        Policy(
            "ELBSecurityPolicy-TLS13-1-2-Ext2-FIPS-2023-04", ("TLSv1.3", "TLSv1.2"), (*_FIPS13, *_ALL_OLD)
        ),
        Policy(
            "ELBSecurityPolicy-TLS13-1-1-FIPS-2023-04",
            ("TLSv1.3", "TLSv1.2", "TLSv1.1"),
            (*_FIPS13, *_ALL_OLD),
        ),
        Policy("ELBSecurityPolicy-TLS13-1-0-FIPS-2023-04", ("TLSv1.3", *_FROM_10), (*_FIPS13, *_ALL_OLD)),
        Policy("ELBSecurityPolicy-TLS13-1-0-2021-06", ("TLSv1.3", *_FROM_10), (*_TLS13, *_ALL_OLD)),
    )
}
_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
}


def check_policy(name: str) -> None:
    """AwsError when there is no such policy."""
    if name not in _POLICIES:
        raise AwsError("SSLPolicyNotFound", f"SSL policy '{name}' not found")


def bounds_of(name: str) -> tuple[ssl.TLSVersion, ssl.TLSVersion, str]:
    """The oldest and newest version, and the ciphers in OpenSSL's words; TLS 1.2 at least, for OpenSSL has left the rest."""
    policy = _POLICIES[name]
    versions = [_VERSIONS[one] for one in policy.versions if one in _VERSIONS]
    return min(versions), max(versions), ":".join(one for one in policy.ciphers if one not in _TLS13)


async def describe_policies(caller: Caller, values: Values) -> Values | None:
    """DescribeSSLPolicies."""
    del caller
    for name in values.get("Names", ()):
        check_policy(name)
    chosen = [_POLICIES[name] for name in dict.fromkeys(values.get("Names", ()))] or list(_POLICIES.values())
    found, marker = one_page(chosen, lambda one: one.name, values)
    wanted = values.get("LoadBalancerType", "application")
    return {
        "SslPolicies": [_view(one) for one in found] if wanted != "gateway" else [],
        "NextMarker": marker,
    }


def _view(one: Policy) -> Values:
    return {
        "Name": one.name,
        "SslProtocols": list(one.versions),
        "Ciphers": [{"Name": cipher, "Priority": at} for at, cipher in enumerate(one.ciphers, start=1)],
        "SupportedLoadBalancerTypes": ["application", "network"],
    }
