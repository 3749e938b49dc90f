create or replace function _week_profile(totals numeric[], weeks integer)
returns numeric[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
begin
    return (
        select array_agg(p.total order by p.hour)
        from (
            select (h.n - 1) % 168 as hour, sum(h.total) / _week_profile.weeks as total
            from unnest(_week_profile.totals[673 - 168 * _week_profile.weeks :]) with ordinality h (total, n)
            group by 1
        ) p);
end
$$;

comment on function _week_profile(numeric[], integer) is
    'What the hours of the week that begins at origin have on average, in the whole weeks before it.';

-- The integral of the profile: whole weeks, whole hours, and a part of an hour.
create or replace function _profile_up_to(profile numeric[], origin timestamptz, until timestamptz)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_seconds numeric := extract(epoch from _profile_up_to.until - _profile_up_to.origin);
    v_weeks   numeric := div(v_seconds, 604800);
    v_hours   integer := div(v_seconds - v_weeks * 604800, 3600);
    v_amount  numeric;
    v_sum     numeric := 0;
    v_part    numeric := 0;
    v_hour    integer := 0;
begin
    foreach v_amount in array profile loop
        if v_hour = v_hours then
            v_part := v_sum + v_amount * (v_seconds / 3600 - v_weeks * 168 - v_hours);
        end if;
        v_sum := v_sum + v_amount;
        v_hour := v_hour + 1;
    end loop;
    return v_weeks * v_sum + v_part;
end
$$;

comment on function _profile_up_to(numeric[], timestamptz, timestamptz) is
    'The quantity from origin until a later instant, by a profile of 168 hours that repeats.';

create or replace function _profile_between(profile numeric[], origin timestamptz, since timestamptz, until timestamptz)
returns numeric
language plpgsql
immutable parallel safe
set search_path from current
as $$
begin
    return _profile_up_to(profile, origin, until) - _profile_up_to(profile, origin, since);
end
$$;

comment on function _profile_between(numeric[], timestamptz, timestamptz, timestamptz) is
    'The quantity of [since, until) by a profile of 168 hours that repeats.';

-- Of 1.645 standard deviations, 9 of 10 values of a normal distribution are within. See tests/pricing/backtest.py for what is measured.
create or replace function _profile_spread(history usage_history, days numeric, out day_variance numeric, out drift numeric, out has_moved boolean)
language plpgsql
immutable parallel safe
set search_path from current
as $$
#variable_conflict use_column
declare
    v_weeks integer := history.weeks;
    v_mean  numeric;
    v_step  numeric;
    v_last  numeric;
begin
    with days as (
        select d.day, d.day % 7 as weekday, d.day / 7 as week, d.total
        from (
            select ((h.n - 1) / 24)::integer as day, sum(h.total) as total
            from unnest(history.totals) with ordinality h (total, n)
            where h.n > 672 - 168 * v_weeks
            group by 1
        ) d
    ), means as (
        select d.*, avg(d.total) over (partition by d.weekday) as of_weekday, avg(d.total) over (partition by d.week) as of_week,
               avg(d.total) over () as of_all
        from days d
    ), weeks as (
        select m.week, min(m.of_week) as mean, lag(min(m.of_week)) over (order by m.week) as before
        from means m
        group by 1
    )
    select max(m.of_all), case when v_weeks > 1 then sum((m.total - m.of_weekday - m.of_week + m.of_all) ^ 2) / (6 * (v_weeks - 1))
                               else var_samp(m.total) end,
           max((select avg((w.mean - w.before) ^ 2) from weeks w)), max((select w.mean from weeks w order by w.week desc limit 1))
    into v_mean, day_variance, v_step, v_last
    from means m;
    if v_weeks > 1 then
        drift := sqrt(greatest(v_step - 2 * day_variance / 7, 0));
        has_moved := abs(v_last - v_mean) > 1.645 * sqrt(day_variance / 7 * (1 + 1.0 / v_weeks));
    else
        drift := abs(v_mean) / 4;
        has_moved := false;
    end if;
    drift := 1.5 * drift * (v_weeks / 2.0 + days / 14);
end
$$;

comment on function _profile_spread(usage_history, numeric) is
    'How far a profile may miss. day_variance: that of days around their weekday and week; drift: how much a day may be higher or lower in the '
    'days to come, by how the weeks have differed; has_moved: the last week is at another level than the weeks together, by more than days '
    'vary.';
