"""What containers of a task reach at 169.254.170.2: metadata, credentials, task protection."""
