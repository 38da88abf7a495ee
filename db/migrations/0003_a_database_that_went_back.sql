-- A database may go back: a backup is restored, or a server takes over that had not received everything. Then it says of people who
-- were written to that they were not. Whoever sends therefore remembers outside of it up to when it knew it (runtime/watermark.ts).

-- Which database this is, wherever it is copied or restored to.
create table installation (
  id uuid not null
);
create unique index installation_is_one on installation ((true));
insert into installation values (gen_random_uuid());

-- Up to when each folder that remembers has known this database: raised every second while a campaign runs.
create table watermark (
  owner uuid primary key,
  at timestamptz not null
) with (fillfactor = 50);

-- That the database was found to have gone back. Until somebody accepts it as it is, nothing is planned or sent.
create table regression (
  id bigint generated always as identity primary key,
  what text not null,
  noticed_at timestamptz not null,
  accepted_at timestamptz
);

create function campanile.not_while_regressed() returns trigger language plpgsql as $$
begin
  if exists (select 1 from regression where accepted_at is null) then
    raise exception 'campaign %: nothing is sent while it is not accepted that the database has gone back', new.id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger campaign_not_while_regressed before update of state on campaign
  for each row when (old.state is distinct from new.state and new.state in ('preparing', 'running')) execute function campanile.not_while_regressed();
