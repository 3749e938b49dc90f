create or replace function define_biller(
    biller text default 'stripe',
    subject_is_customer boolean default null,
    dedup_window interval default null,
    dedup_margin interval default null,
    absence interval default null,
    max_age interval default null,
    max_ahead interval default null,
    grace interval default null,
    max_digits integer default null,
    too_old text default null,
    negative text default null,
    late text default null,
    sends text default null,
    statements_since timestamptz default null
)
returns billers
language plpgsql
volatile
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    v_old    billers := case when not _is_open('define_biller') or _check_caller('define_biller') then _lock_planning(define_biller.biller) end;
    v_biller billers;
begin
    perform _check_time('statements_since', define_biller.statements_since);
    begin
        update billers b set
            subject_is_customer = coalesce(define_biller.subject_is_customer, b.subject_is_customer),
            dedup_window = coalesce(define_biller.dedup_window, b.dedup_window),
            dedup_margin = coalesce(define_biller.dedup_margin, b.dedup_margin),
            absence = coalesce(define_biller.absence, b.absence),
            max_age = coalesce(define_biller.max_age, b.max_age),
            max_ahead = coalesce(define_biller.max_ahead, b.max_ahead),
            grace = coalesce(define_biller.grace, b.grace),
            max_digits = coalesce(define_biller.max_digits, b.max_digits),
            too_old = coalesce(define_biller.too_old, b.too_old),
            negative = coalesce(define_biller.negative, b.negative),
            late = coalesce(define_biller.late, b.late),
            sends = coalesce(define_biller.sends, b.sends),
            statements_since = coalesce(define_biller.statements_since, b.statements_since)
        where b.biller = define_biller.biller
        returning * into strict v_biller;
    exception when check_violation then
        raise exception using
            errcode = '22023', message = 'invalid biller setting',
            detail = (
                select string_agg(format('%s %s', g.name, g.value), ', ' order by g.n) || '.'
                from (values
                    (1, 'dedup_window', define_biller.dedup_window::text), (2, 'dedup_margin', define_biller.dedup_margin::text),
                    (3, 'absence', define_biller.absence::text), (4, 'max_age', define_biller.max_age::text),
                    (5, 'max_ahead', define_biller.max_ahead::text), (6, 'grace', define_biller.grace::text),
                    (7, 'max_digits', define_biller.max_digits::text), (8, 'too_old', quote_literal(left(define_biller.too_old, 80))),
                    (9, 'negative', quote_literal(left(define_biller.negative, 80))), (10, 'late', quote_literal(left(define_biller.late, 80))),
                    (11, 'sends', quote_literal(left(define_biller.sends, 80)))
                ) g (n, name, value)
                where g.value is not null),
            hint = 'Durations are not negative, and dedup_margin is shorter than dedup_window. too_old: hold, restamp, leave. '
                'negative: hold, send, leave. late: send, restamp, hold. sends: usage, statements.';
    end;
    perform _change_what_is_sent(v_old, v_biller);
    -- The planner has removed usage of subjects without a customer from the queue; those that now have one are queued again.
    if v_biller.subject_is_customer and not v_old.subject_is_customer then
        perform _queue_unreported(define_biller.biller, null, null), _plan_again(define_biller.biller, null);
    end if;
    return v_biller;
end
$$;

comment on function define_biller(
    text, boolean, interval, interval, interval, interval, interval, interval, integer, text, text, text, text, timestamptz
) is
    'Creates or updates a biller''s reporting policy and returns it. A null argument leaves its setting unchanged; a new biller starts with '
    'the defaults. subject_is_customer: a subject without a mapping is its own customer. dedup_window: how long the biller recognises a '
    'repeated identifier; dedup_margin: how long before its end a push is no longer resent. absence: how long a push must be missing from '
    'the biller''s totals before it is reissued. max_age and max_ahead: how far in the past and in the future a timestamp may lie. grace: '
    'how long after the end of a period its invoice still accepts usage. max_digits: the most digits that a value may have. too_old (older '
    'than max_age): hold, restamp (send with the present time) or leave (do not send). negative (a correction below zero): hold, send or '
    'leave. late (after grace): send, restamp or hold. sends: usage, or statements: each line of a statement that is closed from now on becomes '
    'an invoice item; of periods that begin before statements_since none does, and of later ones those too that have been closed already. Raises '
    '22023 for an invalid setting, 22004 for a null name, UM002 if what it sends is changed while it is in use, 55P03 if periods are being '
    'closed all the time, 25001 in a REPEATABLE READ or SERIALIZABLE transaction. Example: SELECT biller, subject_is_customer, too_old, late, '
    'grace FROM meter.define_biller(subject_is_customer => true, grace => ''2 hours'');';
