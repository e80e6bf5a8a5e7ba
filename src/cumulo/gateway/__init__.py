"""The data plane of API Gateway: answers what clients send to APIs.  Knows no record, no store and no AWS operation."""
