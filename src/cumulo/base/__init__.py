"""What every room may use: names, time, errors, limits and the ports between services."""
