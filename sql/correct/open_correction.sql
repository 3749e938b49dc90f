create or replace function open_correction(reason text, idempotency_key text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_digest uuid := _digest(open_correction.idempotency_key);
    v_found  corrections;
    v_id     bigint;
begin
    if _is_open('open_correction') then perform _check_caller('open_correction'); end if;
    perform _check_name('reason', open_correction.reason, 10000);
    if open_correction.idempotency_key is not null then
        perform _check_name('idempotency_key', open_correction.idempotency_key, 512);
    end if;
    insert into corrections (state, reason, opened_by, digest) values ('open', open_correction.reason, _session_role(), v_digest)
    on conflict (digest) where digest is not null do nothing
    returning correction_id into v_id;
    if v_id is null then
        select * into v_found from corrections c where c.digest = v_digest;
        if v_found.reason <> open_correction.reason then
            raise exception using
                errcode = 'UM005', message = 'the idempotency key was used for another correction', column = 'idempotency_key',
                detail = format('correction %s, reason %s.', v_found.correction_id, quote_literal(left(v_found.reason, 80))),
                hint = 'Use another key.';
        end if;
        v_id := v_found.correction_id;
    end if;
    return v_id;
end
$$;

comment on function open_correction(text, text) is
    'Opens a correction: changes that are staged with stage_correction(), looked at with preview_correction(), and count once another person, or '
    'the same, has approved them with approve_correction(). reason: why, 1 to 10,000 characters. idempotency_key: a repeat with the same key is '
    'the same correction. Returns its id. Raises 22004 or 22023 for a bad value, UM005 if the key was used with another reason. '
    'Example: BEGIN; SELECT meter.open_correction(''backfill of June'') > 0 AS opened; ROLLBACK;';
