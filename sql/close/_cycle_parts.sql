-- A greatest, a latest or a distinct count is not used up: a hundred seats for ten days are not a hundred seats for a month. So where a cycle
-- was cut, or the plans changed within it, each part counts by its share of the whole cycle, in days of the cycle's time zone (a day of 23 hours
-- is a day).
-- Statements keep what is computed here: later changes of cycles and plans do not change them.
create or replace function _cycle_parts(
    subject text, since timestamptz, until timestamptz, known_at timestamptz, out part_starts timestamptz[], out part_weights numeric[],
    out cycle_weight numeric
)
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_cycle  invoice_cycle := _invoice_cycle(_known_cycles(_cycle_parts.subject, _cycle_parts.known_at), _cycle_parts.since);
    v_starts timestamptz[];
begin
    if (v_cycle.since, v_cycle.until) is distinct from (_cycle_parts.since, _cycle_parts.until) then
        return;
    end if;
    v_starts := _cycle_parts.since
        || _plan_changes(_cycle_parts.subject, _cycle_parts.since, _cycle_parts.until, _cycle_parts.known_at);
    if (v_cycle.whole_since, v_cycle.whole_until) = (v_cycle.since, v_cycle.until) and cardinality(v_starts) = 1 then
        return;
    end if;
    part_starts := v_starts;
    part_weights := array(
        select _local_seconds(v_cycle.timezone, p.start, lead(p.start, 1, _cycle_parts.until) over (order by p.start))
        from unnest(v_starts) p (start)
        order by p.start);
    cycle_weight := _local_seconds(v_cycle.timezone, v_cycle.whole_since, v_cycle.whole_until);
end
$$;

comment on function _cycle_parts(text, timestamptz, timestamptz, timestamptz) is
    'The parts of a billing cycle of a subject that was cut, or in which its plans changed, as of a time: their starts, their lengths, and the '
    'length of the whole cycle. Nulls for any other period, which counts as a whole.';

-- A quotient has as many decimals as its dividend, but only 16 significant digits if that has fewer.
create or replace function _share_of_cycle(weighted numeric, cycle_weight numeric)
returns numeric
language sql
immutable parallel safe
as $$
    select trim_scale(round((weighted + 0e-60) / cycle_weight, 20))
$$;

comment on function _share_of_cycle(numeric, numeric) is
    'The sum of the parts'' values, each times its length, by the length of the whole cycle; rounded to 20 decimals.';

create or replace function _plan_changes(subject text, since timestamptz, until timestamptz, known_at timestamptz)
returns timestamptz[]
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
begin
    return array(
        select distinct b.bound
        from _subscribed_times(_plan_changes.subject, _plan_changes.since, _plan_changes.until, _plan_changes.known_at) s
        cross join lateral (values (s.starts_at), (s.ends_at)) b (bound)
        where b.bound > _plan_changes.since and b.bound < _plan_changes.until
        order by b.bound);
end
$$;

comment on function _plan_changes(text, timestamptz, timestamptz, timestamptz) is
    'When the plans of a subject change within a period, after its start, as of a time.';
