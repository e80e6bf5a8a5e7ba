"""The budgets of ARCHITECTURE.md, each a ratio measured in one run against a floor or a peer."""
