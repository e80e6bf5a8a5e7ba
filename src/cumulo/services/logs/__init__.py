"""CloudWatch Logs: groups, streams and events, quick enough to sit behind every invocation."""
