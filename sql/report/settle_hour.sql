-- The biller's totals lag behind, so a push that is missing from one may still be counted. It is reissued only if every total over the
-- absence interval lacked it.
create or replace function settle_hour(
    biller text,
    customer text,
    event_name text,
    hour timestamptz,
    total numeric,
    delivered_total numeric default null,
    now timestamptz default now(),
    counting_since timestamptz default null,
    identifiers text[] default null
)
returns settled_hour
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller  billers;
    v_lane    report_lanes := (settle_hour.biller, settle_hour.customer, settle_hour.event_name, null, null, null, null);
    v_totals  record;
    v_pushes  pushes[];
    v_present bigint[];
    v_unknown boolean;
    v_settled settled_hour;
begin
    if _is_open('settle_hour') then perform _check_caller('settle_hour'); end if;
    perform _check_name('biller', settle_hour.biller, 100), _check_name('customer', settle_hour.customer, 512),
        _check_name('event_name', settle_hour.event_name, 100), _check_time('hour', settle_hour.hour, required => true),
        _check_total(settle_hour.total), _check_time('now', settle_hour.now, required => true),
        _check_time('counting_since', settle_hour.counting_since), _check_read_committed();
    if _bucket_start('hour', settle_hour.hour) <> settle_hour.hour then
        raise exception using errcode = '22023', message = 'hour is not the start of an hour', column = 'hour',
            hint = 'Pass the hour as uncertain_hours() returned it.';
    end if;
    select * into v_biller from billers b where b.biller = settle_hour.biller;
    perform _lock_lanes(array[v_lane]);
    select * into v_totals from _hour_totals(settle_hour.biller, settle_hour.customer, settle_hour.event_name, settle_hour.hour);
    if v_totals.in_flight > 0 or v_totals.uncertain_pushes = 0 or settle_hour.delivered_total <> v_totals.delivered then
        return ('busy', 0, 0, v_totals.uncertain_pushes)::settled_hour;
    end if;

    v_pushes := array(
        select p from pushes p
        where p.biller = settle_hour.biller and p.customer = settle_hour.customer and p.event_name = settle_hour.event_name
          and p.stamped_at >= settle_hour.hour and p.stamped_at < _bucket_end('hour', settle_hour.hour) and p.state = 'uncertain'
        order by p.push_id);
    -- The shard that has the customer now asks the biller itself.
    perform _enter_homes(array(select distinct u.subject from unnest(v_pushes) u));
    if exists (select from unnest(v_pushes) u where not _is_home(u.subject)) then
        return ('busy', 0, 0, v_totals.uncertain_pushes)::settled_hour;
    end if;
    v_present := case
        when settle_hour.identifiers is not null then
            array(select p.push_id from unnest(v_pushes) p where p.identifier = any (settle_hour.identifiers))
        else _matching_subset(array(select push_id from unnest(v_pushes)), array(select value from unnest(v_pushes)),
                              settle_hour.total - v_totals.delivered) end;
    v_unknown := coalesce(cardinality(v_present), 0) < cardinality(v_pushes) and exists (
        select from unnest(v_pushes) p where _shift(p.unsure_since, v_biller.max_ahead) < settle_hour.counting_since);
    if v_present is null and not v_unknown then
        v_settled := _settle_doubtful(v_pushes, settle_hour.total - v_totals.delivered, settle_hour.now);
        if v_settled is not null then
            return v_settled;
        end if;
    end if;
    if v_present is null or v_unknown then
        update pushes p set
            absent_since = null, next_attempt_at = settle_hour.now + greatest(v_biller.absence / 4, interval '1 hour'),
            error = format('The total of the hour is %s; %s was delivered, %s is uncertain.',
                trim_scale(settle_hour.total), trim_scale(v_totals.delivered), trim_scale(v_totals.uncertain))
                || case when v_unknown then ' The biller began to count under this event name after they were sent.' else '' end
        where p.push_id in (select push_id from unnest(v_pushes));
        return ('unclear', 0, 0, v_totals.uncertain_pushes)::settled_hour;
    end if;
    return _settle_uncertain(v_biller, v_pushes, v_present, settle_hour.now);
end
$$;

comment on function settle_hour(text, text, text, timestamptz, numeric, numeric, timestamptz, timestamptz, text[]) is
    'Resolves the uncertain pushes of an hour from the biller''s total for it. Pushes that the total contains become resolved. Pushes that '
    'it does not contain are reissued once they have been missing for the biller''s absence interval. If no combination of pushes explains '
    'the total, or several do, all stay uncertain, with the figures in error. The verdict is present, absent, partly, waiting (missing, but '
    'not for long enough), unclear or busy (pushes are in flight, or the hour has changed). delivered_total, as uncertain_hours() returned '
    'it: nothing is decided if it has changed since. counting_since: when the biller began to count under this event name; pushes sent '
    'before are never considered missing. identifiers: those that the biller has, if it lists them; then they decide instead of the total. '
    'Raises 22004 or 22023 for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT verdict, present, absent, '
    'uncertain FROM meter.settle_hour(''stripe'', ''cus_42'', ''api_tokens'', ''2026-06-18 10:00+00'', total => 50, now => ''2026-06-19 '
    '16:30+00'');';
