-- +goose Up

-- Recent rows: one per call; one partition per UTC day, by id, whose first 48 bits are the milliseconds of the call. Columns of
-- fixed size come first, the widest first, so that no byte is lost to alignment; then those that searches filter by: the more
-- texts precede a column, the longer it takes to find it. A NULL latency saves nothing: the row has 8 bytes less of data and 8
-- more of header. Collation "C": workspace ids are compared as bytes, and only ASCII letters have two cases.
CREATE TABLE request_logs (
    id           uuid     NOT NULL,
    key_id       uuid     NOT NULL, -- all zeros where no key was proved
    latency_us   bigint,            -- NULL = not reported
    call_count   integer  NOT NULL, -- how many calls the row stands for
    status       smallint NOT NULL, -- 0 = in progress
    from_report  boolean  NOT NULL, -- the description was made from a report alone
    workspace_id text     NOT NULL COLLATE "C",
    endpoint     text     NOT NULL COLLATE "C",
    error_code   text     NOT NULL COLLATE "C",
    agent_type   text     NOT NULL COLLATE "C",
    agent_id     text     NOT NULL COLLATE "C",
    method       text     NOT NULL COLLATE "C",
    cause        text     NOT NULL COLLATE "C",
    key_name     text     NOT NULL COLLATE "C",
    key_last4    text     NOT NULL COLLATE "C",
    external_id  text     NOT NULL COLLATE "C",
    PRIMARY KEY (workspace_id, id)
) PARTITION BY RANGE (id);

-- Sealed rows, packed by package block; partitions as above, by the lowest id of a block. Parts of data are read with
-- substring(), which reads only these where the value is not compressed again.
CREATE TABLE request_log_blocks (
    first_id     uuid    NOT NULL,
    last_id      uuid    NOT NULL, -- of the same UTC day
    block_id     uuid    NOT NULL, -- differs for every block that was ever stored
    rows         integer NOT NULL,
    workspace_id text    NOT NULL COLLATE "C",
    summary      bytea   NOT NULL,
    data         bytea   NOT NULL,
    PRIMARY KEY (workspace_id, first_id)
) PARTITION BY RANGE (first_id);
ALTER TABLE request_log_blocks ALTER COLUMN summary SET STORAGE EXTERNAL, ALTER COLUMN data SET STORAGE EXTERNAL;

-- +goose Down
DROP TABLE request_log_blocks;
DROP TABLE request_logs;
