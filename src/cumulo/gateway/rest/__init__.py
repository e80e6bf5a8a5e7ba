"""The data plane of REST APIs: from a deployment's definition to answers."""
