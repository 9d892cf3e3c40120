-- +goose Up

-- Recent rows are read and deleted in the order of the primary key: WITHOUT ROWID makes the table itself that index.
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

-- docs/block-format.md specifies summary and data.
CREATE TABLE request_log_blocks (
    workspace_id TEXT    NOT NULL,
    first_id     BLOB    NOT NULL CHECK (length(first_id) = 16), -- the lowest id of its rows
    last_id      BLOB    NOT NULL CHECK (length(last_id) = 16), -- the highest one; blocks do not overlap
    block_id     BLOB    NOT NULL CHECK (length(block_id) = 16), -- differs for every block that was ever stored
    rows         INTEGER NOT NULL,
    summary      BLOB    NOT NULL,
    data         BLOB    NOT NULL -- the last column, so that the others are read without its pages
) STRICT;

CREATE UNIQUE INDEX request_log_blocks_by_first_id ON request_log_blocks (workspace_id, first_id);

-- Times in Unix milliseconds: 'highest' is the highest one that was seen, because a clock that goes back must not decide what
-- expires; 'expired' is the end of what was deleted last, because a clock that jumps ahead must not delete much.
CREATE TABLE request_log_times (
    name TEXT    PRIMARY KEY,
    ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE request_log_times;
DROP TABLE request_log_blocks;
DROP TABLE request_logs;
