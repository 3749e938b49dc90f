-- depends: 0016-invoices
-- Money that a subject has: credits, a ledger of what statements have drawn of them, and taxes.

create sequence credit_ids as bigint;
comment on sequence credit_ids is 'Numbers credits. Gaps mean nothing.';

create table credits (
    credit_id       bigint      not null default nextval('credit_ids'),
    recorded_at     timestamptz not null,
    since           timestamptz not null,
    expires_at      timestamptz,
    voided_at       timestamptz,
    statement_id    bigint,
    priority        integer     not null,
    subject         text        collate "C" not null,
    idempotency_key text        collate "C",
    currency        text        collate "C" not null,
    source          text        collate "C" not null,
    recorded_by     text        collate "C" not null,
    reason          text        collate "C",
    void_reason     text        collate "C",
    amount          numeric     not null,

    constraint credits_pkey primary key (credit_id),
    constraint credits_by_key unique (subject, idempotency_key),
    constraint a_grant_has_a_key check ((idempotency_key is null) = (statement_id is not null)),
    constraint amount_is_positive check (amount > 0),
    constraint since_is_before_expires_at check (since < expires_at),
    constraint source_is_known check (source in ('paid', 'promotional'))
);

comment on table credits is 'Money that pays a subject''s statements.';
comment on column credits.credit_id is 'Identifies the credit.';
comment on column credits.recorded_at is 'When it was granted: later than every watermark of the subject that was drawn without it.';
comment on column credits.since is 'It pays for periods that end after this.';
comment on column credits.expires_at is 'It pays for periods that end up to this; null: for ever.';
comment on column credits.voided_at is 'When what was left of it was taken back; null: it was not.';
comment on column credits.statement_id is 'The statement whose negative total it is; null: it was granted.';
comment on column credits.priority is 'Lower ones are drawn first.';
comment on column credits.subject is 'Whose.';
comment on column credits.idempotency_key is 'Makes a repeated grant_credit() the same credit; null: the credit is of a statement.';
comment on column credits.currency is 'ISO 4217: it pays for lines of this currency.';
comment on column credits.source is 'paid or promotional; of equal priority and expiry, promotional ones are drawn first.';
comment on column credits.recorded_by is 'The role that granted it, or closed the statement.';
comment on column credits.reason is 'Why it was granted, for people.';
comment on column credits.void_reason is 'Why it was taken back.';
comment on column credits.amount is 'How much it was at first.';

create sequence credit_draw_ids as bigint;
comment on sequence credit_draw_ids is 'Numbers draws of credits. Gaps mean nothing.';

create table credit_draws (
    draw_id      bigint  not null default nextval('credit_draw_ids'),
    credit_id    bigint  not null,
    statement_id bigint  not null,
    refund_of    bigint,
    amount       numeric not null,

    constraint credit_draws_pkey primary key (draw_id),
    constraint amount_is_not_zero check (amount <> 0)
);

create index credit_draws_by_credit on credit_draws (credit_id);
create index credit_draws_by_statement on credit_draws (statement_id);
create index credit_draws_refunds on credit_draws (refund_of) where refund_of is not null;

create trigger draws_are_final before update or delete on credit_draws for each row execute function _guard_statements();
create trigger draws_are_not_truncated before truncate on credit_draws for each statement execute function _guard_statements();
alter table credit_draws enable always trigger draws_are_final;
alter table credit_draws enable always trigger draws_are_not_truncated;

comment on table credit_draws is 'What statements have drawn of credits, and given back. Append-only.';
comment on column credit_draws.draw_id is 'Identifies the draw, in the order of recording.';
comment on column credit_draws.credit_id is 'The credit.';
comment on column credit_draws.statement_id is 'The statement that it paid; of a refund, the one that gave it back.';
comment on column credit_draws.refund_of is 'Of a refund: the statement whose draw it undoes, as a whole or in part; null otherwise.';
comment on column credit_draws.amount is 'How much; negative: given back.';

create sequence tax_ids as bigint;
comment on sequence tax_ids is 'Numbers versions of taxes. Gaps mean nothing.';

create table taxes (
    tax_id      bigint      not null default nextval('tax_ids'),
    recorded_at timestamptz not null,
    since       timestamptz not null,
    inclusive   boolean     not null,
    subject     text        collate "C" not null,
    name        text        collate "C" not null,
    recorded_by text        collate "C" not null,
    percent     numeric,

    constraint taxes_pkey primary key (tax_id),
    constraint percent_is_a_share check (percent >= 0 and percent <= 1000)
);

create index taxes_by_subject on taxes (subject, name, since, tax_id);

comment on table taxes is 'Versions of the taxes of subjects. Append-only, and read as plan_prices is.';
comment on column taxes.tax_id is 'Identifies the version.';
comment on column taxes.recorded_at is 'As in credits.';
comment on column taxes.since is 'From when it holds; -infinity: from the beginning.';
comment on column taxes.inclusive is 'Whether prices contain it.';
comment on column taxes.subject is 'Who pays it.';
comment on column taxes.name is 'What it is called on invoices.';
comment on column taxes.recorded_by is 'The role that recorded it.';
comment on column taxes.percent is 'How much of the net amount; null: it is not due any more.';

create type credit as (
    credit_id bigint, subject text, currency text, amount numeric, drawn numeric, remaining numeric, priority integer, since timestamptz,
    expires_at timestamptz, source text, reason text, idempotency_key text, statement_id bigint, recorded_at timestamptz, recorded_by text,
    voided_at timestamptz, void_reason text);
comment on type credit is
    'Money that pays a subject''s statements, with what statements have drawn of it. remaining: what is left; 0 if it is void. statement_id: the '
    'statement whose negative total it is, or null.';

create type tax as (
    subject text, name text, percent numeric, inclusive boolean, since timestamptz, recorded_at timestamptz, recorded_by text);
comment on type tax is 'A tax of a subject from since on; since null: from the beginning. percent null: it is not due.';

-- What invoices are computed with.

create type invoice_credit as (credit_id bigint, currency text, remaining numeric, amount numeric, source text);
comment on type invoice_credit is 'A credit that may pay an invoice.';

create type invoice_draw as (credit_id bigint, statement_id bigint, currency text, amount numeric);
comment on type invoice_draw is 'What an earlier statement has drawn of a credit, less what was given back.';

create type invoice_tax as (name text, percent numeric, inclusive boolean);
comment on type invoice_tax is 'A tax of an invoice.';

alter type invoice_basis add attribute credits invoice_credit[], add attribute draws invoice_draw[], add attribute taxes invoice_tax[];
comment on type invoice_basis is
    'All that the lines of an invoice are computed from. currencies: those that have a total in any case; by_line: the setting rounding; credits: in '
    'the order in which they are drawn; draws: what a negative total gives back, in the order of recording.';

comment on type statement_problem is
    'What does not fit. what: hash (header or lines were changed; found is the hash that they have now), chain (the previous statement is another '
    'one, or is missing), subject (the subject is another or an unknown one, or its watermark was set back), log (the log, read as of the '
    'watermark, says something else), late (a late line differs from what was decided) or credit (what was drawn of a credit, or granted, differs '
    'from the lines, or more was drawn than there was).';
