create or replace function _move_drifts(subject text)
returns setof text
language plpgsql
stable
set search_path from current
set work_mem to '128MB'
as $$
#variable_conflict use_column
declare
    v_scope integer[] := array(select s.series_id from _subject_series(_move_drifts.subject, null) s);
begin
    return query
    select format('%s of %s', d.bucket, d.bucket_start) from _rollup_drifts(v_scope, with_members => true) d
    union all
    select format('statement %s: %s', p.statement_id, p.what)
    from sealed_subjects w
    cross join lateral (
        select * from _chain_problems(w) union all select * from _log_problems(w)
        union all select * from _late_problems(w) union all select * from _credit_problems(w)
    ) p
    where w.subject = _move_drifts.subject;
end
$$;

comment on function _move_drifts(text) is 'What verify() and verify_statements() say of a subject that is arriving; no row: all is well.';

-- Called first in the transaction that receives something: from here on no other run does.
create or replace function _begin_receiving(subject text, run uuid)
returns table (copied_id bigint, copied_at timestamptz)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform _require_durable_commit(), _check_run(_begin_receiving.subject, _begin_receiving.run, '{arriving}');
    perform _check_arriving(_begin_receiving.subject);
    return query select m.copied_id, m.copied_at from moves m where m.subject = _begin_receiving.subject;
end
$$;

comment on function _begin_receiving(text, uuid) is 'Locks the row of a move, and returns up to where the log has been copied.';

create or replace function _note_copied(subject text, copied_id bigint, copied_at timestamptz)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    update moves m set copied_id = _note_copied.copied_id, copied_at = _note_copied.copied_at where m.subject = _note_copied.subject;
end
$$;

comment on function _note_copied(text, bigint, timestamptz) is 'Notes up to where the log of a subject has been copied; nulls: it is not known.';

-- admin_log does not count: it names objects of all kinds, and tells of the subject without being a part of it.
create or replace function _has_rows(subject text)
returns boolean
language plpgsql
volatile  -- sees what was committed while locks were waited for
set search_path from current
as $$
#variable_conflict use_column
declare
    v_table record;
    v_found boolean;
begin
    for v_table in
        select t.name, t.predicate from _moved_tables() t where t.treatment not in ('log', 'keys') and t.name <> 'admin_log'
    loop
        execute format('select exists (select from %I t where %s)', v_table.name, _moved_predicate(v_table.predicate, _has_rows.subject))
        into v_found;
        exit when v_found;
    end loop;
    return v_found;
end
$$;

comment on function _has_rows(text) is 'Whether a table that moves with a subject has a row of it.';

create or replace function _has_come(subject text)
returns boolean
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    return _has_rows(_has_come.subject) and not exists (select from moves m where m.subject = _has_come.subject);
end
$$;

comment on function _has_come(text) is 'Whether a subject is at home here and something is stored of it.';

-- The installed functions have to be the same: what one meter has written, the other reads.
create or replace function _installed_sql()
returns text
language sql
stable
set search_path from current
as $$
    select i.sql_sha256 from installation i order by i.installed_at desc limit 1
$$;

comment on function _installed_sql() is 'The digest of the functions that are installed.';
