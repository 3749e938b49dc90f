create or replace function grant_credit(
    subject text,
    amount numeric,
    currency text,
    idempotency_key text,
    priority integer default 50,
    since timestamptz default null,
    expires_at timestamptz default null,
    source text default 'paid',
    reason text default null
)
returns credit
language plpgsql
volatile
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_stored credits;
    v_new    credits;
begin
    if _is_open('grant_credit') then perform _check_caller('grant_credit'); end if;
    perform _check_read_committed('granting credit'),
        _check_credit(grant_credit.subject, grant_credit.amount, grant_credit.currency, grant_credit.idempotency_key, grant_credit.priority,
                      grant_credit.since, grant_credit.expires_at, grant_credit.source, grant_credit.reason),
        _lock_sealed(grant_credit.subject);
    v_new.subject := grant_credit.subject;
    v_new.amount := trim_scale(grant_credit.amount);
    v_new.currency := grant_credit.currency;
    v_new.idempotency_key := grant_credit.idempotency_key;
    v_new.priority := grant_credit.priority;
    v_new.since := coalesce(grant_credit.since, now());
    v_new.expires_at := grant_credit.expires_at;
    v_new.source := grant_credit.source;
    v_new.reason := grant_credit.reason;
    select * into v_stored
    from credits c
    where c.subject = grant_credit.subject and c.idempotency_key = grant_credit.idempotency_key;
    if found then
        v_new.since := coalesce(grant_credit.since, v_stored.since);
        perform _check_same_credit(v_stored, v_new);
        return _credit(v_stored.credit_id);
    end if;
    perform _check_credit_times(v_new.since, v_new.expires_at);
    insert into credits (recorded_at, since, expires_at, priority, subject, idempotency_key, currency, source, recorded_by, reason, amount)
    values (_history_recorded_at(v_new.subject), v_new.since, v_new.expires_at, v_new.priority, v_new.subject, v_new.idempotency_key,
            v_new.currency, v_new.source, _session_role(), v_new.reason, v_new.amount)
    returning * into v_new;
    perform _log_change('grant_credit', v_new.subject, null, to_jsonb(v_new));
    return _credit(v_new.credit_id);
end
$$;

comment on function grant_credit(text, numeric, text, text, integer, timestamptz, timestamptz, text, text) is
    'Gives a subject money that pays its next statements, before tax, and returns the credit. amount: in currency (ISO 4217), with its decimals. '
    'idempotency_key: a repetition with the same key is the same credit and changes nothing. It pays for periods that end after since (null: now) '
    'and not after expires_at (null: it never expires). Of several, the lower priority is drawn first, then the one that expires earlier, '
    'promotional before paid, the earlier since. source: paid or promotional. Raises UM005 if the key was used for another credit, 22004 or 22023 '
    'for a bad value, 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 if the subject is being closed, UM008 for a subject that is on '
    'another shard or being moved. Example: BEGIN; SELECT amount, '
    'remaining, currency, source FROM meter.grant_credit(''acct_1'', 50, ''EUR'', ''welcome'', source => ''promotional''); ROLLBACK;';
