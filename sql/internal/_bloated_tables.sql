create or replace function _bloated_tables()
returns table (description text)
language plpgsql
stable
set search_path from current
as $$
begin
    return query
        select format('%s: %s of %s rows are dead, last vacuumed %s', s.relname, s.n_dead_tup, s.n_live_tup + s.n_dead_tup,
                   coalesce(to_char(greatest(s.last_vacuum, s.last_autovacuum) at time zone interval '0', 'YYYY-MM-DD HH24:MI "UTC"'), 'never'))
        from pg_stat_user_tables s
        where s.schemaname = current_schema() and s.n_dead_tup > 10000 and s.n_dead_tup > 0.2 * s.n_live_tup
        union all
        select format('%s: %s %% of updates are HOT, so its indexes grow', s.relname, round(100.0 * s.n_tup_hot_upd / s.n_tup_upd))
        from pg_stat_user_tables s
        where s.schemaname = current_schema() and s.relname = 'rollups' and s.n_tup_upd > 100000
          and s.n_tup_hot_upd < 0.5 * s.n_tup_upd
        order by 1;
end
$$;

comment on function _bloated_tables() is
    'Tables of which more than a fifth, and 10,000 rows, are dead; and rollups, if most of its updates write to its indexes.';
