-- Times are Unix milliseconds, or NULL. Ids and digests are bytes. Lists are JSON arrays.

-- +goose Up

-- A deleted key remains as a tombstone with its id and revision, until every keyring that follows has seen the deletion.
CREATE TABLE keys (
    workspace_id TEXT    NOT NULL,
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    revision     INTEGER NOT NULL,
    deleted      INTEGER NOT NULL DEFAULT 0,
    size         INTEGER NOT NULL DEFAULT 0, -- the bytes that quotas and pages count; 0 for deleted keys
    disabled     INTEGER NOT NULL,
    expire_time  INTEGER,
    create_time  INTEGER,
    update_time  INTEGER,
    name_lower   TEXT    NOT NULL, -- by the rules of Unicode, for searches
    external_id  TEXT    NOT NULL,
    all_agents   INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    metadata     TEXT    NOT NULL, -- a JSON object of strings, or empty
    agent_ids    TEXT    NOT NULL, -- last, because SQLite reads what is before a column to reach it
    PRIMARY KEY (workspace_id, id)
) WITHOUT ROWID;

CREATE INDEX keys_revision ON keys (revision);
CREATE INDEX keys_deleted ON keys (revision) WHERE deleted = 1;
CREATE INDEX keys_external_id ON keys (workspace_id, external_id) WHERE external_id <> '';
CREATE INDEX keys_size ON keys (workspace_id, size) WHERE deleted = 0; -- for quotas

-- Position 0 is the key's newest secret. A digest is unique across workspaces.
CREATE TABLE secrets (
    workspace_id TEXT    NOT NULL,
    key_id       BLOB    NOT NULL,
    position     INTEGER NOT NULL,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    last4        TEXT    NOT NULL,
    create_time  INTEGER,
    expire_time  INTEGER,
    PRIMARY KEY (workspace_id, key_id, position)
) WITHOUT ROWID;

-- The newest revision. It has a table of its own so that no revision is used twice after keys are deleted.
CREATE TABLE revision (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
);
INSERT INTO revision (one, value) VALUES (1, 0);

-- The revisions of the last day, and the newest one before it, each with a random mark. A keyring follows from a revision
-- that is here with the mark that it knows; after a restore that lost revisions it is not. Times are Unix seconds.
CREATE TABLE history (
    revision INTEGER PRIMARY KEY,
    mark     BLOB    NOT NULL DEFAULT (randomblob(16)) CHECK (length(mark) = 16),
    time     INTEGER NOT NULL DEFAULT (unixepoch())
);
INSERT INTO history (revision) VALUES (0);
CREATE INDEX history_time ON history (time);

-- The ids of requests that were carried out. They are kept for a day.
CREATE TABLE key_requests (
    workspace_id TEXT    NOT NULL,
    request_id   BLOB    NOT NULL CHECK (length(request_id) = 16),
    key_id       BLOB    NOT NULL,
    create_time  INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, request_id)
) WITHOUT ROWID;

-- The key of report tokens.
CREATE TABLE token_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
);

-- +goose Down
DROP TABLE token_key;
DROP TABLE key_requests;
DROP TABLE history;
DROP TABLE revision;
DROP TABLE secrets;
DROP TABLE keys;
