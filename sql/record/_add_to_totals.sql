create or replace function _add_to_totals(counted series, fine_start timestamptz, coarse_start timestamptz, in_fine numeric, in_coarse numeric)
returns series
language plpgsql
volatile
set search_path from current
as $$
#variable_conflict use_column
declare
    v_series series := _add_to_totals.counted;
begin
    if in_fine + in_coarse = 0 then
        return v_series;
    end if;
    update series s set
        fine_total = case when _add_to_totals.fine_start = s.fine_start then s.fine_total + in_fine else s.fine_total end,
        coarse_total = case when _add_to_totals.coarse_start = s.coarse_start then s.coarse_total + in_coarse else s.coarse_total end
    where s.series_id = v_series.series_id and s.stripe = v_series.stripe
    returning * into v_series;
    return v_series;
end
$$;

comment on function _add_to_totals(series, timestamptz, timestamptz, numeric, numeric) is
    'Adds a new member to the totals of the open buckets, as far as its buckets are open, of a row of series that the caller has locked; returns it.';
