-- Asynchronous invocations that were accepted and not yet carried out.  `request_id` stays the same over retries.
CREATE TABLE lambda_events (
    id             TEXT PRIMARY KEY,
    account        TEXT NOT NULL,
    region         TEXT NOT NULL,
    function       TEXT NOT NULL,
    qualifier      TEXT,
    request_id     TEXT NOT NULL,
    payload        BLOB NOT NULL,
    client_context BLOB NOT NULL,
    enqueued_at    REAL NOT NULL,
    next_at        REAL NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    throttles      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX lambda_events_due ON lambda_events (account, region, function, next_at);
