"""Every bound of the house that is not one of AWS's own (those live with their service)."""

MIB = 1024 * 1024

REQUEST_LINE_AND_HEADERS_BYTES_MAX = 1 * MIB  # AWS's bound for an Invoke; enough for any signed URL
HEADERS_COUNT_MAX = 200
BODY_BYTES_MAX = 80 * MIB  # a 50 MB zip as base64 in JSON is 70,167,211 bytes at the most
BODY_IN_MEMORY_BYTES_TOTAL_MAX = 512 * MIB  # of all requests together; beyond it, 503 SlowDown
CONNECTIONS_MAX = 16_384
HEADER_READ_SECONDS_MAX = 20.0
BODY_STALL_SECONDS_MAX = 60.0
IDLE_CONNECTION_SECONDS_MAX = 90.0
STOP_GRACE_SECONDS = 10.0
