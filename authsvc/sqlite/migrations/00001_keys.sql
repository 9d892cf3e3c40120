-- Times are Unix milliseconds, NULL = none. Ids and digests are their bytes. Lists are JSON text.

-- +goose Up

-- A deleted key stays as a tombstone, so that followers learn of it: its id, its revision and nothing personal.
CREATE TABLE keys (
    workspace_id TEXT    NOT NULL,
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    revision     INTEGER NOT NULL,
    deleted      INTEGER NOT NULL DEFAULT 0,
    name         TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    all_agents   INTEGER NOT NULL,
    agent_ids    TEXT    NOT NULL,
    disabled     INTEGER NOT NULL,
    expire_time  INTEGER,
    create_time  INTEGER,
    update_time  INTEGER,
    PRIMARY KEY (workspace_id, id)
) WITHOUT ROWID;

CREATE INDEX keys_revision ON keys (revision);

-- position 0 is the key's newest secret. A digest is unique across workspaces: a secret leads to one key.
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

-- The newest revision. It has a row of its own so that no revision is ever used twice, whatever becomes of the keys.
CREATE TABLE revision (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
);
INSERT INTO revision (one, value) VALUES (1, 0);

CREATE TABLE signing_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
);

-- +goose Down
DROP TABLE signing_key;
DROP TABLE revision;
DROP TABLE secrets;
DROP TABLE keys;
