"""ECS: clusters, task definitions, tasks, services and the capacity they run on."""
