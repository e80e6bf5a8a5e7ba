"""Usage records, the price book and the bill."""
