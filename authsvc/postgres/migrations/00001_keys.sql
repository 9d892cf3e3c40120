-- The tables of the auth service, in a schema of their own (internal/pgdb).
--
-- Every unique constraint and join contains the workspace, so that the tables can be distributed by it. A digest is
-- therefore unique only within its workspace. 190 random bits make secrets unique across workspaces.

-- +goose Up

-- A deleted key remains as a tombstone with its id and revision, until every keyring that follows has seen the deletion.
CREATE TABLE keys (
    workspace_id text    NOT NULL,
    id           uuid    NOT NULL,
    revision     bigint  NOT NULL,
    deleted      boolean NOT NULL DEFAULT false,
    size         bigint  NOT NULL DEFAULT 0, -- the bytes that quotas and pages count; 0 for deleted keys
    name         text    NOT NULL,
    name_lower   text    NOT NULL, -- by the rules of Unicode, for searches
    description  text    NOT NULL,
    external_id  text    NOT NULL,
    metadata     text    NOT NULL, -- a JSON object of strings, or empty
    scopes       text[]  NOT NULL,
    all_agents   boolean NOT NULL,
    agent_ids    text[]  NOT NULL,
    disabled     boolean NOT NULL,
    expire_time  timestamptz,
    create_time  timestamptz,
    update_time  timestamptz,
    PRIMARY KEY (workspace_id, id)
);

CREATE INDEX keys_revision ON keys (revision);
CREATE INDEX keys_deleted ON keys (revision) WHERE deleted;
CREATE INDEX keys_external_id ON keys (workspace_id, external_id) WHERE external_id <> '';
CREATE INDEX keys_size ON keys (workspace_id) INCLUDE (size) WHERE NOT deleted; -- for quotas

-- Position 0 is the key's newest secret. Every change to a key rewrites its secrets with the key's revision, so that
-- both tables can be read in the order of revisions.
CREATE TABLE secrets (
    workspace_id text     NOT NULL,
    key_id       uuid     NOT NULL,
    revision     bigint   NOT NULL,
    position     smallint NOT NULL,
    digest       bytea    NOT NULL CHECK (octet_length(digest) = 32),
    last4        text     NOT NULL,
    create_time  timestamptz,
    expire_time  timestamptz,
    PRIMARY KEY (workspace_id, key_id, position),
    UNIQUE (workspace_id, digest)
);

CREATE INDEX secrets_revision ON secrets (revision, position);

-- The newest revision. A transaction that changes a key locks this row until its commit, so revisions are in the order
-- of commits. Changes to keys therefore wait for each other, across workspaces. They are rare; checks do not read this.
CREATE TABLE revision (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    value bigint  NOT NULL
);
INSERT INTO revision (value) VALUES (0);

-- The revisions of the last day, and the newest one before it, each with a random mark. A keyring follows from a revision
-- that is here with the mark that it knows. After a failover or a restore that lost revisions it is not: a later change takes
-- the same number with another mark.
CREATE TABLE history (
    revision bigint      PRIMARY KEY,
    mark     uuid        NOT NULL DEFAULT gen_random_uuid(),
    time     timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO history (revision) VALUES (0);
CREATE INDEX history_time ON history (time);

-- The ids of requests that were carried out. They are kept for a day.
CREATE TABLE key_requests (
    workspace_id text        NOT NULL,
    request_id   uuid        NOT NULL,
    key_id       uuid        NOT NULL,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, request_id)
);

-- The key of report tokens.
CREATE TABLE token_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea   NOT NULL CHECK (octet_length(key) = 32)
);

-- +goose Down
DROP TABLE token_key;
DROP TABLE key_requests;
DROP TABLE history;
DROP TABLE revision;
DROP TABLE secrets;
DROP TABLE keys;
