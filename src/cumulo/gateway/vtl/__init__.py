"""API Gateway's mapping templates: Velocity 1.7 as API Gateway runs it, in an engine that reaches nothing but its data."""
