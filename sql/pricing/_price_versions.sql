-- Who draws a watermark holds the row FOR SHARE. So a price is later than every watermark that was drawn without it, and who draws one afterwards
-- sees it.
create or replace function _prices_recorded_at()
returns timestamptz
language plpgsql
volatile
set search_path from current
set lock_timeout to '2s'
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using
            errcode = '25001', message = 'prices are changed in a READ COMMITTED transaction',
            hint = 'Use a transaction of its own: an older snapshot may miss what others have just committed.';
    end if;
    perform _lock('prices');
    return greatest(clock_timestamp(), (select max(s.watermark) from sealed_subjects s) + interval '1 microsecond',
        (select max(p.recorded_at) from plan_prices p), (select max(m.recorded_at) from plan_minimums m));
end
$$;

comment on function _prices_recorded_at() is
    'Locks prices against other changes and against watermarks until the transaction ends, and returns the time at which the change is recorded. '
    'Raises 25001 in a REPEATABLE READ or SERIALIZABLE transaction, 55P03 after 2 seconds.';

create or replace function _keep_prices()
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    perform from locks l where l.name = 'prices' for share;
    if not found then
        insert into locks (name) values ('prices') on conflict do nothing;
        perform from locks l where l.name = 'prices' for share;
    end if;
end
$$;

comment on function _keep_prices() is 'Keeps prices from being changed until the transaction ends.';

create or replace function _price_at(plan text, item text, subject text, at timestamptz, known_at timestamptz)
returns plan_prices
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
declare
    v_price plan_prices;
begin
    if _price_at.subject is not null then
        select * into v_price
        from plan_prices p
        where p.plan = _price_at.plan and p.subject = _price_at.subject and p.item = _price_at.item and p.since <= _price_at.at
          and p.recorded_at <= _price_at.known_at
        order by p.since desc, p.price_id desc
        limit 1;
    else
        select * into v_price
        from plan_prices p
        where p.plan = _price_at.plan and p.subject is null and p.item = _price_at.item and p.since <= _price_at.at
          and p.recorded_at <= _price_at.known_at
        order by p.since desc, p.price_id desc
        limit 1;
    end if;
    return v_price;
end
$$;

comment on function _price_at(text, text, text, timestamptz, timestamptz) is
    'The version of a line of a plan (subject null) or of a subject''s own line that holds at an instant, as of a time. Its price is null if the '
    'line has ended; all is null if there is none.';

create or replace function _held_price(plan text, item text, subject text, at timestamptz, known_at timestamptz)
returns plan_prices
language plpgsql
stable
set search_path from current
as $$
declare
    v_price plan_prices;
begin
    if _held_price.subject is not null then
        v_price := _price_at(_held_price.plan, _held_price.item, _held_price.subject, _held_price.at, _held_price.known_at);
    end if;
    if v_price.price is null then
        v_price := _price_at(_held_price.plan, _held_price.item, null, _held_price.at, _held_price.known_at);
    end if;
    return v_price;
end
$$;

comment on function _held_price(text, text, text, timestamptz, timestamptz) is
    'The version of a line that holds for a subject: its own line, else the plan''s.';

create or replace function _as_plan_price(version plan_prices)
returns plan_price
language sql
immutable parallel safe
set search_path from current
as $$
    select row(version.price_id, version.plan, version.item, version.metric, version.name, version.subject, version.price, version.currency,
               version.bill, version.prorate, version.tiers_after_change, nullif(version.since, '-infinity'), version.recorded_at,
               version.recorded_by)::plan_price
$$;

comment on function _as_plan_price(plan_prices) is 'A version of a line as public functions return it.';
