-- A value is not used up, so it has no rate. The rest of the cycle is expected to be as the same length of time before now was.
create or replace function _value_outlook(outlook usage_outlook, metric metrics, subject text)
returns usage_outlook
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_outlook  usage_outlook := outlook;
    v_series   integer := _find_series((_value_outlook.metric).key, _value_outlook.subject);
    v_open     rollups[] := _open_rollups(_value_outlook.metric, v_series);
    -- What is in the bucket that contains the instant is in used.
    v_whole    timestamptz := _bucket_start((_value_outlook.metric).fine_bucket, outlook.at);
    v_recently timestamptz := outlook.at - least(make_interval(secs => outlook.length::double precision), interval '672 hours');
    v_part     numeric := least(outlook.length / 2419200, 1);
    -- What the cycle has if nothing is recorded in it.
    v_nothing  numeric := case when outlook.used_events = 0 and not (_value_outlook.metric).carry then 0 end;
    v_recent   record;
    v_values   record;
begin
    select min(d.lowest) as lowest, max(d.highest) as highest, max(d.highest) - min(d.highest) as highest_range,
           max(d.lowest) - min(d.lowest) as lowest_range, min(d.latest) as lowest_last, max(d.latest) as highest_last,
           min(d.mean) as lowest_mean, max(d.mean) as highest_mean, sum(d.total) / nullif(sum(d.events), 0) as mean, sum(d.events) as events
    into v_values
    from (
        select floor(extract(epoch from outlook.at - b.bucket_start) / 86400) as day, min(b.lowest) as lowest, max(b.highest) as highest,
               (max(b.latest))[3] as latest, sum(b.total) as total, sum(b.event_count) as events,
               sum(b.total) / nullif(sum(b.event_count), 0) as mean
        from _buckets_between(v_series, (_value_outlook.metric).fine_bucket, v_open, outlook.at - interval '672 hours', v_whole) b
        where b.event_count > 0
        group by 1
    ) d;
    select min(b.lowest) as lowest, max(b.highest) as highest, (max(b.latest))[3] as latest into v_recent
    from _buckets_between(v_series, (_value_outlook.metric).fine_bucket, v_open, v_recently, v_whole) b
    where b.event_count > 0;
    v_outlook.method := 'recent_values';
    v_outlook.events := round(coalesce(v_values.events, 0) * outlook.length / least(outlook.history_days, 28) / 86400);
    case (_value_outlook.metric).aggregate
        when 'max' then
            v_outlook.expected := v_recent.highest;
            v_outlook.low := case when v_nothing = 0 then least(v_nothing, v_outlook.expected) end;
            v_outlook.high := greatest(v_values.highest + round(v_values.highest_range * v_part, scale(trim_scale(v_values.highest))), v_nothing);
        when 'min' then
            v_outlook.expected := v_recent.lowest;
            -- What was never negative is not expected to be.
            v_outlook.low := least(v_nothing, greatest(case when v_values.lowest >= 0 then 0 end,
                v_values.lowest - round(v_values.lowest_range * v_part, scale(trim_scale(v_values.lowest)))));
            v_outlook.high := case when v_nothing = 0 then greatest(v_nothing, v_outlook.expected) end;
        when 'last' then
            v_outlook.expected := case when outlook.used_events > 0 or (_value_outlook.metric).carry then outlook.used else v_recent.latest end;
            v_outlook.low := least(v_values.lowest_last, v_outlook.expected, v_nothing);
            v_outlook.high := greatest(v_values.highest_last, v_outlook.expected, v_nothing);
        else
            v_outlook.expected := round(v_values.mean, 6);
            v_outlook.low := round(v_values.lowest_mean, 6);
            v_outlook.high := round(v_values.highest_mean, 6);
    end case;
    return v_outlook;
end
$$;

comment on function _value_outlook(usage_outlook, metrics, text) is
    'What is expected of a max, min, last or avg in the time that is left: for max and min, the greatest or least value of the same length of time '
    'before, and at the outer end, that of 28 days and as much more as days have differed; for last, the value that holds, between the least and '
    'the greatest that a day of 28 ended with; for avg, the mean of 28 days, between those of its lowest and highest day.';

-- Most members of the days to come have been seen before: the more of them, the fewer are new. The time before begins with a bucket, which retention
-- does not drop.
create or replace function _unique_outlook(outlook usage_outlook, metric metrics, subject text, since timestamptz)
returns usage_outlook
language plpgsql
stable
set search_path from current
as $$
declare
    v_outlook usage_outlook := outlook;
    v_passed  numeric := extract(epoch from outlook.at - _unique_outlook.since);
    v_before  numeric;
begin
    select u.quantity into v_before
    from _measured_usage(_unique_outlook.metric, _unique_outlook.subject,
        _bucket_start((_unique_outlook.metric).fine_bucket, outlook.at - make_interval(secs => (v_passed + outlook.length)::double precision)),
        outlook.at, null) u;
    v_outlook.method := 'recent_values';
    v_outlook.low := 0;
    v_outlook.expected := greatest(v_before - outlook.used, 0);
    v_outlook.high := greatest(case when v_passed > 0 then ceil(outlook.used * outlook.length / v_passed) end, v_outlook.expected);
    v_outlook.events := 0;
    return v_outlook;
end
$$;

comment on function _unique_outlook(usage_outlook, metrics, text, timestamptz) is
    'How many new members are expected in the time that is left: as many as the last time of the length of the whole cycle had in all, less those of '
    'this cycle; at least none, at most as many a day as the cycle had so far.';
