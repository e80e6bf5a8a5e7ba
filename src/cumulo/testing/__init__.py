"""Shipped to users: a cloud inside the test process, and the pytest plugin around it."""
