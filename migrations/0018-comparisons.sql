-- depends: 0017-credits
-- What plans would cost.

alter type invoice_scope add attribute as_if text;
comment on type invoice_scope is
    'What an invoice is of: the window [since, until) of a subject, with what was known at known_at (infinity: now; as_of is null). is_cycle: the '
    'window is a billing cycle; ends_cycle: it ends with one. cycles: those that have a part in the window; next_cycle: the one that contains until. '
    'part_starts, part_weights, cycle_weight: as in statements. as_if: as if the subject had this plan, and no other, for the whole window, and there '
    'were no statements; null: as it is.';

create type plan_comparison as (
    subject text, currency_a text, amount_a numeric, currency_b text, amount_b numeric, difference numeric, pays_more bigint, pays_less bigint,
    pays_same bigint);
comment on type plan_comparison is
    'What a window costs under two plans. currency null: the plan has no prices. difference: amount_b - amount_a; null where an amount is unknown '
    'or the currencies differ. pays_more, '
    'pays_less, pays_same: how many subjects pay more under plan b, less, or the same. subject null: the sum of all.';

create type window_usage as (subject text, metric text, since timestamptz, until timestamptz, event_count bigint, quantity numeric);
comment on type window_usage is 'The usage of a subject in a window.';
