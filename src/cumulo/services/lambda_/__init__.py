"""AWS Lambda: functions, their environments, and what calls them."""
