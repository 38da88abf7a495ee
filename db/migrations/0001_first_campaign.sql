-- The tables of the first campaign, in the order in which data flows through them. One folder of src/flow owns (updates) each.
-- Every row belongs to a workspace; composite foreign keys make a reference across workspaces impossible. message, attempt and
-- receipt carry none: a foreign key there would lock a hot row on every insert, and their campaign carries the workspace.

create schema if not exists campanile;

-- The one clock of every statement. A test replaces it in its own database.
create function campanile.clock() returns timestamptz language sql volatile as $$ select clock_timestamp() $$;

-- runtime ------------------------------------------------------------------------------------------------------------------

create table workspace (
  id uuid primary key,
  name text not null,
  created_at timestamptz not null default campanile.clock()
);

create table api_key (
  id uuid primary key,
  workspace_id uuid not null references workspace (id),
  name text not null,
  prefix text not null,
  hash bytea not null unique,
  rights text[] not null check (rights <@ array['read', 'write', 'send', 'admin'] and cardinality(rights) > 0),
  created_at timestamptz not null default campanile.clock(),
  last_used_at timestamptz,
  revoked_at timestamptz
);
create index api_key_workspace on api_key (workspace_id);

create table idempotency (
  workspace_id uuid not null references workspace (id),
  key text not null,
  request_hash bytea not null,
  status int,
  answer jsonb,
  created_at timestamptz not null default campanile.clock(),
  primary key (workspace_id, key)
);

create table lease (
  name text primary key,
  holder uuid not null,
  term bigint not null,
  lease_until timestamptz not null
);

-- audience -----------------------------------------------------------------------------------------------------------------

create table contact (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  phone text check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  email text check (email = lower(email) and length(email) <= 254),
  first_name text,
  last_name text,
  company text,
  attributes jsonb not null default '{}',
  time_zone text,
  wa_id text,
  created_at timestamptz not null default campanile.clock(),
  updated_at timestamptz not null default campanile.clock(),
  primary key (workspace_id, id),
  constraint reachable check (phone is not null or email is not null)
);
-- The order of the audience `all`. Its condition holds for every contact, and keeps it out of Postgres' sight where nobody states it: while
-- there are no statistics, any index that begins with the workspace looks as good as the primary key, and a foreign key to a contact
-- then reads the whole workspace for each row (0.5 ms with 12,000 contacts).
create index contact_created on contact (workspace_id, created_at, id) where phone is not null or email is not null;
-- A contact is its phone; one without a phone is its e-mail.
create unique index contact_phone on contact (workspace_id, phone) where phone is not null;
create unique index contact_email on contact (workspace_id, email) where phone is null;

create table list (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  name text not null,
  campaign_id uuid unique,                                     -- a campaign's own uploaded audience; null for a named list
  created_at timestamptz not null default campanile.clock(),
  primary key (workspace_id, id)
);
create unique index list_name on list (workspace_id, name) where campaign_id is null;

create table list_member (
  workspace_id uuid not null,
  list_id uuid not null,
  contact_id uuid not null,
  ordinal bigint generated always as identity,                 -- the order in which a campaign writes to them
  primary key (list_id, contact_id),
  foreign key (workspace_id, list_id) references list (workspace_id, id) on delete cascade,
  foreign key (workspace_id, contact_id) references contact (workspace_id, id) on delete cascade
);
create unique index list_member_order on list_member (list_id, ordinal);
create index list_member_contact on list_member (workspace_id, contact_id);

create table import (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  list_id uuid,
  file_name text not null,
  state text not null check (state in ('running', 'done', 'cancelled', 'failed')),
  row_count bigint not null default 0,
  stored bigint not null default 0,
  merged bigint not null default 0,
  rejected bigint not null default 0,
  bytes bigint not null default 0,
  cause text,
  started_at timestamptz not null default campanile.clock(),
  heard_at timestamptz not null default campanile.clock(),     -- the last sign of life of the process that runs it
  finished_at timestamptz,
  primary key (workspace_id, id),
  foreign key (workspace_id, list_id) references list (workspace_id, id) on delete set null (list_id),
  constraint rows_add_up check (state = 'running' or row_count = stored + merged + rejected)
);

create table import_reject (
  workspace_id uuid not null,
  import_id uuid not null,
  line bigint not null,
  value text not null,
  reason text not null,
  primary key (import_id, line),
  foreign key (workspace_id, import_id) references import (workspace_id, id) on delete cascade
);

create table suppression (
  workspace_id uuid not null references workspace (id),
  channel text not null check (channel in ('whatsapp', 'email')),
  address text not null,
  scope text not null default 'all' check (scope in ('all', 'marketing')),
  reason text not null,
  source text not null,
  at timestamptz not null default campanile.clock(),
  primary key (workspace_id, channel, address, scope)
);

-- provider -----------------------------------------------------------------------------------------------------------------

-- Whoever shares a cap: a WhatsApp portfolio, or a single sender.
create table cap_scope (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  name text not null,
  cap int check (cap >= 0),                                    -- null: no cap
  calendar_zone text,                                          -- null: any rolling 24 h; else calendar days of this time zone
  used int not null default 0 check (used >= 0),
  primary key (workspace_id, id)
) with (fillfactor = 50);

create table opening (
  scope_id uuid not null,
  address text not null,
  last_at timestamptz not null,                                -- the latest instant at which the provider can have counted it
  primary key (scope_id, address)
) with (fillfactor = 50);
create index opening_age on opening (scope_id, last_at);

create table sender (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  channel text not null check (channel in ('whatsapp', 'email')),
  provider text not null check (provider in ('whatsapp_cloud', 'rehearsal')),
  name text not null,
  external_id text not null,                                   -- WhatsApp: the phone number id; webhooks are routed by it
  settings jsonb not null default '{}',                        -- base address, API version, WABA id …: nothing secret
  credentials bytea,                                           -- AES-256-GCM, see flow/provider/credentials.ts
  cap_scope_id uuid not null,
  connected_at timestamptz,                                    -- null: never connected
  blocked_reason text,                                         -- why the provider refuses this sender; its campaigns pause
  created_at timestamptz not null default campanile.clock(),
  deleted_at timestamptz,
  primary key (workspace_id, id),
  foreign key (workspace_id, cap_scope_id) references cap_scope (workspace_id, id)
);
create unique index sender_external on sender (provider, external_id) where deleted_at is null;
create unique index sender_id on sender (id);

create table template (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  sender_id uuid not null,
  name text not null,
  language text not null,
  category text not null,
  status text not null,
  parameter_format text not null check (parameter_format in ('POSITIONAL', 'NAMED')),
  components jsonb not null,
  external_id text,
  synced_at timestamptz not null default campanile.clock(),
  primary key (workspace_id, id),
  unique (workspace_id, sender_id, name, language),
  foreign key (workspace_id, sender_id) references sender (workspace_id, id)
);

-- campaign -----------------------------------------------------------------------------------------------------------------

create table campaign (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  name text not null,
  surface text not null check (surface in ('engine', 'batch')),        -- which document's words it was made in
  engine boolean not null,                                             -- false: only execute-batch drives it
  state text not null check (state in ('draft', 'scheduled', 'preparing', 'running', 'paused', 'completed', 'stopped', 'failed')),
  epoch int not null default 0,                                        -- raised by each pause, resume, stop: fences volleys
  sender_id uuid not null,
  channel text not null,
  message jsonb not null,                                              -- what is said: rules/message.ts
  audience_type text not null check (audience_type in ('segment', 'list', 'csv', 'inline', 'all')),
  audience_config jsonb not null default '{}',
  schedule_type text not null check (schedule_type in ('now', 'scheduled', 'manual')),
  scheduled_at timestamptz,
  per_minute numeric check (per_minute > 0),                           -- null: the sender's pace only
  batch_size int check (batch_size between 1 and 1000),
  delay_between_batches_ms int not null default 0 check (delay_between_batches_ms >= 0),
  variables jsonb not null default '{}',
  on_uncertain text not null check (on_uncertain in ('hold', 'resend')),
  on_daily_limit text not null check (on_daily_limit in ('pause', 'wait')),
  expires_at timestamptz,
  pause_reason text,
  failure text,
  total_recipients int check (total_recipients >= 0),                  -- null until planned
  plan_cursor jsonb,                                                   -- while preparing: the last contact of the audience that was looked at
  statement jsonb,
  last_seq bigint not null default 0,
  last_batch jsonb,
  created_at timestamptz not null default campanile.clock(),
  started_at timestamptz,
  paused_at timestamptz,
  completed_at timestamptz,
  deleted_at timestamptz,
  primary key (workspace_id, id),
  foreign key (workspace_id, sender_id) references sender (workspace_id, id),
  constraint running_is_planned check (state not in ('running', 'completed') or total_recipients is not null),
  -- A stopped or failed campaign is stated a moment later, when the rest is closed and what was in flight is settled.
  constraint completed_is_stated check (state <> 'completed' or statement is not null),
  constraint stated_is_ended check (statement is null or state in ('completed', 'stopped', 'failed')),
  constraint ended_is_planned check (state not in ('stopped', 'failed') or total_recipients is not null),
  constraint failed_says_why check (state <> 'failed' or failure is not null)
);
create unique index campaign_id on campaign (id);
create index campaign_state on campaign (state) where deleted_at is null;
create index campaign_created on campaign (workspace_id, created_at) where deleted_at is null;
create index campaign_unstated on campaign (completed_at) where statement is null and state in ('stopped', 'failed');

alter table list add foreign key (workspace_id, campaign_id) references campaign (workspace_id, id);

-- The states a campaign may go through; the same table as rules/campaign-state.ts (a test compares them).
create table campaign_transition (from_state text, to_state text, primary key (from_state, to_state));
insert into campaign_transition values
  ('draft', 'scheduled'), ('draft', 'stopped'), ('draft', 'preparing'),
  ('scheduled', 'preparing'), ('scheduled', 'paused'), ('scheduled', 'stopped'), ('scheduled', 'failed'),
  ('preparing', 'running'), ('preparing', 'completed'), ('preparing', 'paused'), ('preparing', 'stopped'), ('preparing', 'failed'),
  ('running', 'paused'), ('running', 'completed'), ('running', 'stopped'), ('running', 'failed'),
  ('paused', 'scheduled'), ('paused', 'running'), ('paused', 'completed'), ('paused', 'stopped'), ('paused', 'failed');

create function campanile.legal_transition() returns trigger language plpgsql as $$
begin
  if not exists (select 1 from campaign_transition where from_state = old.state and to_state = new.state) then
    raise exception 'campaign %: % -> % is not a legal transition', new.id, old.state, new.state using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger campaign_legal_transition before update of state on campaign
  for each row when (old.state is distinct from new.state) execute function campanile.legal_transition();

-- A contact inside one campaign; immutable once planned.
create table recipient (
  workspace_id uuid not null,
  campaign_id uuid not null,
  position int not null check (position >= 1),
  contact_id uuid,
  address text,                                                -- null: this contact has none on the campaign's channel
  variables jsonb not null,
  primary key (campaign_id, position),
  unique (campaign_id, address),
  foreign key (workspace_id, campaign_id) references campaign (workspace_id, id),
  foreign key (workspace_id, contact_id) references contact (workspace_id, id) on delete set null (contact_id)
);
create index recipient_address on recipient (workspace_id, address);
create index recipient_contact on recipient (workspace_id, contact_id);

create table event (
  campaign_id uuid not null,
  seq bigint not null,
  name text not null,
  body jsonb not null,
  at timestamptz not null default campanile.clock(),
  primary key (campaign_id, seq)
);

-- dispatch -----------------------------------------------------------------------------------------------------------------

-- A run of positions, leased to one engine at a time. handed is the mark: everything up to it may have left.
create table lot (
  campaign_id uuid not null,
  first int not null,
  last int not null,
  handed int not null,
  due_at timestamptz not null,
  holder uuid,
  token bigint not null default 0,
  lease_until timestamptz,
  primary key (campaign_id, first),
  constraint in_range check (first <= last and handed between first - 1 and last),
  constraint held_is_leased check ((holder is null) = (lease_until is null))
) with (fillfactor = 50);

-- One stage of one campaign to one recipient: its current attempt. Written when the outcome is known; queued rows are due again.
create table message (
  campaign_id uuid not null,
  stage smallint not null,
  position int not null,
  attempt smallint not null check (attempt >= 1),
  state text not null check (state in ('queued', 'handing', 'accepted', 'failed', 'skipped', 'uncertain')),
  code text,                                                   -- the provider's code, or the reason of a skip
  cause text,
  provider_ref text,
  at timestamptz not null,
  due_at timestamptz,
  delays smallint not null default 0,                          -- how often the vendor told this attempt to wait
  token uuid,
  lease_until timestamptz,
  primary key (campaign_id, stage, position),
  constraint accepted_has_ref check (state <> 'accepted' or provider_ref is not null),
  constraint queued_is_due check (state <> 'queued' or due_at is not null),
  constraint handing_is_leased check ((state = 'handing') = (token is not null) and (state = 'handing') = (lease_until is not null)),
  constraint refused_says_why check (state not in ('failed', 'skipped') or code is not null)
) with (fillfactor = 90);
create index message_due on message (due_at) where state = 'queued';
create index message_handing on message (lease_until) where state = 'handing';
create index message_not_accepted on message (campaign_id, state, position) where state <> 'accepted';
create index message_in_doubt on message (campaign_id, stage, position) where state in ('uncertain', 'queued');
create index message_provider_ref on message using hash (provider_ref);

-- Attempts of a message that ended and were followed by another.
create table attempt (
  campaign_id uuid not null,
  stage smallint not null,
  position int not null,
  attempt smallint not null,
  outcome text not null check (outcome in ('accepted', 'rejected', 'uncertain')),
  code text,
  cause text,
  provider_ref text,
  at timestamptz not null,
  primary key (campaign_id, stage, position, attempt)
);
create index attempt_provider_ref on attempt using hash (provider_ref);

create table dispatch_count (
  campaign_id uuid not null,
  stage smallint not null,
  accepted int not null default 0,
  failed int not null default 0,
  skipped int not null default 0,
  uncertain int not null default 0,
  primary key (campaign_id, stage)
) with (fillfactor = 50);

-- The door through which a sender's, and a campaign's, calls go one by one: GCRA's theoretical arrival time, and a hold.
create table pace (
  owner_id uuid primary key,                                   -- a sender's id, or a campaign's
  per_second numeric check (per_second > 0),                   -- null: no limit
  current_per_second numeric check (current_per_second > 0),   -- lowered by throttling, recovers; null: per_second
  next_at timestamptz not null,
  hold_until timestamptz,
  hold_reason text,
  probing boolean not null default false                       -- after a hold: a window of 1 until one is accepted
) with (fillfactor = 50);

-- receipt ------------------------------------------------------------------------------------------------------------------

create table inbox (
  id bigint generated always as identity primary key,
  source text not null,                                        -- whatsapp
  body bytea not null,
  senders text[] not null,                                     -- phone number ids whose app secret signed it; others in it are refused
  received_at timestamptz not null default campanile.clock(),
  state text not null default 'new' check (state in ('new', 'done', 'quarantined')),
  cause text
);
create index inbox_new on inbox (id) where state = 'new';

-- A part of an inbox row that matched no message yet: tried again until it does, or for a day.
create table unmatched (
  id bigint generated always as identity primary key,
  inbox_id bigint not null references inbox (id),
  element jsonb not null,
  tries int not null default 0,
  due_at timestamptz not null,
  given_up_at timestamptz
);
create index unmatched_due on unmatched (due_at) where given_up_at is null;

-- The last word of an address on advertising, said to WhatsApp itself: news that arrives late or twice changes nothing.
create table preference (
  workspace_id uuid not null references workspace (id),
  channel text not null check (channel in ('whatsapp', 'email')),
  address text not null,
  wanted text not null check (wanted in ('stop', 'resume')),
  at timestamptz not null,
  primary key (workspace_id, channel, address)
);

create table receipt (
  campaign_id uuid not null,
  stage smallint not null,
  position int not null,
  attempt smallint not null,
  kind text not null check (kind in ('sent', 'delivered', 'read', 'replied', 'failed')),
  at timestamptz not null,
  provider_ref text,
  code text,
  cause text,
  received_at timestamptz not null default campanile.clock(),
  primary key (campaign_id, stage, position, attempt, kind)
);

create index receipt_failed on receipt (campaign_id, stage, position) where kind = 'failed';

create table receipt_count (
  campaign_id uuid not null,
  stage smallint not null,
  kind text not null,
  messages int not null,                                       -- messages that have this kind, each counted once
  primary key (campaign_id, stage, kind)
) with (fillfactor = 50);

-- What became of everybody, counted from rows; rules/statement.ts says what must add up. Folders of src/flow meet here: completion,
-- the closing of a stopped campaign and `check` use this one definition.
create function campanile.statement(of_campaign uuid) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'recipients', (select count(*) from recipient where campaign_id = of_campaign),
    'accepted', coalesce(sum(n) filter (where state = 'accepted'), 0),
    'failed', coalesce(sum(n) filter (where state = 'failed'), 0),
    'skipped', coalesce(jsonb_object_agg(code, n) filter (where state = 'skipped'), '{}'),
    'uncertain', coalesce(sum(n) filter (where state = 'uncertain'), 0),
    'undelivered', (select count(distinct r.position) from receipt r
      join message m on m.campaign_id = r.campaign_id and m.stage = r.stage and m.position = r.position and m.state = 'accepted'
      where r.campaign_id = of_campaign and r.stage = 1 and r.kind = 'failed'))
  from (select state, case when state = 'skipped' then code end as code, count(*) as n
    from message where campaign_id = of_campaign and stage = 1 group by 1, 2) counted
$$;
