create or replace function top_up(
    subject text,
    metric text,
    quantity numeric,
    idempotency_key text,
    priority integer default 50,
    since timestamptz default null,
    expires_at timestamptz default null,
    source text default 'paid',
    reason text default null
)
returns top_ups
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_metric metrics := case when not _is_open('top_up') or _check_caller('top_up') then _get_top_up_metric(top_up.metric) end;
    v_stored top_ups;
    v_new    top_ups;
begin
    perform _check_top_up(top_up.subject, top_up.quantity, top_up.idempotency_key, top_up.priority, top_up.since, top_up.expires_at, top_up.source,
                          top_up.reason);
    v_new.metric := v_metric.key;
    v_new.subject := top_up.subject;
    v_new.idempotency_key := top_up.idempotency_key;
    v_new.quantity := trim_scale(top_up.quantity);
    v_new.priority := top_up.priority;
    v_new.since := top_up.since;
    v_new.expires_at := top_up.expires_at;
    v_new.source := top_up.source;
    v_new.reason := top_up.reason;
    perform _lock_limited_subject(top_up.subject);
    select * into v_stored
    from top_ups t
    where t.subject = top_up.subject and t.metric = v_metric.key and t.idempotency_key = top_up.idempotency_key;
    if found then
        perform _check_same_top_up(v_stored, v_new);
        return v_stored;
    elsif v_new.since is null then
        v_new.since := coalesce((_raised_limit(v_metric, top_up.subject, clock_timestamp(), clock_timestamp())).since,
                                _bucket_start(v_metric.period, now()));
        perform _check_top_up(top_up.subject, top_up.quantity, top_up.idempotency_key, top_up.priority, v_new.since, top_up.expires_at,
                              top_up.source, top_up.reason);
    end if;
    insert into top_ups (metric, subject, idempotency_key, quantity, priority, since, expires_at, source, reason)
    values (v_new.metric, v_new.subject, v_new.idempotency_key, v_new.quantity, v_new.priority, v_new.since, v_new.expires_at, v_new.source,
            v_new.reason)
    returning * into v_new;
    perform _top_ups_changed(v_metric.key, top_up.subject), _log_change('top_up', top_up.subject, null, to_jsonb(v_new));
    return v_new;
end
$$;

comment on function top_up(text, text, numeric, text, integer, timestamptz, timestamptz, text, text) is
    'Gives a subject units of a metric beyond its quota: usage in [since, expires_at) may take them, once the quota of its period is used up; what '
    'is '
    'left stays when a period ends. It raises the limit named default (see sql/limits/README.md); other limits hold beside it. quantity: in the '
    'metric''s unit. idempotency_key: a repetition with the same key is the same top-up and changes nothing. Of several, the lower priority is used '
    'first, then the one that expires earlier, promotional before paid, the earlier since. since null: the start of the limit''s running '
    'period. expires_at null: never. source: paid or promotional. Returns the top-up. The subject''s recording waits until the transaction ends. '
    'Raises '
    'UM001 for an unknown metric, UM002 for one that is no sum or count, UM005 if the key was used for another top-up, 22004 or 22023 for a bad '
    'value, 55P03 as set_limit() does, UM008 for a subject that is on another shard or being moved. Example: BEGIN; SELECT quantity, priority, '
    'source FROM meter.top_up(''acct_1'', ''tokens'', 200, '
    '''invoice_17''); ROLLBACK;';
