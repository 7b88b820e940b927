-- Databases and roles of an installation, each with no more rights than it needs. An administrator of the server runs it, before
-- the first `cart-encounter deploy migrate`. It may be repeated, also on an installation where one role owned everything.
--
--   psql --set ON_ERROR_STOP=1 --file deploy/postgresql/roles.sql "$ADMINISTRATOR_URL"
--
-- cart_owner   owns the product's schema; for `deploy migrate` only
-- cart_app     workers, gateways and commands: reads and writes rows, cannot change the schema
-- cart_read    reports: reads rows
-- temporal     owns the databases of the Temporal server, and cannot connect to the product's
--
-- No password is set here. Give each role a client certificate (pg_hba.conf: `hostssl cart cart_app … cert`), or a password with
-- \password in psql, which sends no plain text.

\if :{?database}
\else
  \set database cart
\endif

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', name)
FROM unnest(ARRAY['cart_owner', 'cart_app', 'cart_read', 'temporal']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- Managed servers let an administrator give objects only to roles that the administrator is a member of.
SELECT format('GRANT %I TO %I', name, current_user)
FROM unnest(ARRAY['cart_owner', 'temporal']) AS name
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
\gexec

SELECT format('CREATE DATABASE %I TEMPLATE template0', name)
FROM unnest(ARRAY[:'database', 'temporal', 'temporal_visibility']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec

-- PostgreSQL lets every role connect to every database until this is revoked.
ALTER DATABASE :"database" OWNER TO cart_owner;
ALTER DATABASE temporal OWNER TO temporal;
ALTER DATABASE temporal_visibility OWNER TO temporal;
REVOKE ALL ON DATABASE :"database", temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO cart_owner, cart_app, cart_read;

\connect :database
ALTER SCHEMA public OWNER TO cart_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO cart_app, cart_read;

-- What another role made before.
SELECT format('ALTER TABLE %I.%I OWNER TO cart_owner', schemaname, tablename)
FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'cart_owner'
\gexec

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cart_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO cart_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cart_read;

-- What a migration will make.
ALTER DEFAULT PRIVILEGES FOR ROLE cart_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO cart_app;
ALTER DEFAULT PRIVILEGES FOR ROLE cart_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO cart_app;
ALTER DEFAULT PRIVILEGES FOR ROLE cart_owner IN SCHEMA public GRANT SELECT ON TABLES TO cart_read;

\connect temporal
ALTER SCHEMA public OWNER TO temporal;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT format('ALTER TABLE %I.%I OWNER TO temporal', schemaname, tablename)
FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'temporal'
\gexec

\connect temporal_visibility
ALTER SCHEMA public OWNER TO temporal;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SELECT format('ALTER TABLE %I.%I OWNER TO temporal', schemaname, tablename)
FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'temporal'
\gexec
-- A schema of the Temporal server before this file: its functions, too.
SELECT format('ALTER FUNCTION %s OWNER TO temporal', p.oid::regprocedure)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND pg_get_userbyid(p.proowner) <> 'temporal'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
\gexec
