-- +goose Up

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

-- One row per call; one partition per UTC day, by id, whose first 48 bits are the milliseconds of the call. Columns of fixed
-- size come first, the widest first, so that no byte is lost to alignment. A NULL latency saves nothing: the row has 8 bytes
-- less of data and 8 more of header. Collation "C": workspace ids are compared as bytes, and only ASCII letters have two cases.
CREATE TABLE request_logs (
    id           uuid     NOT NULL,
    latency_us   bigint,            -- NULL = not reported
    key_ref      bigint   NOT NULL, -- of request_log_keys; 0 where no key was proved
    call_count   integer  NOT NULL, -- how many calls the row stands for
    hour         smallint NOT NULL, -- of the UTC day, 0 to 23
    status       smallint NOT NULL, -- 0 = in progress
    from_report  boolean  NOT NULL, -- the description was made from a report alone
    workspace_id text     NOT NULL COLLATE "C",
    agent_type   text     NOT NULL COLLATE "C",
    agent_id     text     NOT NULL COLLATE "C",
    method       text     NOT NULL COLLATE "C",
    error_code   text     NOT NULL COLLATE "C",
    cause        text     NOT NULL COLLATE "C",
    endpoint     text     NOT NULL COLLATE "C",
    PRIMARY KEY (workspace_id, id)
) PARTITION BY RANGE (id);

-- The hour instead of the id: entries of one hour are equal, so the B-tree stores them once with a list of rows, in a
-- quarter of the bytes.
CREATE INDEX request_logs_by_key ON request_logs (workspace_id, key_ref, hour);
CREATE INDEX request_logs_failed ON request_logs (workspace_id, (status / 100), id) WHERE status >= 400;
CREATE INDEX request_logs_failed_by_key ON request_logs (workspace_id, key_ref, (status / 100), id) WHERE status >= 400;
CREATE INDEX request_logs_denied ON request_logs (workspace_id, error_code, id) WHERE error_code <> '';

-- Key snapshots, each stored once. A reference is a hash of its row, so that no look-up is needed.
CREATE TABLE request_log_keys (
    workspace_id text   NOT NULL COLLATE "C",
    key_ref      bigint NOT NULL,
    key_id       uuid   NOT NULL,
    used_on      date   NOT NULL, -- the last UTC day on which a row with this reference was written
    key_name     text   NOT NULL,
    key_last4    text   NOT NULL,
    external_id  text   NOT NULL,
    PRIMARY KEY (workspace_id, key_ref)
);
CREATE INDEX request_log_keys_by_id ON request_log_keys (workspace_id, key_id);

-- +goose Down
DROP TABLE request_log_keys;
DROP TABLE request_logs;
