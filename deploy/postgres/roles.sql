-- Creates the roles of the two services, each with a schema of its own, or brings them up to date. Run it with psql, as a
-- superuser, on the database of the services: before their first start, or at any time later. Services that shared a role
-- before are stopped meanwhile.
--
--   export POSTGRES_AUTH_PASSWORD=… POSTGRES_LOGS_PASSWORD=…
--   psql --no-psqlrc --file=roles.sql postgres://postgres@localhost:5432/keytrail
--
-- The services then need nothing else: each creates its tables and partitions in its own schema.
\set ON_ERROR_STOP on
\getenv auth_password POSTGRES_AUTH_PASSWORD
\getenv logs_password POSTGRES_LOGS_PASSWORD

BEGIN;
SET LOCAL client_min_messages = warning;
-- Services that run wait behind a change of an owner that waits. If it fails, run it again.
SET LOCAL lock_timeout = '2s';
-- Two runs at once would create the same role.
SELECT pg_advisory_xact_lock(hashtext('keytrail roles')) \g /dev/null

SELECT format('CREATE ROLE %I', role) FROM (VALUES ('keytrail_auth'), ('keytrail_logs')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE keytrail_auth LOGIN PASSWORD :'auth_password';
ALTER ROLE keytrail_logs LOGIN PASSWORD :'logs_password';

CREATE SCHEMA IF NOT EXISTS keytrail_auth;
CREATE SCHEMA IF NOT EXISTS keytrail_logs;
ALTER SCHEMA keytrail_auth OWNER TO keytrail_auth;
ALTER SCHEMA keytrail_logs OWNER TO keytrail_logs;

-- The tables of services that ran as another role before.
SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, n.nspname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('keytrail_auth', 'keytrail_logs') AND c.relkind IN ('r', 'p') AND pg_get_userbyid(c.relowner) <> n.nspname \gexec

-- Postgres 14 lets every role create objects in the schema public, which the services search after their own.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('GRANT CONNECT ON DATABASE %I TO keytrail_auth, keytrail_logs', current_database()) \gexec
COMMIT;
