"""Names that API Gateway gives to endpoints of custom domain names, and the zones in which they are.  Pure."""

from typing import Final

from cumulo.base.arn import partition_of
from cumulo.base.ids import Ids

CLOUDFRONT_ZONE: Final = "Z2FDTNDATAQYW2"
_ZONES: Final = {
    "af-south-1": "Z2DHW2332DAMTN",
    "ap-east-1": "Z3FD1VL90ND7K5",
    "ap-northeast-1": "Z1YSHQZHG15GKL",
    "ap-northeast-2": "Z20JF4UZKIW1U8",
    "ap-south-1": "Z3VO1THU9YC4UR",
    "ap-southeast-1": "ZL327KTPIQFUL",
    "ap-southeast-2": "Z2RPCDW04V8134",
    "ca-central-1": "Z19DQILCV0OWEC",
    "eu-central-1": "Z1U9ULNL0V5AJ3",
    "eu-north-1": "Z3UWIKFBOOGXPP",
    "eu-south-1": "Z3BT4WSQ9TDYZV",
    "eu-west-1": "ZLY8HYME6SFDD",
    "eu-west-2": "ZJ5UAJN8Y3Z2Q",
    "eu-west-3": "Z3KY65QIEKYHQQ",
    "me-south-1": "Z20ZBPC0SS8806",
    "sa-east-1": "ZCMLWB8V5SYIT",
    "us-east-1": "Z1UJRXOUMOOFQ8",
    "us-east-2": "ZOJJZC49E0EPZ",
    "us-west-1": "Z2MUQ32089INYE",
    "us-west-2": "Z2OJLYMUO9EFXC",
}
_MAPPING_ID: Final = 6
_REGIONAL_ID: Final = 10
_DISTRIBUTION_ID: Final = 13


def regional_name(ids: Ids, region: str) -> str:
    """A name for a regional endpoint."""
    return f"d-{_id(ids, _REGIONAL_ID)}.execute-api.{region}.amazonaws.com"


def distribution_name(ids: Ids) -> str:
    """A name for an edge endpoint's distribution."""
    return f"d{_id(ids, _DISTRIBUTION_ID)}.cloudfront.net"


def mapping_id(ids: Ids) -> str:
    """An id for a mapping."""
    return _id(ids, _MAPPING_ID)


def zone_of(region: str) -> str:
    """The hosted zone of a region's endpoints; empty where we do not know it."""
    return _ZONES.get(region, "")


def arn_of(region: str, name: str) -> str:
    """The ARN of a domain name."""
    return f"arn:{partition_of(region)}:apigateway:{region}::/domainnames/{name}"


def _id(ids: Ids, length: int) -> str:
    return ids.upper(length).lower()
