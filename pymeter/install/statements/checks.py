"""What has to hold before anything in the schema is used: its name, its owner, its contents."""

from __future__ import annotations

from pymeter.install.outcome import MigrateError
from pymeter.install.sources import Sources
from pymeter.install.statements.quoting import array, do, literal

# PostgreSQL cuts longer names with a notice, and two meters could then become one.
_NAME_BYTES_MAX = 63


def check_schema_name(schema: str) -> None:
    """Refuse a schema name that PostgreSQL rejects or silently shortens."""
    if not schema or "\0" in schema or len(schema.encode()) > _NAME_BYTES_MAX:
        raise MigrateError(
            f"{schema!r} is no name for a schema: it needs 1 to {_NAME_BYTES_MAX} bytes, none of them zero"
        )
    if schema.startswith("pg_") or schema == "information_schema":
        raise MigrateError(f"{schema!r} is no name for a schema: PostgreSQL keeps it for itself")


def check_owner(schema: str) -> str:
    """Refuse a schema of another role, before anything in it is used.

    Installed functions run with the rights of the installing role, and the schema's owner can add functions
    and triggers that they would use. The schema public belongs to the owner of the database.
    """
    owner_hint = (
        "Install and upgrade as the owner of the schema: connect as that role, or SET ROLE to it first"
        " (in a DSN: options=-c role=NAME). Or choose a schema of your own."
    )
    return do(
        f"""
DECLARE
    v_owner oid;
BEGIN
    SELECT nspowner INTO v_owner FROM pg_namespace WHERE nspname = {literal(schema)};
    IF v_owner = 'pg_database_owner'::regrole THEN
        SELECT datdba INTO v_owner FROM pg_database WHERE datname = current_database();
    END IF;
    IF v_owner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the schema belongs to another role',
            DETAIL = format('Schema %I belongs to %s, this is %s.', {literal(schema)}, v_owner::regrole,
                quote_ident(current_user)),
            HINT = {literal(owner_hint)};
    END IF;
END
"""
    )


def check_contents(schema: str) -> str:
    """Refuse a schema in which another role may create, or has created, something.

    A function that matches a call better than PostgreSQL's own of the same name would run instead, with the
    installer's rights. Superusers are trusted.
    """
    return do(
        f"""
DECLARE
    v_schema oid := (SELECT oid FROM pg_namespace WHERE nspname = {literal(schema)});
    v_self   oid := (SELECT oid FROM pg_roles WHERE rolname = current_user);
    v_found  text;
BEGIN
    SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ')
    INTO v_found
    FROM pg_namespace AS n CROSS JOIN aclexplode(n.nspacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE n.oid = v_schema AND a.privilege_type = 'CREATE' AND a.grantee NOT IN (n.nspowner, v_self)
      AND r.rolsuper IS NOT TRUE;
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'other roles may create objects in the schema',
            DETAIL = format('Schema %I, roles: %s.', {literal(schema)}, v_found),
            HINT = format('REVOKE CREATE ON SCHEMA %I FROM %s; or choose a schema of your own.',
                {literal(schema)}, v_found);
    END IF;

    -- pg_shdepend knows the owner of an object of any kind, but for predefined roles.
    SELECT string_agg(pg_describe_object(o.class, o.oid, 0), ', ') INTO v_found
    FROM (
        SELECT DISTINCT o.class, o.oid
        FROM (
            SELECT d.classid, d.objid, s.refobjid
            FROM pg_depend AS d
            JOIN pg_shdepend AS s ON s.classid = d.classid AND s.objid = d.objid AND s.deptype = 'o'
                AND s.refclassid = 'pg_authid'::regclass
                AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = v_schema
            UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc WHERE pronamespace = v_schema
            UNION ALL
            SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator WHERE oprnamespace = v_schema
            UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type WHERE typnamespace = v_schema
            UNION ALL SELECT 'pg_class'::regclass, oid, relowner FROM pg_class WHERE relnamespace = v_schema
        ) AS o (class, oid, owner)
        JOIN pg_roles AS r ON r.oid = o.owner
        WHERE r.oid <> v_self AND NOT r.rolsuper AND NOT (r.oid = 'pg_database_owner'::regrole AND EXISTS (
            SELECT FROM pg_database WHERE datname = current_database() AND datdba = v_self))
        LIMIT 20
    ) AS o;
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = 'the schema holds objects of other roles',
            DETAIL = format('Schema %I: %s.', {literal(schema)}, v_found),
            HINT = 'Drop them or make them yours (ALTER ... OWNER TO, REASSIGN OWNED), after looking at what '
                'they do; or choose a schema of your own.';
    END IF;
END
"""
    )


def check_names(sources: Sources) -> str:
    """Refuse, before the first installation, a schema with functions that would be replaced by ours."""
    hint = (
        "Give pymeter a schema of its own. A dump that was restored without its data is no installation:"
        " drop the schema first."
    )
    return do(
        f"""
DECLARE
    v_found text := (
        SELECT string_agg(DISTINCT p.proname, ', ') FROM pg_proc AS p
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
          AND p.proname = ANY ({array(sources.function_names)}::name[]));
BEGIN
    IF v_found IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'the schema already has functions with the names of pymeter''s',
            DETAIL = format('Schema %I has %s.', current_schema(), left(v_found, 1000)),
            HINT = {literal(hint)};
    END IF;
END
"""
    )
