create or replace function top_ups(subject text, metric text, at timestamptz default now())
returns setof active_top_up
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('top_ups') or _check_caller('top_ups') then _get_top_up_metric(top_ups.metric) end;
    v_state  top_up_state;
    t        top_ups;
begin
    perform _check_name('subject', top_ups.subject), _check_here(top_ups.subject), _check_time('at', top_ups.at, required => true);
    v_state := _top_up_state(v_metric, top_ups.subject, top_ups.at, clock_timestamp());
    if (v_state.draw).rollover > 0 then
        return next (null::bigint, v_metric.key, top_ups.subject, null::text, trim_scale((v_state.draw).rollover),
            trim_scale((v_state.draw).rollover - (v_state.draw).rollover_left), trim_scale((v_state.draw).rollover_left), null::integer,
            (v_state.balance).since, (v_state.balance).until, 'rollover', null::text, null::timestamptz)::active_top_up;
    end if;
    for n in 1 .. cardinality(v_state.top_ups) loop
        t := v_state.top_ups[n];
        if _is_active(t, top_ups.at) then
            return next (t.top_up_id, t.metric, t.subject, t.idempotency_key, t.quantity, trim_scale(t.quantity - (v_state.draw).top_ups_left[n]),
                trim_scale((v_state.draw).top_ups_left[n]), t.priority, t.since, t.expires_at, t.source, t.reason, t.created_at)::active_top_up;
        end if;
    end loop;
end
$$;

comment on function top_ups(text, text, timestamptz) is
    'Returns the top-ups of a subject and metric that are active at a moment, in the order in which they are used, with what is used and left of '
    'each '
    'then; first, with the source rollover and without an id, what the period before has left over. Those that are void are left out. Raises UM001 '
    'for an unknown metric, UM002 for one that is no sum or count, 22004 or 22023 for a bad value, 40001 as usage() does, UM008 for a subject that '
    'is on another shard or being moved. Example: BEGIN; '
    'SELECT quantity FROM meter.top_up(''acct_9'', ''tokens'', 200, ''invoice_17''); SELECT quantity, used, remaining, source FROM '
    'meter.top_ups(''acct_9'', ''tokens''); ROLLBACK;';
