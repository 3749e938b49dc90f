create or replace function verify_statements(subject text default null)
returns setof statement_problem
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    if _is_open('verify_statements') then perform _check_caller('verify_statements'); end if;
    perform _check_scope(verify_statements.subject, null);
    return query
    select p.*
    from sealed_subjects w
    cross join lateral (
        select * from _chain_problems(w)
        union all
        select * from _log_problems(w)
        union all
        select * from _late_problems(w)
        union all
        select * from _credit_problems(w)
        offset 0
    ) p
    where (verify_statements.subject is null or w.subject = verify_statements.subject) and ((select _all_here()) or _is_here(w.subject))
    union all
    select * from _lost_statements() l where verify_statements.subject is null
    order by 2, 1, 4;
    perform _check_snapshot();
end
$$;

comment on function verify_statements(text) is
    'Checks statements and returns only what does not fit; no row means that all is as it was closed. Checked are the hash of each statement over '
    'its header and lines, the chain of hashes of each subject, late lines against the decisions, draws of credits against the lines, and every '
    'quantity against the log, read as of the statement''s watermark (not where months were dropped that it needs). subject null: all. Raises 22023 '
    'for a blank subject, 40001 as usage() does, UM008 for a subject that is on another shard or being moved. '
    'Example: SELECT count(*) AS problems FROM meter.verify_statements(''acct_1'');';
