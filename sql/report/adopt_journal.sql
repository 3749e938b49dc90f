-- The lost end of the journal may have sent pushes that are planned here, under the same identifiers, at any time since they were planned.
-- It may also have planned and sent usage of any hour that had begun.
create or replace function adopt_journal(
    biller text default 'stripe', complete boolean default false, now timestamptz default now(), force boolean default false
)
returns report_journal
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_biller billers;
    v_lanes  report_lanes[];
    v_since  timestamptz;
begin
    if _is_open('adopt_journal') then perform _check_caller('adopt_journal'); end if;
    v_biller := _lock_planning(adopt_journal.biller);
    perform _check_time('now', adopt_journal.now, required => true);
    if adopt_journal.complete is null then
        raise exception using errcode = '22004', message = 'complete is null', column = 'complete',
            hint = 'true: every push that was ever sent is in this journal. false: some may not be.';
    end if;
    perform _check_adoption(adopt_journal.biller, adopt_journal.force);
    if not adopt_journal.complete then
        v_lanes := array(
            select distinct (p.biller, p.customer, p.event_name, null, null, null, null)::report_lanes
            from pushes p where p.biller = adopt_journal.biller and p.state in ('planned', 'sending'));
        perform _lock_lanes(v_lanes);
        v_since := (
            select max(greatest(p.planned_at, p.last_attempt_at, p.settled_at)) from pushes p where p.biller = adopt_journal.biller);
        update pushes p set unsure_attempts = greatest(p.unsure_attempts, 1), unsure_since = coalesce(p.unsure_since, v_since)
        where p.biller = adopt_journal.biller and p.state in ('planned', 'sending') and p.mode <> 'last';
    end if;
    perform _require_durable_commit(), _lock_journal(adopt_journal.biller);
    update report_journals j set
        server = _journal_server(), adopted_at = adopt_journal.now, lost_since = least(j.lost_since, v_since),
        doubtful_until = case when adopt_journal.complete then j.doubtful_until
            else greatest(j.doubtful_until, _bucket_end('hour', _bucket_start('hour', _shift(adopt_journal.now, v_biller.max_ahead)))) end
    where j.biller = adopt_journal.biller;
    return report_journal(adopt_journal.biller);
end
$$;

comment on function adopt_journal(text, boolean, timestamptz, boolean) is
    'Resumes reporting from a journal that was restored, copied or failed over to this server. Stop the other server''s reporters first: '
    'two journals report the same usage twice. Usage of past and current hours that this journal has not planned may have been sent '
    'already: it is planned as uncertain, looked up in the biller''s totals, and sent if it is still missing there after the absence '
    'interval. Usage that would be sent under another hour is held (resolve_push()). With complete, such as after a planned switchover, the '
    'journal has lost nothing: nothing becomes doubtful, and what an earlier adoption made doubtful stays so. With force, a journal is '
    'adopted that is not stopped: a snapshot of a whole machine, or a backup from before the first plan, cannot be told from the '
    'original. Returns the journal''s state. Raises 55000 without force if the journal is not stopped, 22004 or 22023 for a bad value, '
    '25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT biller, stopped, adopted_at, doubtful_until FROM '
    'meter.adopt_journal(complete => true, now => ''2026-06-19 16:30+00'', force => true);';
