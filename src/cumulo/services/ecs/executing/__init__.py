"""ExecuteCommand: a command in a running container, over Session Manager's data channel."""
