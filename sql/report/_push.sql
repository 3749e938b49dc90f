create or replace function _get_push(identifier text)
returns pushes
language plpgsql
stable
set search_path from current
as $$
#variable_conflict use_column
declare
    v_push pushes;
begin
    perform _check_name('identifier', _get_push.identifier, 100);
    select * into v_push from pushes p where p.identifier = _get_push.identifier;
    if v_push.push_id is null then
        raise exception using errcode = '22023', message = 'unknown identifier', column = 'identifier',
            detail = format('identifier %s.', quote_literal(_get_push.identifier)), hint = 'Use the identifier of a row of pushes().';
    end if;
    return v_push;
end
$$;

comment on function _get_push(text) is 'Returns the push with an identifier. Raises 22004 for null, 22023 if there is none.';

create or replace function _check_undelivered(push pushes, biller text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    if (push).biller <> _check_undelivered.biller or (push).state not in ('rejected', 'held') then
        raise exception using
            errcode = '22023', message = 'the push is neither rejected nor held', column = 'identifier',
            detail = format('%s is %s, of biller %s.', (push).identifier, (push).state, quote_literal((push).biller)),
            hint = 'Only rejected and held pushes can be retried or left; the others are sent automatically or are settled.';
    end if;
end
$$;

comment on function _check_undelivered(pushes, text) is 'Refuses (22023) a push of another biller, or one that is neither rejected nor held.';

create or replace function _replace_push(
    push pushes, customer text, event_name text, stamped_at timestamptz, due_at timestamptz, reason text, now timestamptz
)
returns pushes
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_journal report_journals := _doubtful_journal((push).biller, (push).bucket_start);
    -- The lost end of the journal may have retried it already.
    v_state   text := case
        when _replace_push.reason = 'retried' and (push).planned_at < v_journal.adopted_at and (push).reason is distinct from 'restored'
            then _initial_state('planned', (push).mode, (push).bucket_start, _replace_push.stamped_at, v_journal.doubtful_until)
        else 'planned' end;
    v_new     pushes;
begin
    insert into pushes (subject, metric, biller, bucket_start, event_id, mode, identifier, customer, event_name, value, stamped_at,
                        due_at, state, reason, unsure_attempts, unsure_since, planned_at, next_attempt_at, replaces,
                        statement_id, line, description, since, until)
    values ((push).subject, (push).metric, (push).biller, (push).bucket_start, (push).event_id, (push).mode,
            _push_identifier(array[(push).identifier, _replace_push.customer, _replace_push.event_name,
                                   extract(epoch from _replace_push.stamped_at)::text]
                             || array_remove(array[extract(epoch from v_journal.adopted_at)::text], null)),
            _replace_push.customer, _replace_push.event_name, (push).value, _replace_push.stamped_at, _replace_push.due_at, v_state,
            case when v_state <> 'planned' then 'restored' end, case when v_state = 'uncertain' then 1 else 0 end,
            case when v_state = 'uncertain' then least(_replace_push.now, v_journal.lost_since) end,
            _replace_push.now, _replace_push.now, (push).push_id,
            (push).statement_id, (push).line, (push).description, (push).since, (push).until)
    returning * into v_new;
    update pushes p
    set state = 'replaced', reason = _replace_push.reason, replaced_by = v_new.push_id, settled_at = _replace_push.now
    where p.subject = (push).subject and p.push_id = (push).push_id;
    return v_new;
end
$$;

comment on function _replace_push(pushes, text, text, timestamptz, timestamptz, text, timestamptz) is
    'Replaces a push that will not be sent by a new one, which has an identifier of its own, and returns the new one. It is planned, but '
    'a retry that a lost end of the journal may have sent already is uncertain, or held if it is sent under another hour. The caller has '
    'locked the lanes of both.';

-- Equal parts give equal identifiers, so a journal that has lost its end plans the same push again under the same identifier. Everything
-- that is sent is among the parts, so pushes that send something different have different identifiers. Where totals have decided what was
-- sent, a lost push may have been taken for another, so the adoption is one of the parts: what is missing must not look like a repeat.
-- Inlined: no SET, nothing outside pg_catalog. Stable like convert_to(), or it would not be inlined.
create or replace function _push_identifier(parts text[])
returns text
language sql
stable parallel safe
as $$
    select 'pm_' || encode(substr(sha256(convert_to(parts::text, 'UTF8')), 1, 16), 'hex')::uuid
$$;

comment on function _push_identifier(text[]) is 'The identifier of a push: the first 128 bits of a SHA-256 over its parts.';

create or replace function _guard_push()
returns trigger
language plpgsql
set search_path from current
as $$
#variable_conflict use_column
begin
    if tg_op = 'UPDATE' then
        if (new.push_id, new.subject, new.metric, new.biller, new.bucket_start, new.event_id, new.mode, new.identifier,
            new.customer, new.event_name, new.value, new.stamped_at, new.statement_id, new.line, new.description, new.since, new.until)
           is not distinct from
           (old.push_id, old.subject, old.metric, old.biller, old.bucket_start, old.event_id, old.mode, old.identifier,
            old.customer, old.event_name, old.value, old.stamped_at, old.statement_id, old.line, old.description, old.since, old.until) then
            return new;
        end if;
        -- Erasing a subject. What is yet to be sent stays: the customer is another text then.
        if (new.push_id, new.metric, new.biller, new.bucket_start, new.event_id, new.mode, new.identifier, new.event_name, new.value, new.stamped_at,
            new.statement_id, new.line, new.description, new.since, new.until)
           is not distinct from
           (old.push_id, old.metric, old.biller, old.bucket_start, old.event_id, old.mode, old.identifier, old.event_name, old.value, old.stamped_at,
            old.statement_id, old.line, old.description, old.since, old.until)
           and (new.customer = old.customer or old.customer = old.subject and new.customer = new.subject and old.settled_at is not null)
           and exists (select from erasures e where e.transaction = pg_current_xact_id())
        then
            return new;
        end if;
    end if;
    raise exception using
        errcode = '42501', message = 'the content of a push cannot be changed',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'To send something else, replace the push with retry_pushes() or resolve_push().';
end
$$;

comment on function _guard_push() is 'Trigger: refuses (42501) to delete a push or to change what it sends, also for the table''s owner.';
