-- +goose Up

-- Rows are read and deleted in the order of the primary key: WITHOUT ROWID makes the table itself that index.
CREATE TABLE request_logs (
    workspace_id TEXT    NOT NULL,
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    key_id       BLOB, -- NULL where no key was proved
    key_name     TEXT    NOT NULL,
    key_last4    TEXT    NOT NULL,
    external_id  TEXT    NOT NULL,
    agent_type   TEXT    NOT NULL,
    agent_id     TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    endpoint     TEXT    NOT NULL,
    status       INTEGER NOT NULL, -- 0 = in progress
    error_code   TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    latency_us   INTEGER, -- NULL = not reported
    call_count   INTEGER NOT NULL, -- how many calls the row stands for
    from_report  INTEGER NOT NULL, -- 1 = the description was made from a report alone
    PRIMARY KEY (workspace_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_logs_by_key ON request_logs (workspace_id, key_id, id) WHERE key_id IS NOT NULL;

-- Users mostly search for failed calls, and most calls do not fail.
CREATE INDEX request_logs_failed ON request_logs (workspace_id, id) WHERE status >= 400 OR error_code <> '';

-- +goose Down
DROP TABLE request_logs;
