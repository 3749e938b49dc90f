create or replace function _queue_corrected(drifts rollup_drift[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    insert into unreported (at, subject, metric, biller)
    select d.bucket_start, d.subject, d.metric, b.biller
    from unnest(drifts) d
    join metrics m on m.key = d.metric and m.billers is not null
    cross join unnest(m.billers) b (biller)
    where d.bucket in (m.period, _fine_bucket(m.period, m.rollup));
end
$$;

comment on function _queue_corrected(rollup_drift[]) is
    'Queues the buckets that rebuild() corrects: what was reported of them may have been too little or too much.';
