"""How tasks are found: registrations in Cloud Map, names for pods, and Service Connect."""
