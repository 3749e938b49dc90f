create or replace function _without_texts(data jsonb, subject text, pseudonym text)
returns jsonb
language sql
immutable
set search_path from current
as $$
    select replace(data::text, '"subject": ' || to_jsonb(subject)::text, '"subject": ' || to_jsonb(pseudonym)::text)::jsonb
        - '{member,idempotency_key,metadata,reason,void_reason}'::text[]
$$;

comment on function _without_texts(jsonb, text, text) is
    'A JSON object that tells of a subject, with the pseudonym for the subject, and without members, keys, metadata and reasons.';

create or replace function _corrections_of(subject text)
returns bigint[]
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return array(
        with found as (
            select distinct e.correction_id from correction_entries e where e.subject = _corrections_of.subject
        )
        select f.correction_id from found f
        union all
        select c.correction_id from found f join corrections c on c.reverts = f.correction_id);
end
$$;

comment on function _corrections_of(text) is 'The corrections that have entries of a subject, and those that take these back.';

-- A correction's reason goes if all of the correction is about the subject, or if the reason names the subject; and with it the notifications of the
-- others that the correction is about.
create or replace function _erase_corrections(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_ids     bigint[] := _corrections_of(_erase_corrections.subject);
    v_reasons bigint[];
begin
    v_reasons := array(
        select c.correction_id from corrections c
        where c.correction_id = any (v_ids) and (
            strpos(concat_ws(' ', c.reason, c.decision), _erase_corrections.subject) > 0 or not exists (
                select from correction_entries e
                where e.correction_id in (c.correction_id, c.reverts) and e.subject <> _erase_corrections.subject)));
    update correction_entries e set
        subject = _erase_corrections.pseudonym, member = null, idempotency_key = null, metadata = null, reason = null
    where e.subject = _erase_corrections.subject;
    update corrections c set reason = 'erased', decision = case when c.decision is not null then 'erased' end
    where c.correction_id = any (v_reasons);
    perform _erase_notifications(_erase_corrections.subject, _erase_corrections.pseudonym, v_reasons);
end
$$;

comment on function _erase_corrections(text, text) is
    'Gives corrections of a subject to its pseudonym, without texts and reasons, and so the notifications of the subject.';

-- The body of a delivery is made anew, also of one that is yet to be sent: the receiver learns the pseudonym, and nothing of whom it stands for.
create or replace function _erase_notifications(subject text, pseudonym text, corrections bigint[])
returns void
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_ids bigint[];
begin
    with erased as (
        update notifications n set
            subject = case when n.subject = _erase_notifications.subject then _erase_notifications.pseudonym else n.subject end,
            data = _without_texts(n.data, _erase_notifications.subject, _erase_notifications.pseudonym)
        where n.subject = _erase_notifications.subject
           or n.type like 'correction.%' and (n.data ->> 'correction_id')::bigint = any (_erase_notifications.corrections)
        returning n.notification_id
    )
    select coalesce(array_agg(e.notification_id), '{}') into v_ids from erased e;
    update deliveries d set
        subject = n.subject, lane = coalesce(n.subject, ''), body = _message_body(n, e.format),
        error = case when strpos(d.error, _erase_notifications.subject) = 0 then d.error end
    from notifications n, endpoints e
    where d.notification_id = any (v_ids) and n.notification_id = d.notification_id and e.name = d.endpoint;
    -- What is left of endpoints or notifications that are gone.
    update deliveries d set subject = _erase_notifications.pseudonym, lane = _erase_notifications.pseudonym, error = null, body = '{}'
    where d.subject = _erase_notifications.subject;
end
$$;

comment on function _erase_notifications(text, text, bigint[]) is
    'Gives notifications of a subject, and their deliveries, to its pseudonym, without texts; those of these corrections lose the reason.';

create or replace function _erase_admin_log(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
set jit to off
as $$
#variable_conflict use_column
declare
    v_named text := '"subject": ' || to_jsonb(_erase_admin_log.subject)::text;
begin
    update admin_log l set
        object = case
            when l.object = _erase_admin_log.subject
                and l.action in ('set_billing_cycle', 'subscribe', 'unsubscribe', 'top_up', 'void_top_up', 'grant_credit', 'void_credit', 'set_tax',
                                 'set_budget', 'remove_budget', 'erase_subject')
            then _erase_admin_log.pseudonym else l.object end,
        before = _without_texts(l.before, _erase_admin_log.subject, _erase_admin_log.pseudonym),
        after = _without_texts(l.after, _erase_admin_log.subject, _erase_admin_log.pseudonym)
    where strpos(l.before::text, v_named) > 0 or strpos(l.after::text, v_named) > 0
       or l.object = _erase_admin_log.subject and l.action = 'erase_subject';
end
$$;

comment on function _erase_admin_log(text, text) is 'Gives what administrators have changed of a subject to its pseudonym, without keys and reasons.';
