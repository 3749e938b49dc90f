-- Sessions that run at the same time have different numbers in pg_locks, and these are small, so up to 64 of them have a stripe each. Looking
-- it up costs more than recording, so the session keeps it in a setting; one that is set to another stripe costs waiting, no more, and what is
-- no stripe is not used.
create or replace function _session_stripe()
returns smallint
language plpgsql
volatile
set search_path from current
as $$
declare
    v_kept text := current_setting('pymeter.stripe', true);
begin
    if v_kept ~ '^[1-9][0-9]?$' then
        return v_kept;
    end if;
    select 1 + split_part(l.virtualtransaction, '/', 1)::integer % 64 into strict v_kept
    from pg_locks l
    where l.locktype = 'virtualxid' and l.pid = pg_backend_pid();
    perform set_config('pymeter.stripe', v_kept, false);
    return v_kept;
end
$$;

comment on function _session_stripe() is 'The stripe to which this session writes: 1 to 64, or what is set in pymeter.stripe, up to 99.';

-- Row 0 tells whether there are others. Like every row of series it is locked in order, so this is not done where rows are created.
create or replace function _note_stripes(series_id integer)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    -- This lock keeps maintain() from deleting the last stripe; other recorders do not wait for it.
    perform from series s where s.series_id = _note_stripes.series_id and s.stripe = 0 and s.has_stripes for key share;
    if not found then
        update series s set has_stripes = true, is_ordinary = false, version = s.version + 1
        where s.series_id = _note_stripes.series_id and s.stripe = 0;
    end if;
    -- A watermark may have been drawn while this waited, by a transaction that could not see the new row.
    update series s set recorded_after = z.recorded_after
    from series z
    where z.series_id = _note_stripes.series_id and z.stripe = 0 and s.series_id = _note_stripes.series_id and s.stripe > 0
      and s.recorded_after < z.recorded_after;
end
$$;

comment on function _note_stripes(integer) is 'Notes that a series has a row above 0, which this transaction has created.';

-- Row by row, because row 0 of a series that has a new stripe is locked before that one, and in its own way.
create or replace function _lock_stripes(amounts rollups[], created integer[])
returns boolean
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_row record;
begin
    for v_row in
        select series_id, stripe, bool_or(is_added_to) as is_added_to, bool_or(has_new_stripe) as has_new_stripe
        from (
            select a.series_id, a.stripe, true as is_added_to, false as has_new_stripe from unnest(amounts) a
            union all
            select c, 0, false, true from unnest(created) c
        ) r
        group by series_id, stripe
        order by series_id, stripe
    loop
        if v_row.has_new_stripe then
            perform _note_stripes(v_row.series_id);
        end if;
        if v_row.is_added_to then
            perform from series s where s.series_id = v_row.series_id and s.stripe = v_row.stripe for update;
            if not found then
                return false;
            end if;
        end if;
    end loop;
    return true;
end
$$;

comment on function _lock_stripes(rollups[], integer[]) is
    'Locks the rows of series that amounts belong to, and notes new stripes, in the order of the whole package. Returns false if maintain() has '
    'deleted one of the rows.';
