-- The tables of the auth service, in a schema of their own (internal/pgdb).
--
-- Everything unique or joined carries the workspace, so that the tables can be distributed by it. Therefore a digest
-- is unique in its workspace only: that no two secrets of any workspace are the same is up to their 190 random bits.

-- +goose Up

-- A deleted key stays as a tombstone, so that followers learn of it: its id, its revision and nothing personal.
CREATE TABLE keys (
    workspace_id text    NOT NULL,
    id           uuid    NOT NULL,
    revision     bigint  NOT NULL,
    deleted      boolean NOT NULL DEFAULT false,
    name         text    NOT NULL,
    name_lower   text    NOT NULL, -- of Unicode, for searches
    description  text    NOT NULL,
    external_id  text    NOT NULL,
    metadata     text    NOT NULL, -- a JSON object of strings; empty = none
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
CREATE INDEX keys_external_id ON keys (workspace_id, external_id) WHERE external_id <> '';

-- position 0 is the key's newest secret. revision is the key's: a change of a key writes its secrets anew, so that
-- a follower finds both in the order in which it wants them.
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

-- The newest revision. Whoever changes a key holds this row from the moment he takes the next revision until his
-- commit: so revisions are in the order of commits, and changes to keys wait for each other, all workspaces'. They
-- are rare beside checks, which never come here.
CREATE TABLE revision (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    value bigint  NOT NULL
);
INSERT INTO revision (value) VALUES (0);

-- Which requests of callers were carried out, so that none is twice. They are kept for a day.
CREATE TABLE key_requests (
    workspace_id text        NOT NULL,
    request_id   uuid        NOT NULL,
    key_id       uuid        NOT NULL,
    create_time  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, request_id)
);

-- What encrypts report tokens.
CREATE TABLE token_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea   NOT NULL CHECK (octet_length(key) = 32)
);

-- +goose Down
DROP TABLE token_key;
DROP TABLE key_requests;
DROP TABLE revision;
DROP TABLE secrets;
DROP TABLE keys;
