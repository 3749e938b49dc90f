create or replace function _taxes_of(subject text, at timestamptz, known_at timestamptz)
returns setof taxes
language plpgsql
stable
set search_path from current
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
    select h.*
    from (
        select distinct on (t.name) t.*
        from taxes t
        where t.subject = _taxes_of.subject and t.since < _taxes_of.at and t.recorded_at <= _taxes_of.known_at
        order by t.name, t.since desc, t.tax_id desc
    ) h
    where h.percent is not null
    order by h.name;
end
$$;

comment on function _taxes_of(text, timestamptz, timestamptz) is 'The taxes of a period of a subject that ends at an instant, as of a time.';

create or replace function _as_tax(version taxes)
returns tax
language sql
immutable parallel safe
set search_path from current
as $$
    select row(version.subject, version.name, version.percent, version.inclusive, nullif(version.since, '-infinity'), version.recorded_at,
               version.recorded_by)::tax
$$;

comment on function _as_tax(taxes) is 'A version of a tax as public functions return it.';

create or replace function _check_tax(subject text, percent numeric, inclusive boolean, name text, since timestamptz)
returns void
language plpgsql
stable
set search_path from current
as $$
begin
    perform _check_name('subject', _check_tax.subject, 512), _check_name('name', _check_tax.name, 100), _check_time('since', _check_tax.since);
    if _check_tax.inclusive is null then
        raise exception using errcode = '22004', message = 'inclusive is null', column = 'inclusive', hint = 'Pass true or false.';
    elsif (_check_tax.percent >= 0 and _check_tax.percent <= 1000 and scale(trim_scale(_check_tax.percent)) <= 20) is false then
        raise exception using
            errcode = '22023', message = 'percent is not from 0 to 1000 with at most 20 decimals', column = 'percent',
            detail = format('percent %s.', left(_check_tax.percent::text, 80)), hint = 'Pass 19 for 19 %, or null to end the tax.';
    end if;
end
$$;

comment on function _check_tax(text, numeric, boolean, text, timestamptz) is 'Raises 22004 or 22023 for a bad value of a tax.';
