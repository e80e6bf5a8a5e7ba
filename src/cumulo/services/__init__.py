"""One package per AWS service that is ours."""
