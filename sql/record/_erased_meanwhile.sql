-- Rows of series are found by subject and locked by id. Erasing the subject meanwhile leaves the row to a pseudonym.
create or replace function _is_erased(batch batch_event[], locked rollups[])
returns boolean
language plpgsql
volatile  -- sees what was committed while the rows were waited for
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return exists (
        select from (select distinct e.metric, e.subject from unnest(batch) e) n
        left join lateral (
            select s.series_id from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = 0 offset 0
        ) s on true
        left join (select distinct l.series_id from unnest(locked) l) l on l.series_id = s.series_id
        where l.series_id is null);
end
$$;

comment on function _is_erased(batch_event[], rollups[]) is 'Whether the subject of an event was erased before the rows of series were locked.';

create or replace function _batch_rows(batch batch_event[], stripe smallint)
returns rollups[]
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return array(
        select (null, 0, null, s.series_id, case when m.striped and not m.limited then _batch_rows.stripe else 0 end, m.fine_bucket, null, null, null,
                null)::rollups
        from (select distinct e.metric, e.subject from unnest(batch) e) n
        join metrics m on m.key = n.metric
        cross join lateral (
            select s.series_id from series s where s.metric = n.metric and s.subject = n.subject and s.stripe = 0 offset 0
        ) s);
end
$$;

comment on function _batch_rows(batch_event[], smallint) is
    'The rows of series that a batch adds to, each as an amount of nothing.';
