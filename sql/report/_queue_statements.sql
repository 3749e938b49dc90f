-- Billers are looked at after the statements have been written. Who changes what a biller is told waits for those who write statements: so either
-- the statement is queued here, or that change finds it.
create or replace function _queue_statements(ids bigint[])
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if not exists (select from billers b where b.sends = 'statements') then
        return;
    end if;
    insert into unbilled_statements (biller, subject_id, statement_id)
    select b.biller, t.subject_id, t.statement_id
    from billers b
    cross join unnest(ids) i (statement_id)
    cross join lateral (select t.* from statements t where t.statement_id = i.statement_id offset 0) t
    where b.sends = 'statements' and t.since >= coalesce(b.statements_since, '-infinity') and _is_billable(t.statement_id);
end
$$;

comment on function _queue_statements(bigint[]) is 'Queues new statements for the billers that are told of statements.';

create or replace function _is_billable(id bigint)
returns boolean
language plpgsql
stable
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    return exists (select from statement_lines l where l.statement_id = id and l.kind <> 'total' and l.amount <> 0);
end
$$;

comment on function _is_billable(bigint) is 'Whether a statement has a line with an amount other than zero.';

create or replace function _queue_earlier_statements(biller billers)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    delete from unbilled_statements q
    using statements t
    where q.biller = (_queue_earlier_statements.biller).biller and t.statement_id = q.statement_id
      and t.since < (_queue_earlier_statements.biller).statements_since;
    insert into unbilled_statements (biller, subject_id, statement_id)
    select (_queue_earlier_statements.biller).biller, t.subject_id, t.statement_id
    from statements t
    join sealed_subjects w on w.subject_id = t.subject_id
    where t.since >= (_queue_earlier_statements.biller).statements_since and t.format = 2 and _is_billable(t.statement_id)
      and not exists (
          select from pushes p
          where p.subject = w.subject and p.biller = (_queue_earlier_statements.biller).biller and p.statement_id = t.statement_id)
    on conflict do nothing;
end
$$;

comment on function _queue_earlier_statements(billers) is
    'Queues the statements that were closed before, of periods from statements_since on, and takes those of earlier periods from the queue.';

create or replace function _change_what_is_sent(old billers, new billers)
returns void
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
begin
    if (old).sends <> (new).sends and (
        exists (select from report_metrics r where r.biller = (new).biller) or exists (select from pushes p where p.biller = (new).biller)
        or exists (select from unbilled_statements q where q.biller = (new).biller))
    then
        raise exception using errcode = 'UM002', message = 'the biller is in use', column = 'sends',
            detail = format('%s sends %s.', quote_literal((new).biller), (old).sends),
            hint = 'Define a biller with another name: each has a journal of its own.';
    elsif (new).sends = 'usage' and (new).statements_since is not null then
        raise exception using errcode = '22023', message = 'statements_since needs a biller of statements', column = 'statements_since',
            detail = format('%s sends usage.', quote_literal((new).biller)), hint = 'Pass sends => ''statements'' too.';
    elsif (new).sends = 'statements' and ((old).sends, (old).statements_since) is distinct from ((new).sends, (new).statements_since) then
        perform _lock_tables('{statements}', 'share'), _queue_earlier_statements(new);
    end if;
end
$$;

comment on function _change_what_is_sent(billers, billers) is
    'Checks and carries out a change of what a biller is told. Raises UM002 if it is in use, 22023 for statements_since without statements, 55P03 if '
    'periods are being closed all the time.';

create or replace function _plan_again(biller text, subject text)
returns void
language plpgsql
volatile
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    update unbilled_statements q set customer_missing = false
    where q.biller = _plan_again.biller and q.customer_missing and (
        _plan_again.subject is null or q.subject_id = (select w.subject_id from sealed_subjects w where w.subject = _plan_again.subject));
end
$$;

comment on function _plan_again(text, text) is 'Lets plan_pushes() look again at statements whose subject had no customer, of all subjects or one.';
