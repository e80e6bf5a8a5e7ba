"""Who may call: authorizers, policies, keys and limits, for every kind of API."""
