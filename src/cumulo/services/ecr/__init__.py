"""ECR: repositories and images, their registry and its rules."""
