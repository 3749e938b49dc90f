create or replace function focus_charges(
    since timestamptz,
    until timestamptz,
    subject text default null,
    provider text default 'pymeter',
    service_category text default 'Other'
)
returns setof focus_charge
language plpgsql
stable
security definer
set search_path from current
set enable_seqscan to off
as $$
#variable_conflict use_column
begin
    if _is_open('focus_charges') then perform _check_caller('focus_charges'); end if;
    perform _check_time('since', focus_charges.since, true), _check_time('until', focus_charges.until, true),
        resolve_window(since => focus_charges.since, until => focus_charges.until), _check_scope(focus_charges.subject, null),
        _check_name('provider', focus_charges.provider, 512),
        _check_word('service_category', focus_charges.service_category, array['AI and Machine Learning', 'Analytics', 'Business Applications',
            'Compute', 'Databases', 'Developer Tools', 'Identity', 'Integration', 'Internet of Things', 'Management and Governance', 'Media',
            'Migration', 'Mobile', 'Multicloud', 'Networking', 'Security', 'Storage', 'Web', 'Other']);
    return query
    select c.*
    from _focus_charges(array(
        select t.statement_id
        from statements t
        where t.until > focus_charges.since and t.until <= focus_charges.until
          and ((select _all_here()) or exists (select from sealed_subjects w where w.subject_id = t.subject_id and _is_here(w.subject)))
          and (focus_charges.subject is null
               or t.subject_id = (select w.subject_id from sealed_subjects w where w.subject = focus_charges.subject))
        order by t.until, t.statement_id), focus_charges.provider, focus_charges.service_category) c;
end
$$;

comment on function focus_charges(timestamptz, timestamptz, text, text, text) is
    'Returns the charges of statements as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification: of the periods that end after since, and '
    'not after until, so windows that tile return each statement once. subject null: of all subjects. BilledCost sums to the total of a statement '
    'and currency. provider: your company, as ProviderName, PublisherName and InvoiceIssuerName. service_category: a ServiceCategory of the '
    'specification, for all rows. Lines without a price, and those of a currency whose total is unknown, are no charges. Raises 22004 for a null '
    'time, provider or service_category, 22023 for a bad value, UM008 for a subject that is on another shard or being moved. Example: SELECT '
    '"ChargeCategory", "BilledCost", "BillingCurrency", "InvoiceId" FROM '
    'meter.focus_charges(''2026-06-01'', ''2026-07-01'', provider => ''Acme'');';
