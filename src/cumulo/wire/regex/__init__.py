"""The models' regular expressions, which are Java's: parsed here, matched without ever failing or running away."""
