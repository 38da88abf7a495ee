-- What the migrations make, for reading. Written by `npm run schema`; to change it, add a migration.

CREATE OR REPLACE FUNCTION campanile.clock()
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$ select clock_timestamp() $function$;

CREATE OR REPLACE FUNCTION campanile.legal_transition()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if not exists (select 1 from campaign_transition where from_state = old.state and to_state = new.state) then
    raise exception 'campaign %: % -> % is not a legal transition', new.id, old.state, new.state using errcode = 'check_violation';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION campanile.statement(of_campaign uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
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
$function$;

create table api_key (
  id uuid not null,
  workspace_id uuid not null,
  name text not null,
  prefix text not null,
  hash bytea not null,
  rights text[] not null,
  created_at timestamp with time zone not null default clock(),
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint api_key_pkey PRIMARY KEY (id),
  constraint api_key_hash_key UNIQUE (hash),
  constraint api_key_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint api_key_rights_check CHECK (((rights <@ ARRAY['read'::text, 'write'::text, 'send'::text, 'admin'::text]) AND (cardinality(rights) > 0)))
);
CREATE INDEX api_key_workspace ON campanile.api_key USING btree (workspace_id);

create table attempt (
  campaign_id uuid not null,
  stage smallint not null,
  "position" integer not null,
  attempt smallint not null,
  outcome text not null,
  code text,
  cause text,
  provider_ref text,
  at timestamp with time zone not null,
  constraint attempt_pkey PRIMARY KEY (campaign_id, stage, "position", attempt),
  constraint attempt_outcome_check CHECK ((outcome = ANY (ARRAY['accepted'::text, 'rejected'::text, 'uncertain'::text])))
);
CREATE INDEX attempt_provider_ref ON campanile.attempt USING hash (provider_ref);

create table campaign (
  workspace_id uuid not null,
  id uuid not null,
  name text not null,
  surface text not null,
  engine boolean not null,
  state text not null,
  epoch integer not null default 0,
  sender_id uuid not null,
  channel text not null,
  message jsonb not null,
  audience_type text not null,
  audience_config jsonb not null default '{}'::jsonb,
  schedule_type text not null,
  scheduled_at timestamp with time zone,
  per_minute numeric,
  batch_size integer,
  delay_between_batches_ms integer not null default 0,
  variables jsonb not null default '{}'::jsonb,
  on_uncertain text not null,
  on_daily_limit text not null,
  expires_at timestamp with time zone,
  pause_reason text,
  failure text,
  total_recipients integer,
  plan_cursor jsonb,
  statement jsonb,
  last_seq bigint not null default 0,
  last_batch jsonb,
  created_at timestamp with time zone not null default clock(),
  started_at timestamp with time zone,
  paused_at timestamp with time zone,
  completed_at timestamp with time zone,
  deleted_at timestamp with time zone,
  constraint campaign_pkey PRIMARY KEY (workspace_id, id),
  constraint campaign_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint campaign_workspace_id_sender_id_fkey FOREIGN KEY (workspace_id, sender_id) REFERENCES sender(workspace_id, id),
  constraint campaign_audience_type_check CHECK ((audience_type = ANY (ARRAY['segment'::text, 'list'::text, 'csv'::text, 'inline'::text, 'all'::text]))),
  constraint campaign_batch_size_check CHECK (((batch_size >= 1) AND (batch_size <= 1000))),
  constraint campaign_delay_between_batches_ms_check CHECK ((delay_between_batches_ms >= 0)),
  constraint campaign_on_daily_limit_check CHECK ((on_daily_limit = ANY (ARRAY['pause'::text, 'wait'::text]))),
  constraint campaign_on_uncertain_check CHECK ((on_uncertain = ANY (ARRAY['hold'::text, 'resend'::text]))),
  constraint campaign_per_minute_check CHECK ((per_minute > (0)::numeric)),
  constraint campaign_schedule_type_check CHECK ((schedule_type = ANY (ARRAY['now'::text, 'scheduled'::text, 'manual'::text]))),
  constraint campaign_state_check CHECK ((state = ANY (ARRAY['draft'::text, 'scheduled'::text, 'preparing'::text, 'running'::text, 'paused'::text, 'completed'::text, 'stopped'::text, 'failed'::text]))),
  constraint campaign_surface_check CHECK ((surface = ANY (ARRAY['engine'::text, 'batch'::text]))),
  constraint campaign_total_recipients_check CHECK ((total_recipients >= 0)),
  constraint completed_is_stated CHECK (((state <> 'completed'::text) OR (statement IS NOT NULL))),
  constraint ended_is_planned CHECK (((state <> ALL (ARRAY['stopped'::text, 'failed'::text])) OR (total_recipients IS NOT NULL))),
  constraint failed_says_why CHECK (((state <> 'failed'::text) OR (failure IS NOT NULL))),
  constraint running_is_planned CHECK (((state <> ALL (ARRAY['running'::text, 'completed'::text])) OR (total_recipients IS NOT NULL))),
  constraint stated_is_ended CHECK (((statement IS NULL) OR (state = ANY (ARRAY['completed'::text, 'stopped'::text, 'failed'::text]))))
);
CREATE INDEX campaign_created ON campanile.campaign USING btree (workspace_id, created_at) WHERE (deleted_at IS NULL);
CREATE INDEX campaign_state ON campanile.campaign USING btree (state) WHERE (deleted_at IS NULL);
CREATE INDEX campaign_unstated ON campanile.campaign USING btree (completed_at) WHERE ((statement IS NULL) AND (state = ANY (ARRAY['stopped'::text, 'failed'::text])));
CREATE UNIQUE INDEX campaign_id ON campanile.campaign USING btree (id);
CREATE TRIGGER campaign_legal_transition BEFORE UPDATE OF state ON campanile.campaign FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION legal_transition();

create table campaign_transition (
  from_state text not null,
  to_state text not null,
  constraint campaign_transition_pkey PRIMARY KEY (from_state, to_state)
);

create table cap_scope (
  workspace_id uuid not null,
  id uuid not null,
  name text not null,
  cap integer,
  calendar_zone text,
  used integer not null default 0,
  constraint cap_scope_pkey PRIMARY KEY (workspace_id, id),
  constraint cap_scope_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint cap_scope_cap_check CHECK ((cap >= 0)),
  constraint cap_scope_used_check CHECK ((used >= 0))
) with (fillfactor=50);

create table contact (
  workspace_id uuid not null,
  id uuid not null,
  phone text,
  email text,
  first_name text,
  last_name text,
  company text,
  attributes jsonb not null default '{}'::jsonb,
  time_zone text,
  wa_id text,
  created_at timestamp with time zone not null default clock(),
  updated_at timestamp with time zone not null default clock(),
  constraint contact_pkey PRIMARY KEY (workspace_id, id),
  constraint contact_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint contact_email_check CHECK (((email = lower(email)) AND (length(email) <= 254))),
  constraint contact_phone_check CHECK ((phone ~ '^\+[1-9][0-9]{6,14}$'::text)),
  constraint reachable CHECK (((phone IS NOT NULL) OR (email IS NOT NULL)))
);
CREATE INDEX contact_created ON campanile.contact USING btree (workspace_id, created_at, id) WHERE ((phone IS NOT NULL) OR (email IS NOT NULL));
CREATE UNIQUE INDEX contact_email ON campanile.contact USING btree (workspace_id, email) WHERE (phone IS NULL);
CREATE UNIQUE INDEX contact_phone ON campanile.contact USING btree (workspace_id, phone) WHERE (phone IS NOT NULL);

create table dispatch_count (
  campaign_id uuid not null,
  stage smallint not null,
  accepted integer not null default 0,
  failed integer not null default 0,
  skipped integer not null default 0,
  uncertain integer not null default 0,
  constraint dispatch_count_pkey PRIMARY KEY (campaign_id, stage)
) with (fillfactor=50);

create table event (
  campaign_id uuid not null,
  seq bigint not null,
  name text not null,
  body jsonb not null,
  at timestamp with time zone not null default clock(),
  constraint event_pkey PRIMARY KEY (campaign_id, seq)
);

create table idempotency (
  workspace_id uuid not null,
  key text not null,
  request_hash bytea not null,
  status integer,
  answer jsonb,
  created_at timestamp with time zone not null default clock(),
  constraint idempotency_pkey PRIMARY KEY (workspace_id, key),
  constraint idempotency_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id)
);

create table import (
  workspace_id uuid not null,
  id uuid not null,
  list_id uuid,
  file_name text not null,
  state text not null,
  row_count bigint not null default 0,
  stored bigint not null default 0,
  merged bigint not null default 0,
  rejected bigint not null default 0,
  bytes bigint not null default 0,
  cause text,
  started_at timestamp with time zone not null default clock(),
  heard_at timestamp with time zone not null default clock(),
  finished_at timestamp with time zone,
  constraint import_pkey PRIMARY KEY (workspace_id, id),
  constraint import_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint import_workspace_id_list_id_fkey FOREIGN KEY (workspace_id, list_id) REFERENCES list(workspace_id, id) ON DELETE SET NULL (list_id),
  constraint import_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'cancelled'::text, 'failed'::text]))),
  constraint rows_add_up CHECK (((state = 'running'::text) OR (row_count = ((stored + merged) + rejected))))
);

create table import_reject (
  workspace_id uuid not null,
  import_id uuid not null,
  line bigint not null,
  value text not null,
  reason text not null,
  constraint import_reject_pkey PRIMARY KEY (import_id, line),
  constraint import_reject_workspace_id_import_id_fkey FOREIGN KEY (workspace_id, import_id) REFERENCES import(workspace_id, id) ON DELETE CASCADE
);

create table inbox (
  id bigint not null generated always as identity,
  source text not null,
  body bytea not null,
  senders text[] not null,
  received_at timestamp with time zone not null default clock(),
  state text not null default 'new'::text,
  cause text,
  constraint inbox_pkey PRIMARY KEY (id),
  constraint inbox_state_check CHECK ((state = ANY (ARRAY['new'::text, 'done'::text, 'quarantined'::text])))
);
CREATE INDEX inbox_new ON campanile.inbox USING btree (id) WHERE (state = 'new'::text);

create table lease (
  name text not null,
  holder uuid not null,
  term bigint not null,
  lease_until timestamp with time zone not null,
  constraint lease_pkey PRIMARY KEY (name)
);

create table list (
  workspace_id uuid not null,
  id uuid not null,
  name text not null,
  campaign_id uuid,
  created_at timestamp with time zone not null default clock(),
  constraint list_pkey PRIMARY KEY (workspace_id, id),
  constraint list_campaign_id_key UNIQUE (campaign_id),
  constraint list_workspace_id_campaign_id_fkey FOREIGN KEY (workspace_id, campaign_id) REFERENCES campaign(workspace_id, id),
  constraint list_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id)
);
CREATE UNIQUE INDEX list_name ON campanile.list USING btree (workspace_id, name) WHERE (campaign_id IS NULL);

create table list_member (
  workspace_id uuid not null,
  list_id uuid not null,
  contact_id uuid not null,
  ordinal bigint not null generated always as identity,
  constraint list_member_pkey PRIMARY KEY (list_id, contact_id),
  constraint list_member_workspace_id_contact_id_fkey FOREIGN KEY (workspace_id, contact_id) REFERENCES contact(workspace_id, id) ON DELETE CASCADE,
  constraint list_member_workspace_id_list_id_fkey FOREIGN KEY (workspace_id, list_id) REFERENCES list(workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX list_member_contact ON campanile.list_member USING btree (workspace_id, contact_id);
CREATE UNIQUE INDEX list_member_order ON campanile.list_member USING btree (list_id, ordinal);

create table lot (
  campaign_id uuid not null,
  first integer not null,
  last integer not null,
  handed integer not null,
  due_at timestamp with time zone not null,
  holder uuid,
  token bigint not null default 0,
  lease_until timestamp with time zone,
  constraint lot_pkey PRIMARY KEY (campaign_id, first),
  constraint held_is_leased CHECK (((holder IS NULL) = (lease_until IS NULL))),
  constraint in_range CHECK (((first <= last) AND ((handed >= (first - 1)) AND (handed <= last))))
) with (fillfactor=50);

create table message (
  campaign_id uuid not null,
  stage smallint not null,
  "position" integer not null,
  attempt smallint not null,
  state text not null,
  code text,
  cause text,
  provider_ref text,
  at timestamp with time zone not null,
  due_at timestamp with time zone,
  delays smallint not null default 0,
  token uuid,
  lease_until timestamp with time zone,
  constraint message_pkey PRIMARY KEY (campaign_id, stage, "position"),
  constraint accepted_has_ref CHECK (((state <> 'accepted'::text) OR (provider_ref IS NOT NULL))),
  constraint handing_is_leased CHECK ((((state = 'handing'::text) = (token IS NOT NULL)) AND ((state = 'handing'::text) = (lease_until IS NOT NULL)))),
  constraint message_attempt_check CHECK ((attempt >= 1)),
  constraint message_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'handing'::text, 'accepted'::text, 'failed'::text, 'skipped'::text, 'uncertain'::text]))),
  constraint queued_is_due CHECK (((state <> 'queued'::text) OR (due_at IS NOT NULL))),
  constraint refused_says_why CHECK (((state <> ALL (ARRAY['failed'::text, 'skipped'::text])) OR (code IS NOT NULL)))
) with (fillfactor=90);
CREATE INDEX message_due ON campanile.message USING btree (due_at) WHERE (state = 'queued'::text);
CREATE INDEX message_handing ON campanile.message USING btree (lease_until) WHERE (state = 'handing'::text);
CREATE INDEX message_in_doubt ON campanile.message USING btree (campaign_id, stage, "position") WHERE (state = ANY (ARRAY['uncertain'::text, 'queued'::text]));
CREATE INDEX message_not_accepted ON campanile.message USING btree (campaign_id, state, "position") WHERE (state <> 'accepted'::text);
CREATE INDEX message_provider_ref ON campanile.message USING hash (provider_ref);

create table migration (
  number integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null,
  constraint migration_pkey PRIMARY KEY (number)
);

create table opening (
  scope_id uuid not null,
  address text not null,
  last_at timestamp with time zone not null,
  constraint opening_pkey PRIMARY KEY (scope_id, address)
) with (fillfactor=50);
CREATE INDEX opening_age ON campanile.opening USING btree (scope_id, last_at);

create table pace (
  owner_id uuid not null,
  per_second numeric,
  current_per_second numeric,
  next_at timestamp with time zone not null,
  hold_until timestamp with time zone,
  hold_reason text,
  probing boolean not null default false,
  constraint pace_pkey PRIMARY KEY (owner_id),
  constraint pace_current_per_second_check CHECK ((current_per_second > (0)::numeric)),
  constraint pace_per_second_check CHECK ((per_second > (0)::numeric))
) with (fillfactor=50);

create table preference (
  workspace_id uuid not null,
  channel text not null,
  address text not null,
  wanted text not null,
  at timestamp with time zone not null,
  constraint preference_pkey PRIMARY KEY (workspace_id, channel, address),
  constraint preference_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint preference_channel_check CHECK ((channel = ANY (ARRAY['whatsapp'::text, 'email'::text]))),
  constraint preference_wanted_check CHECK ((wanted = ANY (ARRAY['stop'::text, 'resume'::text])))
);

create table receipt (
  campaign_id uuid not null,
  stage smallint not null,
  "position" integer not null,
  attempt smallint not null,
  kind text not null,
  at timestamp with time zone not null,
  provider_ref text,
  code text,
  cause text,
  received_at timestamp with time zone not null default clock(),
  constraint receipt_pkey PRIMARY KEY (campaign_id, stage, "position", attempt, kind),
  constraint receipt_kind_check CHECK ((kind = ANY (ARRAY['sent'::text, 'delivered'::text, 'read'::text, 'replied'::text, 'failed'::text])))
);
CREATE INDEX receipt_failed ON campanile.receipt USING btree (campaign_id, stage, "position") WHERE (kind = 'failed'::text);

create table receipt_count (
  campaign_id uuid not null,
  stage smallint not null,
  kind text not null,
  messages integer not null,
  constraint receipt_count_pkey PRIMARY KEY (campaign_id, stage, kind)
) with (fillfactor=50);

create table recipient (
  workspace_id uuid not null,
  campaign_id uuid not null,
  "position" integer not null,
  contact_id uuid,
  address text,
  variables jsonb not null,
  constraint recipient_pkey PRIMARY KEY (campaign_id, "position"),
  constraint recipient_campaign_id_address_key UNIQUE (campaign_id, address),
  constraint recipient_workspace_id_campaign_id_fkey FOREIGN KEY (workspace_id, campaign_id) REFERENCES campaign(workspace_id, id),
  constraint recipient_workspace_id_contact_id_fkey FOREIGN KEY (workspace_id, contact_id) REFERENCES contact(workspace_id, id) ON DELETE SET NULL (contact_id),
  constraint recipient_position_check CHECK (("position" >= 1))
);
CREATE INDEX recipient_address ON campanile.recipient USING btree (workspace_id, address);
CREATE INDEX recipient_contact ON campanile.recipient USING btree (workspace_id, contact_id);

create table sender (
  workspace_id uuid not null,
  id uuid not null,
  channel text not null,
  provider text not null,
  name text not null,
  external_id text not null,
  settings jsonb not null default '{}'::jsonb,
  credentials bytea,
  cap_scope_id uuid not null,
  connected_at timestamp with time zone,
  blocked_reason text,
  created_at timestamp with time zone not null default clock(),
  deleted_at timestamp with time zone,
  constraint sender_pkey PRIMARY KEY (workspace_id, id),
  constraint sender_workspace_id_cap_scope_id_fkey FOREIGN KEY (workspace_id, cap_scope_id) REFERENCES cap_scope(workspace_id, id),
  constraint sender_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint sender_channel_check CHECK ((channel = ANY (ARRAY['whatsapp'::text, 'email'::text]))),
  constraint sender_provider_check CHECK ((provider = ANY (ARRAY['whatsapp_cloud'::text, 'rehearsal'::text])))
);
CREATE UNIQUE INDEX sender_external ON campanile.sender USING btree (provider, external_id) WHERE (deleted_at IS NULL);
CREATE UNIQUE INDEX sender_id ON campanile.sender USING btree (id);

create table suppression (
  workspace_id uuid not null,
  channel text not null,
  address text not null,
  scope text not null default 'all'::text,
  reason text not null,
  source text not null,
  at timestamp with time zone not null default clock(),
  constraint suppression_pkey PRIMARY KEY (workspace_id, channel, address, scope),
  constraint suppression_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint suppression_channel_check CHECK ((channel = ANY (ARRAY['whatsapp'::text, 'email'::text]))),
  constraint suppression_scope_check CHECK ((scope = ANY (ARRAY['all'::text, 'marketing'::text])))
);

create table template (
  workspace_id uuid not null,
  id uuid not null,
  sender_id uuid not null,
  name text not null,
  language text not null,
  category text not null,
  status text not null,
  parameter_format text not null,
  components jsonb not null,
  external_id text,
  synced_at timestamp with time zone not null default clock(),
  constraint template_pkey PRIMARY KEY (workspace_id, id),
  constraint template_workspace_id_sender_id_name_language_key UNIQUE (workspace_id, sender_id, name, language),
  constraint template_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint template_workspace_id_sender_id_fkey FOREIGN KEY (workspace_id, sender_id) REFERENCES sender(workspace_id, id),
  constraint template_parameter_format_check CHECK ((parameter_format = ANY (ARRAY['POSITIONAL'::text, 'NAMED'::text])))
);

create table unmatched (
  id bigint not null generated always as identity,
  inbox_id bigint not null,
  element jsonb not null,
  tries integer not null default 0,
  due_at timestamp with time zone not null,
  given_up_at timestamp with time zone,
  constraint unmatched_pkey PRIMARY KEY (id),
  constraint unmatched_inbox_id_fkey FOREIGN KEY (inbox_id) REFERENCES inbox(id)
);
CREATE INDEX unmatched_due ON campanile.unmatched USING btree (due_at) WHERE (given_up_at IS NULL);

create table workspace (
  id uuid not null,
  name text not null,
  created_at timestamp with time zone not null default clock(),
  constraint workspace_pkey PRIMARY KEY (id)
);
