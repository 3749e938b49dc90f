create or replace function balance(subject text, metric text, at timestamptz default now())
returns balance
language plpgsql
stable
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric  metrics := case when not _is_open('balance') or _check_caller('balance') then _get_top_up_metric(balance.metric) end;
    v_balance balance;
begin
    perform _check_name('subject', balance.subject), _check_here(balance.subject), _check_time('at', balance.at, required => true);
    v_balance := (_top_up_state(v_metric, balance.subject, balance.at, clock_timestamp())).balance;
    v_balance.used := trim_scale(v_balance.used);
    v_balance.held := trim_scale(v_balance.held);
    v_balance.overrun := trim_scale(v_balance.overrun);
    v_balance.top_ups := trim_scale(v_balance.top_ups);
    v_balance.top_ups_left := trim_scale(v_balance.top_ups_left);
    v_balance.remaining := trim_scale(v_balance.remaining);
    return v_balance;
end
$$;

comment on function balance(text, text, timestamptz) is
    'Returns what a subject has of a metric at a moment: the quota of the limit named default, what is used and held in its period [since, '
    'until), overrun: what neither quota nor top-ups cover, top_ups: the top-ups active at the moment and what has come over from the '
    'period before, top_ups_left: what is left of them, and remaining: all that may still be used. Usage up to and at the moment counts; '
    'limits, top-ups and reservations are those of now, so a late event changes past balances as if it had come in time. Without a limit, '
    'quota, remaining and limited_by are null. Other limits may bind earlier: check_quota() tells. Raises UM001 for an unknown metric, '
    'UM002 for one that is no sum or count, 22004 or 22023 for a bad value, 40001 as usage() does, UM008 for a subject that is on another shard or '
    'being moved. Example: BEGIN; SELECT quota FROM '
    'meter.set_limit(''tokens'', 500); SELECT quantity FROM meter.top_up(''acct_9'', ''tokens'', 200, ''invoice_17''); SELECT outcome FROM '
    'meter.record(''acct_9'', ''tokens'', 600); SELECT quota, used, top_ups_left, remaining FROM meter.balance(''acct_9'', ''tokens'', at => '
    'clock_timestamp()); ROLLBACK;';
