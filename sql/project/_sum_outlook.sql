create or replace function _sum_outlook(outlook usage_outlook, history usage_history, since timestamptz, until timestamptz)
returns usage_outlook
language plpgsql
immutable
set search_path from current
as $$
declare
    v_outlook  usage_outlook := outlook;
    v_start    timestamptz := greatest(_sum_outlook.since, history.first_at);
    v_passed   numeric := extract(epoch from outlook.at - v_start);
    v_days     numeric := outlook.length / 86400;
    v_total    numeric := (select sum(t) from unnest(history.totals) t);
    v_digits   integer := greatest(scale(trim_scale(outlook.used)), (select max(scale(trim_scale(t))) from unnest(history.totals) t));
    v_is_known boolean := v_passed >= 604800;
    v_spread   record;
    v_width    numeric;
    v_idle     integer := floor(extract(epoch from history.origin - history.last_at) / 86400);
begin
    if history.bucket = 'day' then
        v_digits := greatest(scale(trim_scale(outlook.used)), scale(trim_scale(round(v_total, 6))));
    end if;
    v_outlook.origin := history.origin;
    v_outlook.profile := _week_profile(history.totals, history.weeks);
    v_outlook.weekday_profile := greatest(_profile_between(v_outlook.profile, history.origin, outlook.at, _sum_outlook.until), 0);
    v_outlook.run_rate := case when v_passed >= 86400 then greatest(outlook.used * outlook.length / v_passed, 0) end;
    v_spread := _profile_spread(history, v_days);
    v_outlook.method := case when v_is_known and v_spread.has_moved then 'run_rate' else 'weekday_profile' end;
    v_outlook.expected := case v_outlook.method when 'run_rate' then v_outlook.run_rate else v_outlook.weekday_profile end;
    v_width := sqrt(
        1.645 ^ 2 * v_spread.day_variance * (v_days + v_days ^ 2 / (7 * history.weeks)) + (v_days * v_spread.drift) ^ 2
        + case when v_is_known then (v_outlook.run_rate - v_outlook.weekday_profile) ^ 2 else 0 end);
    v_outlook.low := round(greatest(v_outlook.expected - v_width, 0), v_digits);
    if v_idle >= 2 and v_idle > history.gap then
        v_outlook.low := 0;
        v_outlook.reason := format('not used for %s days: low is without any more usage', v_idle);
    end if;
    v_outlook.high := round(v_outlook.expected + v_width, v_digits);
    v_outlook.events := coalesce(v_outlook.expected * history.event_count / nullif(v_total, 0), 0);
    v_outlook.expected := round(v_outlook.expected, v_digits);
    v_outlook.run_rate := round(v_outlook.run_rate, v_digits);
    v_outlook.weekday_profile := round(v_outlook.weekday_profile, v_digits);
    return v_outlook;
end
$$;

comment on function _sum_outlook(usage_outlook, usage_history, timestamptz, timestamptz) is
    'What is expected of a sum or count in the time that is left, with a week of history at least. The run rate is expected if the level of the '
    'usage has moved and the cycle has 7 days of usage; else the weekday profile. Negative usage is not expected.';
