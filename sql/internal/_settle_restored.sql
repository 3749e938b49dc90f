-- What a lost journal sent was cut in other parts than here. The totals of a customer and hour are what counts, so what was found there is
-- taken for the earliest pushes that fit into it, and of another one a part. Found only grows, so it is settled at once.
create or replace function _settle_restored(uncertain pushes[], excess numeric, now timestamptz)
returns settled_hour
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_rest    numeric := excess;
    v_present bigint[] := array[]::bigint[];
    v_push    pushes;
    v_split   pushes;
begin
    if excess <= 0 or not exists (select from unnest(uncertain) u where u.reason = 'restored')
        or exists (select from unnest(uncertain) u where u.value <= 0) then
        return null;
    end if;
    foreach v_push in array uncertain loop
        if v_push.value <= v_rest then
            v_present := v_present || v_push.push_id;
            v_rest := v_rest - v_push.value;
        elsif v_split.push_id is null and v_push.reason = 'restored' and v_push.event_id is null then
            v_split := v_push;
        end if;
    end loop;
    if v_rest > 0 and cardinality(v_present) < cardinality(uncertain) then
        if v_split.push_id is null then
            return null;
        end if;
        perform _split_push(v_split, v_rest, _settle_restored.now);
        return _settle_found(uncertain, v_present, 1, _settle_restored.now);
    end if;
    return _settle_found(uncertain, v_present, 0, _settle_restored.now);
end
$$;

comment on function _settle_restored(pushes[], numeric, timestamptz) is
    'Resolves the uncertain pushes of an hour of a journal that has lost its end, as far as the biller''s total has what they report; null: '
    'nothing was decided. Their lane is locked.';
