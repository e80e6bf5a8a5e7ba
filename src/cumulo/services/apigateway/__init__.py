"""The control plane of REST APIs: AWS's `apigateway` operations on records, and what is published for the gateway to answer."""
