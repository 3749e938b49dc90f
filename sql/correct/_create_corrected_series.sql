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
    select array_agg(n.metric) as metrics, array_agg(n.subject) as subjects
    into v_new
    from (select distinct e.metric, e.subject from unnest(entries) e where e.entry in ('adjust', 'record')) n
    left join lateral (
        select s.series_id from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = 0 offset 0
    ) s on true
    where s.series_id is null;
    if v_new.metrics is not null then
        perform _create_empty_series(v_new.metrics, v_new.subjects);
    end if;
end
$$;

comment on function _create_corrected_series(correction_entries[]) is
    'Creates the series of entries that record or adjust, where there is none yet.';
