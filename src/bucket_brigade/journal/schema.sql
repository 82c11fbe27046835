-- One job's journal, format 1. docs/journal.md explains every table and blob.

CREATE TABLE job (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    job              TEXT    NOT NULL,
    job_crc          INTEGER NOT NULL,
    epoch            INTEGER NOT NULL DEFAULT 0,
    state            TEXT    NOT NULL,
    reason           TEXT    NOT NULL DEFAULT '',
    started_ns       INTEGER NOT NULL DEFAULT 0,
    finished_ns      INTEGER NOT NULL DEFAULT 0,
    planning_done    INTEGER NOT NULL DEFAULT 0,
    planning_cursor  BLOB    NOT NULL DEFAULT x'',
    cursor_crc       INTEGER NOT NULL DEFAULT 0,
    open_batches     INTEGER NOT NULL DEFAULT 0,
    planned          INTEGER NOT NULL DEFAULT 0,
    planned_bytes    INTEGER NOT NULL DEFAULT 0,
    done             INTEGER NOT NULL DEFAULT 0,
    done_bytes       INTEGER NOT NULL DEFAULT 0,
    skipped          INTEGER NOT NULL DEFAULT 0,
    vanished         INTEGER NOT NULL DEFAULT 0,
    failed           INTEGER NOT NULL DEFAULT 0,
    retries          INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE batches (
    id          INTEGER PRIMARY KEY,
    closed      INTEGER NOT NULL DEFAULT 0,
    owner       TEXT,
    epoch       INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    states      BLOB    NOT NULL,
    states_crc  INTEGER NOT NULL,
    done        INTEGER NOT NULL DEFAULT 0,
    done_bytes  INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    vanished    INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0
);

-- The queue: what is open, by who holds it, oldest first.
CREATE INDEX open_batches ON batches (owner, id) WHERE closed = 0;

-- Apart from batches, so that a checkpoint rewrites one kilobyte and not a hundred.
CREATE TABLE transfers (
    batch_id       INTEGER PRIMARY KEY REFERENCES batches (id),
    transfers      BLOB    NOT NULL,
    transfers_crc  INTEGER NOT NULL
);

-- batch_id 0 holds what planning refused.
CREATE TABLE failures (
    batch_id    INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    PRIMARY KEY (batch_id, position)
) WITHOUT ROWID;

-- AUTOINCREMENT: the number of an ended upload is never given to another.
CREATE TABLE uploads (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_id         INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    endpoint         TEXT    NOT NULL,
    bucket           TEXT    NOT NULL,
    key              TEXT    NOT NULL,
    part_size_bytes  INTEGER NOT NULL,
    fingerprint      TEXT    NOT NULL,
    begun_ns         INTEGER NOT NULL,
    upload_id        TEXT    NOT NULL
);

CREATE INDEX uploads_by_transfer ON uploads (batch_id, position);
