"""Java's regular expressions over clients' texts: whatever the pattern, its cost is known before or counted meanwhile."""
