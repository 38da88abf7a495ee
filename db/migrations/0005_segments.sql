-- A segment: contacts chosen by a filter, which is kept as data (rules/segment.ts). A campaign may write to one, and may leave others out.

create table segment (
  workspace_id uuid not null references workspace,
  id uuid not null,
  name text not null,
  filter jsonb not null,
  created_at timestamptz not null default campanile.clock(),
  primary key (workspace_id, id),
  unique (workspace_id, name)
);

-- audience_exclude: the segments, lists and campaigns whose people are left out. plan_filter: what all of that says of a contact, as it
-- was when planning began; who edits a segment after that changes nothing of this campaign.
alter table campaign add column audience_exclude jsonb not null default '{}', add column plan_filter jsonb;
