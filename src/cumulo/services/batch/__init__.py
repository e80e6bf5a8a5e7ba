"""AWS Batch: compute environments, job queues, job definitions, jobs, and the scheduler that brings them together."""
