"""What happens after an answer left: access and execution logs, metrics, the meter, and the last requests to look at."""
