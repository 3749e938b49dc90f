-- Locks the billers first: a mapping that begins meanwhile is either in what is compared, or queues what has come.
create or replace function _move_definitions()
returns table (name text, row_count bigint, digest numeric)
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from billers b order by b.biller for no key update;
    return query
    select 'report_metrics', d.row_count, d.digest
    from _digest_of('select r.biller, r.metric, r.event_name, r.mode, r.since from report_metrics r') d
    union all
    select 'metrics', d.row_count, d.digest
    from _digest_of('select m.key, m.aggregate, m.unit, m.period, m.rollup, m.striped, m.carry, m.after_close, m.max_future,
        m.retired_at is null as is_used, array(select b from unnest(m.billers) b order by 1) as billers from metrics m') d;
end
$$;

comment on function _move_definitions() is 'What has to be alike on both shards at the moment of a move. Locks the billers until the transaction ends.';
