-- A quantity is cut where segments meet by the profile of the week, so that the parts sum to the whole. What is ahead of a segment of a matrix, and
-- counts in its tiers, is not in the log yet: it is added to what was billed before.
create or replace function _projected_segments(
    basis invoice_basis, so_far segment_usage[], outlooks usage_outlook[], at timestamptz, scenario integer
)
returns setof segment_usage
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_scope   invoice_scope := basis.scope;
    v_segment invoice_segment;
    v_before  invoice_segment;
    v_usage   segment_usage;
    v_metric  metrics;
    v_outlook usage_outlook;
    v_rest    record;
    v_ahead   numeric := 0;
    v_events  numeric := 0;
begin
    for v_n in 1 .. coalesce(cardinality(basis.segments), 0) loop
        v_segment := basis.segments[v_n];
        v_usage := so_far[v_n];
        if v_n = 1 or _starts_anew(v_before, v_segment) then
            v_ahead := 0;
            v_events := 0;
        end if;
        v_before := v_segment;
        v_outlook := (select o from unnest(outlooks) o where o.metric = v_segment.metric);
        if v_segment.until > _projected_segments.at and v_outlook.method <> 'none' then
            v_metric := (select m from metrics m where m.key = v_segment.metric);
            v_rest := _segment_rest(v_metric, v_scope, v_outlook, greatest(v_segment.since, _projected_segments.at), v_segment.until, scenario);
            v_usage.quantity := _with_rest(v_metric.aggregate, v_usage.quantity, v_usage.event_count, v_rest.quantity, v_rest.events);
            v_usage.event_count := v_usage.event_count + round(v_rest.events);
            if v_usage.combinations is not null then
                v_usage.combinations := _with_mix(
                    v_usage.combinations,
                    _combined_usage(v_scope.subject, v_metric, _price_dimensions(v_segment.price), '{}',
                                    _projected_segments.at - interval '672 hours', _projected_segments.at, null),
                    coalesce(v_rest.quantity, 0), round(v_rest.events), v_ahead, v_events);
            end if;
            v_ahead := v_ahead + coalesce(v_rest.quantity, 0);
            v_events := v_events + round(v_rest.events);
        end if;
        return next v_usage;
    end loop;
end
$$;

comment on function _projected_segments(invoice_basis, segment_usage[], usage_outlook[], timestamptz, integer) is
    'The usage of each segment at the end of the cycle, at the low (scenario 1), expected (2) or high (3) usage; so_far: what there is up to an '
    'instant.';

create or replace function _segment_rest(
    metric metrics, scope invoice_scope, outlook usage_outlook, since timestamptz, until timestamptz, scenario integer,
    out quantity numeric, out events numeric
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_whole  numeric := (array[outlook.low, outlook.expected, outlook.high])[scenario];
    v_from   numeric := _outlook_share(outlook, scope.until, _segment_rest.since);
    v_to     numeric := _outlook_share(outlook, scope.until, _segment_rest.until);
    v_events numeric := coalesce(outlook.events, 0);
begin
    quantity := v_whole;
    if (metric).aggregate in ('sum', 'count') then
        quantity := round(v_whole * v_to, scale(v_whole)) - round(v_whole * v_from, scale(v_whole));
        v_events := case when outlook.expected > 0 then v_events * v_whole / outlook.expected else 0 end;
    elsif (metric).aggregate = 'unique' and _segment_rest.since > outlook.at then
        -- A segment of its own counts members anew.
        if v_whole > 0 or outlook.used > 0 then
            select case scenario when 1 then 0 else u.quantity end into quantity
            from _measured_usage((metric), scope.subject,
                _bucket_start((metric).fine_bucket, outlook.at - (_segment_rest.until - _segment_rest.since)), outlook.at, null) u;
        end if;
    elsif (metric).aggregate = 'unique' then
        quantity := round(v_whole * v_to);
    end if;
    events := v_events * (v_to - v_from);
end
$$;

comment on function _segment_rest(metrics, invoice_scope, usage_outlook, timestamptz, timestamptz, integer) is
    'What is expected of a metric in a part of the time that is left, and of how many events.';

create or replace function _outlook_share(outlook usage_outlook, ends_at timestamptz, until timestamptz)
returns numeric
language plpgsql
immutable
set search_path from current
as $$
declare
    v_whole numeric;
begin
    if _outlook_share.until = ends_at then
        return 1;
    elsif _outlook_share.until = outlook.at then
        return 0;
    end if;
    v_whole := case when outlook.profile is not null then _profile_between(outlook.profile, outlook.origin, outlook.at, ends_at) end;
    if v_whole > 0 then
        return least(greatest(_profile_between(outlook.profile, outlook.origin, outlook.at, _outlook_share.until) / v_whole, 0), 1);
    end if;
    return extract(epoch from _outlook_share.until - outlook.at) / outlook.length;
end
$$;

comment on function _outlook_share(usage_outlook, timestamptz, timestamptz) is
    'Which part of what is expected until the end of the cycle is expected until an instant: by the profile of the week, or without one by time.';
