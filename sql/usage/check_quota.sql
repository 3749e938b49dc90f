create or replace function check_quota(
    subject text,
    metric text,
    quota numeric default null,
    requested numeric default null,
    period text default null,
    since timestamptz default null,
    until timestamptz default null,
    timezone text default 'UTC',
    now timestamptz default now()
)
returns quota_status
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off  -- tables may be small when a plan is made, and large when it is used
as $$
#variable_conflict use_column
declare
    v_total usage_total;
    v_used  numeric;
    v_unit  text;
    v_since timestamptz;
    v_until timestamptz;
begin
    -- Fast path for the usual question: how much of the current period is used. One statement reads the only row of the series, if that has
    -- the period open. The row holds only what the metric's aggregate needs, so the first value that is there is the quantity, but for avg;
    -- _quantity() would make the call a tenth dearer. What is not answered here is checked and answered below.
    if quota between 0 and 1e1000 and (requested is null or requested between 0 and 1e1000)
        and period is null and since is null and until is null and timezone = 'UTC' and not _is_open('check_quota') then
        select trim_scale(coalesce(s.coarse_total, s.coarse_lowest, s.coarse_highest, s.coarse_latest[3])),
            s.coarse_start, nullif(s.coarse_end, 'infinity'), (
            select m.unit
            from metrics m
            where m.key = check_quota.metric and m.period = m.coarse_bucket and m.aggregate <> 'avg')
        into v_used, v_since, v_until, v_unit
        from series s
        where s.metric = check_quota.metric and s.subject = check_quota.subject and s.stripe = 0 and not s.has_stripes and s.revision > 0
          and s.coarse_count > 0 and check_quota.now >= s.coarse_start and check_quota.now < s.coarse_end;
    end if;

    if v_unit is null then
        if quota is null and (period is not null or since is not null or until is not null) then
            raise exception using errcode = '22023', message = 'a window is given without a quota', column = 'quota',
                hint = 'Pass a quota in the metric''s unit. Without one, the limits decide, each in its own period.';
        elsif quota not between 0 and 1e1000 or requested not between 0 and 1e1000 then  -- so that sums and differences stay finite
            raise exception using errcode = '22023', message = 'quota or requested is negative, not finite or too large',
                column = case when quota not between 0 and 1e1000 then 'quota' else 'requested' end,
                detail = format('quota %s, requested %s.', left(quota::text, 80), coalesce(left(requested::text, 80), 'null')),
                hint = 'Pass numbers from 0 to 1e1000, in the metric''s unit.';
        end if;
        if _is_open('check_quota') then perform _check_caller('check_quota'); end if;
        if quota is null then
            return _limit_status(check_quota.subject, check_quota.metric, check_quota.requested, check_quota.now);
        end if;
        v_total := usage(check_quota.subject, check_quota.metric, check_quota.period,
            check_quota.since, check_quota.until, check_quota.timezone, check_quota.now);
        v_used := v_total.quantity;
        v_unit := v_total.unit;
        v_since := v_total.since;
        v_until := v_total.until;
    end if;
    return (check_quota.metric, case when requested is null then v_used < quota else v_used + requested <= quota end,
            v_used, greatest(quota - v_used, 0), quota, v_unit, v_since, v_until, 0::numeric, greatest(v_used - quota, 0::numeric), null::text);
end
$$;

comment on function check_quota(text, text, numeric, numeric, text, timestamptz, timestamptz, text, timestamptz) is
    'Returns whether a subject is within a quota: used < quota, or used + requested <= quota if requested is given; both are in the '
    'metric''s unit. Without a quota, the subject''s limits decide (set_limit()), and the one that binds is returned, with its period; without a '
    'limit everything is allowed. Windows are those of usage(); since and until return the one that was checked. It reserves nothing: two concurrent '
    'callers may both be allowed. Raises 22004 or 22023 for an invalid quota or requested, and otherwise as usage() does. '
    'Example: SELECT allowed, used, remaining, since, until FROM meter.check_quota(''acct_1'', ''tokens'', 1000, period => ''day'', '
    'now => ''2026-06-18 14:00Z'');';
