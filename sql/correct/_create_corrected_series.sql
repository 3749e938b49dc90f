-- Who creates a series of a limited metric locks its subject before. The entries may never be approved, so their times leave no trace: the open
-- buckets are the earliest there can be.
create or replace function _create_corrected_series(entries correction_entries[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_new record;
begin
    select array_agg(n.metric) as metrics, array_agg(n.subject) as subjects, array_agg(0::smallint) as stripes,
           array_agg(timestamptz '1970-01-01 00:00:00+00') as at, array_agg(distinct n.subject) filter (where n.limited) as limited
    into v_new
    from (
        select e.metric, e.subject, m.limited
        from unnest(entries) e
        join metrics m on m.key = e.metric
        where e.entry in ('adjust', 'record')
        group by 1, 2, 3
    ) n
    left join lateral (
        select s.series_id from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = 0 offset 0
    ) s on true
    where s.series_id is null;
    if v_new.limited is not null then
        perform _enter_limited_subjects(v_new.limited);
    end if;
    if v_new.metrics is not null then
        perform _create_series(v_new.metrics, v_new.subjects, v_new.stripes, v_new.at);
    end if;
end
$$;

comment on function _create_corrected_series(correction_entries[]) is
    'Creates the series of entries that record or adjust, where there is none yet.';
