-- Who creates a series of a limited metric locks its subject before. Nothing may ever be recorded here, so the open buckets are the earliest
-- there can be.
create or replace function _create_empty_series(metric_keys text[], subjects text[])
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_limited text[] := (
        select array_agg(distinct n.subject)
        from unnest(metric_keys, subjects) n (metric, subject) join metrics m on m.key = n.metric
        where m.limited);
begin
    if v_limited is not null then
        perform _enter_limited_subjects(v_limited);
    end if;
    perform _create_series(metric_keys, subjects, array_fill(0::smallint, array[cardinality(subjects)]),
                           array_fill(timestamptz '1970-01-01 00:00:00+00', array[cardinality(subjects)]));
end
$$;

comment on function _create_empty_series(text[], text[]) is
    'Creates series, each of a metric and a subject, to which nothing is recorded yet, unless they exist.';
