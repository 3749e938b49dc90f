create or replace function statements(
    subject text default null, since timestamptz default null, until timestamptz default null, max_rows integer default 100,
    after_id bigint default null
)
returns setof statement_header
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('statements') then perform _check_caller('statements'); end if;
    perform _check_scope(statements.subject, null), _check_max_rows(statements.max_rows);
    if statements.since is not null or statements.until is not null then
        perform resolve_window(since => statements.since, until => statements.until);
    end if;
    return query
    select h.*
    from _headers(array(
        select t.statement_id
        from statements t
        where (statements.subject is null
               or t.subject_id = (select w.subject_id from sealed_subjects w where w.subject = statements.subject))
          and ((select _all_here()) or exists (select from sealed_subjects w where w.subject_id = t.subject_id and _is_here(w.subject)))
          and (statements.since is null or t.until > statements.since) and (statements.until is null or t.since < statements.until)
          and (statements.after_id is null or t.statement_id < statements.after_id)
        order by t.statement_id desc
        limit statements.max_rows)) h;
end
$$;

comment on function statements(text, timestamptz, timestamptz, integer, bigint) is
    'Lists statements, the one that was closed last first. subject null: of all subjects. since, until: only periods that have a part in that '
    'window. At most max_rows (1 to 10,000); the next page: the statement_id of the last row as after_id. Raises 22004 or 22023 for a bad value, '
    'UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT statement_id, since, until, hash FROM meter.statements(''acct_1'');';
