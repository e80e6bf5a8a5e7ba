"""From a job to a task of ECS, and back."""
