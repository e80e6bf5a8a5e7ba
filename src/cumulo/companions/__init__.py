"""Every AWS service that is not ours, spoken to in its own API."""
