create or replace function _is_known_subject(name text)
returns boolean
language plpgsql
volatile  -- sees what was committed while locks were waited for
set search_path from current
as $$
#variable_conflict use_column
begin
    return exists (select from metrics m cross join lateral (
                       select from series s where s.metric = m.key and s.subject = _is_known_subject.name limit 1) s)
        or exists (select from sealed_subjects t where t.subject = _is_known_subject.name)
        or exists (select from limited_subjects t where t.subject = _is_known_subject.name)
        or exists (select from reservations t where t.subject = _is_known_subject.name)
        or exists (select from limits t where t.subject = _is_known_subject.name)
        or exists (select from budgets t where t.subject = _is_known_subject.name)
        or exists (select from budget_judgements t where t.subject = _is_known_subject.name)
        or exists (select from api_keys t where t.subject = _is_known_subject.name)
        or exists (select from plan_prices t where t.subject = _is_known_subject.name)
        or exists (select from spike_alerts t where t.subject = _is_known_subject.name)
        or exists (select from report_subjects t where t.subject = _is_known_subject.name)
        or exists (select from reported t where t.subject = _is_known_subject.name)
        or exists (select from correction_entries t where t.subject = _is_known_subject.name)
        or exists (select from deliveries t where t.subject = _is_known_subject.name)
        or exists (select from notifications t where t.subject = _is_known_subject.name);
end
$$;

comment on function _is_known_subject(text) is 'Whether something is stored of a subject with that text.';

create or replace function _check_erased_names(subject text, pseudonym text)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if not _is_known_subject(_check_erased_names.subject) then
        raise exception using errcode = 'UM007', message = 'no such subject', column = 'subject',
            detail = format('subject %s.', quote_literal(left(_check_erased_names.subject, 80))),
            hint = 'Nothing is stored of it. A subject that has been erased has only its pseudonym.';
    elsif _is_known_subject(_check_erased_names.pseudonym)
        or exists (select from report_lanes l where l.customer = _check_erased_names.pseudonym)
    then
        perform _raise_pseudonym_taken(_check_erased_names.pseudonym);
    end if;
end
$$;

comment on function _check_erased_names(text, text) is 'Raises UM007 for an unknown subject, 22023 for a pseudonym that is a subject or a customer.';

create or replace function _raise_pseudonym_taken(pseudonym text)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    raise exception using errcode = '22023', message = 'the pseudonym is in use', column = 'pseudonym',
        detail = format('pseudonym %s.', quote_literal(left(pseudonym, 80))),
        hint = 'Choose a text that is no subject and no customer: two subjects cannot become one.';
end
$$;

comment on function _raise_pseudonym_taken(text) is 'Raises 22023: the pseudonym is a subject already.';

-- What is staged would write its texts when it is approved. A push whose customer is the subject's text has to keep it until it has been sent.
-- Where the customer is another text, the subject's name is not sent, and what is queued goes on under the pseudonym.
create or replace function _check_nothing_open(subject text, series_ids integer[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
declare
    v_correction bigint := (
        select min(e.correction_id) from correction_entries e join corrections c on c.correction_id = e.correction_id
        where e.subject = _check_nothing_open.subject and c.state = 'open');
    v_billers    text[] := array(
        select b.biller from billers b
        left join report_subjects r on r.biller = b.biller and r.subject = _check_nothing_open.subject
        where r.customer = _check_nothing_open.subject or r.customer is null and b.subject_is_customer);
begin
    if v_correction is not null then
        raise exception using errcode = '55000', message = 'a correction of the subject is open', column = 'subject',
            detail = format('subject %s, correction %s.', quote_literal(left(_check_nothing_open.subject, 80)), v_correction),
            hint = 'Approve or reject it first: what it would write has texts of the subject.';
    elsif exists (
            select from pushes p
            where p.subject = _check_nothing_open.subject and p.customer = _check_nothing_open.subject and p.settled_at is null)
        or v_billers <> '{}' and exists (
            select from unreported u where u.series_id = any (series_ids) and u.biller = any (v_billers))
        or v_billers <> '{}' and exists (
            select from unbilled_statements q
            where q.biller = any (v_billers)
              and q.subject_id = (select w.subject_id from sealed_subjects w where w.subject = _check_nothing_open.subject))
    then
        raise exception using errcode = '55000', message = 'usage of the subject is yet to be reported', column = 'subject',
            detail = format('subject %s: the biller knows it by this text.', quote_literal(left(_check_nothing_open.subject, 80))),
            hint = 'Report it first (pymeter report); leave_pushes() and resolve_push() end what is held or uncertain.';
    end if;
end
$$;

comment on function _check_nothing_open(text, integer[]) is
    'Raises 55000 while a correction of a subject is open, or usage is to be sent to a biller whose customer the subject''s text is. series_ids: of '
    'the subject.';
