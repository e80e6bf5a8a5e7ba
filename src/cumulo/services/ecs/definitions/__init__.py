"""Task definitions: what may be registered, how it is shown, and what becomes of it."""
