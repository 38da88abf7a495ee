-- That a member's list is there, and of its workspace, is checked once for each statement and no longer for each row. An import puts a
-- million people into one list, and the foreign key asked for that list, and locked it, a million times: 8 of the 32 µs that a member cost.
-- The foreign key to the contact stays: there each row has another one.

alter table list_member drop constraint list_member_workspace_id_list_id_fkey;

create function campanile.members_have_a_list() returns trigger language plpgsql as $$
begin
  -- As a foreign key does: whoever deletes the list waits until these members can be seen, or has deleted it.
  perform from campanile.list where (workspace_id, id) in (select workspace_id, list_id from added) for key share;
  if exists (select from (select distinct workspace_id, list_id from added) a
      where not exists (select from campanile.list l where l.workspace_id = a.workspace_id and l.id = a.list_id)) then
    raise exception 'a member of a list that its workspace does not have' using errcode = 'foreign_key_violation';
  end if;
  return null;
end $$;
create trigger member_has_a_list after insert on list_member referencing new table as added
  for each statement execute function campanile.members_have_a_list();
create trigger moved_member_has_a_list after update on list_member referencing new table as added
  for each statement execute function campanile.members_have_a_list();

create function campanile.delete_members() returns trigger language plpgsql as $$
begin
  delete from campanile.list_member m using removed r where m.list_id = r.id and m.workspace_id = r.workspace_id;
  return null;
end $$;
create trigger list_takes_its_members after delete on list referencing old table as removed
  for each statement execute function campanile.delete_members();

create function campanile.refuse_another_key() returns trigger language plpgsql as $$
begin
  raise exception '% % has a key that does not change', tg_table_name, old.id using errcode = 'foreign_key_violation';
end $$;
create trigger list_keeps_its_key before update of workspace_id, id on list
  for each row when ((old.workspace_id, old.id) is distinct from (new.workspace_id, new.id)) execute function campanile.refuse_another_key();
