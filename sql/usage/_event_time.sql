-- `near` comes from a client and may be rounded to milliseconds, so it is only a hint where to search first. Without it, or if it is wrong,
-- all events of the subject are searched.
create or replace function _event_time(subject text, metric text, event_id bigint, near timestamptz)
returns timestamptz
language plpgsql
stable
set search_path from current
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_series   integer[] := array(select s.series_id from _subject_series(_event_time.subject, _event_time.metric) s);
    v_at       timestamptz;
    v_distance interval;
begin
    -- Beyond these years there is no event, and a second more may be no time.
    foreach v_distance in array case when near between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-31 00:00:00+00'
                                     then array[interval '0', interval '1 second'] else '{}' end loop
        select found.at into v_at
        from unnest(v_series) s (series_id)
        cross join lateral (
            select e.at from events e
            where e.series_id = s.series_id and e.event_id = _event_time.event_id and e.at between near - v_distance and near + v_distance
            offset 0
        ) found;
        exit when v_at is not null;
    end loop;
    if v_at is null then
        select e.at into v_at from events e where e.series_id = any (v_series) and e.event_id = _event_time.event_id;
    end if;
    return v_at;
end
$$;

comment on function _event_time(text, text, bigint, timestamptz) is
    'Returns the time of an event of a subject, or null if the subject has no such event. The search begins at and around `near`.';
