"""Where tasks of ECS run: container instances, and capacity providers."""
