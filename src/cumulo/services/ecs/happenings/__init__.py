"""What EventBridge hears of tasks, container instances, services and deployments."""
