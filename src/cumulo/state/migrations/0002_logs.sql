-- CloudWatch Logs: streams and their events, too many for memory.
CREATE TABLE log_streams (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: chunks of a deleted stream stay hidden
    group_id    INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    first_ms    INTEGER,
    last_ms     INTEGER,
    ingested_ms INTEGER,
    small       INTEGER NOT NULL DEFAULT 0,         -- chunks written since the stream was last compacted
    UNIQUE (group_id, name)
);
CREATE INDEX log_streams_last ON log_streams (group_id, coalesce(last_ms, 0), name);
CREATE INDEX log_streams_small ON log_streams (small) WHERE small >= 32;

-- A chunk is a run of one stream's events, sorted by time; `seq` is the lowest event number in it.
CREATE TABLE log_chunks (
    id           INTEGER PRIMARY KEY,
    group_id     INTEGER NOT NULL,
    stream_id    INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    ingestion_ms INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    data         BLOB    NOT NULL
);
CREATE INDEX log_chunks_stream_first ON log_chunks (stream_id, first_ms);
CREATE INDEX log_chunks_stream_last ON log_chunks (stream_id, last_ms);
CREATE INDEX log_chunks_group_first ON log_chunks (group_id, first_ms);
CREATE INDEX log_chunks_group_last ON log_chunks (group_id, last_ms);

-- What was deleted by name and still has to be swept: a whole group (stream_id 0) or one stream.
CREATE TABLE log_garbage (
    group_id  INTEGER NOT NULL,
    stream_id INTEGER NOT NULL,
    PRIMARY KEY (group_id, stream_id)
) WITHOUT ROWID;
