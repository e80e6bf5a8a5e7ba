"""What integrations of several kinds of APIs share: functions, HTTP backends, AWS services."""
