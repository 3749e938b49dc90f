-- Nobody but the owner may call or see anything until it is granted; what was granted stays, and follows its level to new functions.
do $$
begin
    execute format('revoke all on schema %I from public', current_schema());
    execute format('revoke all on all tables in schema %I from public', current_schema());
    execute format('revoke all on all sequences in schema %I from public', current_schema());
    execute format('revoke execute on all functions in schema %I from public', current_schema());
    perform _apply_access();
end
$$;
