-- The lines of each scenario are rounded so that they sum to its total. Which of them take up the difference depends on all of them: a line
-- that is the same in two scenarios could differ by a cent, and one that is higher could be lower.
create or replace function _steady_scenarios(exact_amounts numeric[], amounts numeric[], decimals integer)
returns numeric[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_steady numeric[] := array(select unnest(amounts[:][1 : 1]));
    v_found  numeric[] := v_steady;
begin
    for v_case in 2 .. 4 loop
        -- An amount that is unknown is no part of the sum: each line is rounded for itself.
        if array_position(array(select unnest(exact_amounts)), null) is not null then
            v_steady := array(select unnest(amounts[:][v_case : v_case]));
        else
            v_steady := _steady_amounts(
                array(select unnest(exact_amounts[:][v_case - 1 : v_case - 1])), v_steady,
                array(select unnest(exact_amounts[:][v_case : v_case])), array(select unnest(amounts[:][v_case : v_case])), decimals);
        end if;
        v_found := v_found || v_steady;
    end loop;
    return v_found;
end
$$;

comment on function _steady_scenarios(numeric[], numeric[], integer) is
    'The amounts of lines in four scenarios, those of the first scenario first. amounts and exact_amounts: an array of four for each line. Those '
    'of each scenario sum to what they summed to, and from one scenario to the next none moves against its exact amount.';

create or replace function _steady_amounts(
    exact_before numeric[], amounts_before numeric[], exact_amounts numeric[], amounts numeric[], decimals integer
)
returns numeric[]
language plpgsql
immutable parallel safe
set search_path from current
as $$
declare
    v_unit   numeric := ('1e-' || decimals)::numeric;
    v_found  numeric[] := array(
        select case sign(u.exact - u.exact_before)
            when 1 then greatest(u.before, round(floor(u.exact / v_unit) * v_unit, decimals))
            when -1 then least(u.before, round(ceil(u.exact / v_unit) * v_unit, decimals))
            else u.before end
        from unnest(exact_before, amounts_before, exact_amounts) with ordinality u (exact_before, before, exact, n) order by u.n);
    v_next   numeric[];
    v_left   numeric := (select sum(a) from unnest(amounts) a) - (select sum(a) from unnest(v_found) a);
begin
    while v_left <> 0 loop
        v_next := array(
            select r.amount + case when r.may_move and r.place * v_unit <= abs(v_left) then sign(v_left) * v_unit else 0 end
            from (
                select u.n, u.amount, m.may_move,
                       row_number() over (partition by m.may_move order by (u.exact - u.amount) * sign(v_left) desc, u.n) as place
                from unnest(exact_before, amounts_before, exact_amounts, v_found) with ordinality u (exact_before, before, exact, amount, n)
                cross join lateral (
                    select (u.exact - u.exact_before) * v_left > 0 or (u.amount - u.before) * v_left < 0 as may_move) m
            ) r
            order by r.n);
        if v_next = v_found then
            return amounts;
        end if;
        v_found := v_next;
        v_left := (select sum(a) from unnest(amounts) a) - (select sum(a) from unnest(v_found) a);
    end loop;
    return v_found;
end
$$;

comment on function _steady_amounts(numeric[], numeric[], numeric[], numeric[], integer) is
    'Rounded amounts of lines that sum to those given, made from the rounded amounts of another scenario: each moves as its exact amount does, '
    'up, down or not at all.';
