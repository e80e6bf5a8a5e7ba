"""Prices an order and keeps the receipt in S3: what a small real function does."""

import json
import logging
import os

import boto3

log = logging.getLogger()
log.setLevel(logging.INFO)
PRICES = {"tea": 3.5, "coffee": 4.2, "cake": 5.0}
s3 = boto3.client("s3")


def handler(event, context):
    """Add up an order's items; unknown ones are the caller's mistake."""
    items = event.get("items", {})
    unknown = sorted(set(items) - set(PRICES))
    if unknown:
        raise ValueError(f"not on the menu: {', '.join(unknown)}")
    total = round(sum(PRICES[name] * count for name, count in items.items()), 2)
    log.info("order of %d items comes to %.2f", sum(items.values()), total)
    key = f"receipts/{context.aws_request_id}.json"
    s3.put_object(Bucket=os.environ["RECEIPTS"], Key=key, Body=json.dumps({"items": items, "total": total}))
    return {"total": total, "receipt": key}
