-- What the migrations make, for reading. Written by `npm run schema`; to change it, add a migration.

CREATE OR REPLACE FUNCTION campanile.cap_begins()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  until constant timestamptz := campanile.clock() + interval '12 seconds';
begin
  with writing as (
    select c.id from sender s join campaign c on c.workspace_id = s.workspace_id and c.sender_id = s.id
    where s.workspace_id = new.workspace_id and s.cap_scope_id = new.id and c.started_at is not null),
  sent as (
    select m.campaign_id, m.position, case when m.state = 'handing' then until else m.at end as at
      from writing w join message m on m.campaign_id = w.id where m.state in ('accepted', 'uncertain', 'handing')
    union all
    select a.campaign_id, a.position, a.at from writing w join attempt a on a.campaign_id = w.id where a.outcome in ('accepted', 'uncertain')
    union all
    select r.campaign_id, r.position, until from writing w join lot l on l.campaign_id = w.id and l.holder is not null
      join recipient r on r.campaign_id = l.campaign_id and r.position between l.first and l.handed
      where not exists (select from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position)),
  opened as (
    insert into opening as o (scope_id, address, last_at)
    select new.id, r.address, max(s.at) from sent s join recipient r on r.campaign_id = s.campaign_id and r.position = s.position
    where r.address is not null and s.at > campanile.clock() - interval '24 hours' group by r.address order by r.address
    on conflict (scope_id, address) do update set last_at = greatest(o.last_at, excluded.last_at) returning (xmax = 0) as fresh)
  select new.used + count(*) filter (where fresh) into new.used from opened;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION campanile.clock()
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$ select clock_timestamp() $function$;

CREATE OR REPLACE FUNCTION campanile.delete_members()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  delete from campanile.list_member m using removed r where m.list_id = r.id and m.workspace_id = r.workspace_id;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION campanile.deliver_event()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into campanile.webhook_delivery (id, workspace_id, endpoint_id, campaign_id, seq, event_at, due_at)
    select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.workspace_id, w.id, new.campaign_id, new.seq, new.at, new.at
    from campanile.campaign c join campanile.webhook_endpoint w on w.workspace_id = c.workspace_id
    where c.id = new.campaign_id and w.disabled_at is null and (w.events is null or new.name = any (w.events));
  return null;
end $function$;

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

CREATE OR REPLACE FUNCTION campanile.members_have_a_list()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  -- As a foreign key does: whoever deletes the list waits until these members can be seen, or has deleted it.
  perform from campanile.list where (workspace_id, id) in (select workspace_id, list_id from added) for key share;
  if exists (select from (select distinct workspace_id, list_id from added) a
      where not exists (select from campanile.list l where l.workspace_id = a.workspace_id and l.id = a.list_id)) then
    raise exception 'a member of a list that its workspace does not have' using errcode = 'foreign_key_violation';
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION campanile.not_while_regressed()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select 1 from regression where accepted_at is null) then
    raise exception 'campaign %: nothing is sent while it is not accepted that the database has gone back', new.id using errcode = 'check_violation';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION campanile.place_events(most integer)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  tail bigint;
  placed bigint;
begin
  if not exists (select from event where position is null) then
    return 0;
  end if;
  select position into strict tail from event_tail for update;
  update event e set position = tail + u.place
    from (select campaign_id, seq, row_number() over (order by campaign_id, seq) as place from (
      select campaign_id, seq from event where position is null order by campaign_id, seq limit most) next) u
    where e.campaign_id = u.campaign_id and e.seq = u.seq;
  get diagnostics placed = row_count;
  update event_tail set position = tail + placed;
  return placed;
end $function$;

CREATE OR REPLACE FUNCTION campanile.refuse_another_key()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception '% % has a key that does not change', tg_table_name, old.id using errcode = 'foreign_key_violation';
end $function$;

CREATE OR REPLACE FUNCTION campanile.statement(of_campaign uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  select jsonb_build_object(
    'recipients', (select count(*) from recipient where campaign_id = of_campaign),
    'accepted', m.number - m.others,
    'failed', coalesce(o.failed, 0),
    'skipped', case when o.skipped > 0 then (
      select jsonb_object_agg(code, n) from (
        select code, count(*) as n from message where campaign_id = of_campaign and stage = 1 and state = 'skipped' group by code) by_code) else '{}' end,
    'uncertain', coalesce(o.uncertain, 0),
    'undelivered', (
      select count(*) from (select distinct position from receipt where campaign_id = of_campaign and stage = 1 and kind = 'failed') r
      where (select state from message where campaign_id = of_campaign and stage = 1 and message.position = r.position) = 'accepted'))
  from (
    select count(*) as number, count(*) filter (where state <> 'accepted') as others from message where campaign_id = of_campaign and stage = 1) m
  left join lateral (
    select count(*) filter (where state = 'failed') as failed, count(*) filter (where state = 'skipped') as skipped,
      count(*) filter (where state = 'uncertain') as uncertain
    from message where m.others > 0 and campaign_id = of_campaign and stage = 1) o on true
$function$;

CREATE OR REPLACE FUNCTION campanile.tell_progress(of_campaign uuid, at_end boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  c record;
  d record;
  told campaign_progress;
  reached jsonb;
  heard int;
  now timestamptz;
  done int;
  per_minute numeric;
begin
  select id, total_recipients, started_at, last_seq into strict c from campaign where id = of_campaign for no key update;
  if c.started_at is null or coalesce(c.total_recipients, 0) = 0 then
    return false;
  end if;
  select coalesce(sum(accepted), 0) as accepted, coalesce(sum(failed), 0) as failed, coalesce(sum(skipped), 0) as skipped,
    coalesce(sum(uncertain), 0) as uncertain into d from dispatch_count where campaign_id = of_campaign and stage = 1;
  select coalesce(sum(messages), 0), coalesce(jsonb_object_agg(kind, messages), '{}') into heard, reached
    from receipt_count where campaign_id = of_campaign and stage = 1;
  select * into told from campaign_progress where campaign_id = of_campaign;
  now := campanile.clock();
  done := d.accepted + d.failed + d.skipped + d.uncertain;
  if (done, heard) is not distinct from (coalesce(told.processed, 0), coalesce(told.heard, 0)) then
    return false;
  end if;
  if not at_end and told.at > now - interval '5 seconds' and (done / 100 = told.processed / 100 or told.at > now - interval '1 second') then
    return false;
  end if;
  per_minute := 60 * (done - coalesce(told.processed, 0)) / greatest(0.1, extract(epoch from now - coalesce(told.at, c.started_at)));
  insert into campaign_progress values (of_campaign, done, heard, per_minute, now)
    on conflict (campaign_id) do update set processed = excluded.processed, heard = excluded.heard, per_minute = excluded.per_minute, at = excluded.at;
  update campaign set last_seq = last_seq + 1 where id = of_campaign;
  insert into event (campaign_id, seq, name, body) values (of_campaign, c.last_seq + 1, 'campaign:progress', jsonb_build_object(
    'campaignId', of_campaign, 'progress', floor(1000.0 * done / c.total_recipients) / 10, 'processedCount', done,
    'totalRecipients', c.total_recipients, 'sent', d.accepted, 'failed', d.failed, 'skipped', d.skipped, 'uncertain', d.uncertain,
    'delivered', coalesce((reached ->> 'delivered')::int, 0), 'read', coalesce((reached ->> 'read')::int, 0),
    'replied', coalesce((reached ->> 'replied')::int, 0), 'messagesPerMinute', round(per_minute),
    'eta', case when per_minute > 0 and done < c.total_recipients
      then to_char((now + (c.total_recipients - done) / per_minute * interval '1 minute') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end));
  perform pg_notify('campanile', of_campaign::text);
  return true;
end $function$;

CREATE OR REPLACE FUNCTION campanile.turn_at_full_speed(of_campaign uuid, of_lot integer, of_token bigint, positions integer[], refs text[], ask_from integer, ask_to integer, ends boolean, lease interval, onward uuid, OUT held boolean, OUT gone_on boolean, OUT waited_ms double precision, OUT next_first integer, OUT next_last integer, OUT next_token bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
declare
  began constant timestamptz := campanile.clock();
  at timestamptz;
  c record;
  cap_found int;
  doors_closed bigint;
  is_open boolean;
begin
  perform from lot where campaign_id = of_campaign and first = of_lot and token = of_token and holder is not null for no key update;
  held := found;
  if not held then return; end if;
  insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
    select of_campaign, 1, o.position, 1, 'accepted', o.ref, now.at
    from (select campanile.clock() as at offset 0) now, unnest(positions, refs) as o (position, ref);
  select k.workspace_id, k.channel, k.state, k.expires_at, k.sender_id, k.delay_between_batches_ms, s.blocked_reason, s.cap_scope_id into strict c
    from campaign k join sender s on s.workspace_id = k.workspace_id and s.id = k.sender_id where k.id = of_campaign for no key update of k;
  select cap into strict cap_found from cap_scope where id = c.cap_scope_id for no key update;
  select count(*) filter (where per_second is not null or current_per_second is not null or probing or hold_until > campanile.clock()) into doors_closed
    from (select * from pace where owner_id in (of_campaign, c.sender_id) order by owner_id for no key update) door;
  at := campanile.clock();
  waited_ms := extract(epoch from at - began) * 1000;
  is_open := c.state = 'running' and c.blocked_reason is null and cap_found is null and doors_closed = 0 and (c.expires_at is null or c.expires_at > at);
  if ends then
    delete from lot where campaign_id = of_campaign and first = of_lot and c.delay_between_batches_ms = 0
      and last - first + 1 = (select count(*) from message m where m.campaign_id = of_campaign and m.stage = 1 and m.position between lot.first and lot.last);
    gone_on := found;
    if gone_on and is_open and onward is not null then
      update lot set holder = onward, token = token + 1, lease_until = at + lease
        where campaign_id = of_campaign and first = (
          select free.first from lot free where free.campaign_id = of_campaign and free.holder is null and free.token = 0 and free.due_at <= at
          order by free.first limit 1 for no key update skip locked)
        returning first, last, token into next_first, next_last, next_token;
    end if;
  else
    gone_on := is_open and not exists (select from recipient r
      join suppression s on s.workspace_id = c.workspace_id and s.channel = c.channel and s.address = r.address
      where r.campaign_id = of_campaign and r.position between ask_from and ask_to);
    if gone_on then
      update lot set handed = coalesce(ask_to, handed), lease_until = at + lease where campaign_id = of_campaign and first = of_lot;
    end if;
  end if;
  if cardinality(positions) > 0 then
    insert into dispatch_count as d (campaign_id, stage, accepted) values (of_campaign, 1, cardinality(positions))
      on conflict (campaign_id, stage) do update set accepted = d.accepted + excluded.accepted;
  end if;
end $function$;

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
  audience_exclude jsonb not null default '{}'::jsonb,
  plan_filter jsonb,
  constraint campaign_pkey PRIMARY KEY (workspace_id, id),
  constraint campaign_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint campaign_workspace_id_sender_id_fkey FOREIGN KEY (workspace_id, sender_id) REFERENCES sender(workspace_id, id),
  constraint campaign_audience_type_check CHECK ((audience_type = ANY (ARRAY['segment'::text, 'list'::text, 'csv'::text, 'inline'::text, 'all'::text, 'resend'::text]))),
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
CREATE TRIGGER campaign_not_while_regressed BEFORE UPDATE OF state ON campanile.campaign FOR EACH ROW WHEN (((old.state IS DISTINCT FROM new.state) AND (new.state = ANY (ARRAY['preparing'::text, 'running'::text])))) EXECUTE FUNCTION not_while_regressed();

create table campaign_progress (
  campaign_id uuid not null,
  processed integer not null,
  heard integer not null,
  per_minute numeric not null,
  at timestamp with time zone not null,
  constraint campaign_progress_pkey PRIMARY KEY (campaign_id)
) with (fillfactor=50);

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
CREATE TRIGGER cap_scope_cap_begins BEFORE UPDATE OF cap ON campanile.cap_scope FOR EACH ROW WHEN (((old.cap IS NULL) AND (new.cap IS NOT NULL))) EXECUTE FUNCTION cap_begins();

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
  "position" bigint,
  constraint event_pkey PRIMARY KEY (campaign_id, seq)
);
CREATE INDEX event_unplaced ON campanile.event USING btree (campaign_id, seq) WHERE ("position" IS NULL);
CREATE UNIQUE INDEX event_position ON campanile.event USING btree ("position") WHERE ("position" IS NOT NULL);
CREATE TRIGGER event_is_delivered AFTER INSERT ON campanile.event FOR EACH ROW EXECUTE FUNCTION deliver_event();

create table event_tail (
  one boolean not null default true,
  "position" bigint not null,
  constraint event_tail_pkey PRIMARY KEY (one),
  constraint event_tail_one_check CHECK (one)
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

create table installation (
  id uuid not null
);
CREATE UNIQUE INDEX installation_is_one ON campanile.installation USING btree ((true));

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
CREATE TRIGGER list_keeps_its_key BEFORE UPDATE OF workspace_id, id ON campanile.list FOR EACH ROW WHEN (((old.workspace_id IS DISTINCT FROM new.workspace_id) OR (old.id IS DISTINCT FROM new.id))) EXECUTE FUNCTION refuse_another_key();
CREATE TRIGGER list_takes_its_members AFTER DELETE ON campanile.list REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION delete_members();

create table list_member (
  workspace_id uuid not null,
  list_id uuid not null,
  contact_id uuid not null,
  ordinal bigint not null generated always as identity,
  constraint list_member_pkey PRIMARY KEY (list_id, contact_id),
  constraint list_member_workspace_id_contact_id_fkey FOREIGN KEY (workspace_id, contact_id) REFERENCES contact(workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX list_member_contact ON campanile.list_member USING btree (workspace_id, contact_id);
CREATE UNIQUE INDEX list_member_order ON campanile.list_member USING btree (list_id, ordinal);
CREATE TRIGGER member_has_a_list AFTER INSERT ON campanile.list_member REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION members_have_a_list();
CREATE TRIGGER moved_member_has_a_list AFTER UPDATE ON campanile.list_member REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION members_have_a_list();

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
CREATE INDEX message_due ON campanile.message USING btree (campaign_id, due_at) WHERE (state = 'queued'::text);
CREATE INDEX message_handing ON campanile.message USING btree (lease_until) WHERE (state = 'handing'::text);
CREATE INDEX message_in_doubt ON campanile.message USING btree (campaign_id, stage, "position") WHERE (state = ANY (ARRAY['uncertain'::text, 'queued'::text]));
CREATE INDEX message_not_accepted ON campanile.message USING btree (campaign_id, state, "position") WHERE (state <> 'accepted'::text);

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
CREATE INDEX receipt_sent_ref ON campanile.receipt USING hash (provider_ref) WHERE (kind = 'sent'::text);

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

create table regression (
  id bigint not null generated always as identity,
  what text not null,
  noticed_at timestamp with time zone not null,
  accepted_at timestamp with time zone,
  constraint regression_pkey PRIMARY KEY (id)
);

create table segment (
  workspace_id uuid not null,
  id uuid not null,
  name text not null,
  filter jsonb not null,
  created_at timestamp with time zone not null default clock(),
  constraint segment_pkey PRIMARY KEY (workspace_id, id),
  constraint segment_workspace_id_name_key UNIQUE (workspace_id, name),
  constraint segment_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id)
);

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

create table watermark (
  owner uuid not null,
  at timestamp with time zone not null,
  constraint watermark_pkey PRIMARY KEY (owner)
) with (fillfactor=50);

create table webhook_delivery (
  id text not null,
  workspace_id uuid not null,
  endpoint_id uuid not null,
  campaign_id uuid not null,
  seq bigint not null,
  event_at timestamp with time zone not null,
  state text not null default 'pending'::text,
  attempts integer not null default 0,
  due_at timestamp with time zone not null,
  token bigint not null default 0,
  lease_until timestamp with time zone,
  last_status integer,
  last_cause text,
  delivered_at timestamp with time zone,
  constraint webhook_delivery_pkey PRIMARY KEY (id),
  constraint webhook_delivery_endpoint_id_campaign_id_seq_key UNIQUE (endpoint_id, campaign_id, seq),
  constraint webhook_delivery_campaign_id_seq_fkey FOREIGN KEY (campaign_id, seq) REFERENCES event(campaign_id, seq) ON DELETE CASCADE,
  constraint webhook_delivery_workspace_id_campaign_id_fkey FOREIGN KEY (workspace_id, campaign_id) REFERENCES campaign(workspace_id, id),
  constraint webhook_delivery_workspace_id_endpoint_id_fkey FOREIGN KEY (workspace_id, endpoint_id) REFERENCES webhook_endpoint(workspace_id, id),
  constraint delivered_says_when CHECK (((state = 'delivered'::text) = (delivered_at IS NOT NULL))),
  constraint webhook_delivery_id_check CHECK ((id ~~ 'msg\_%'::text)),
  constraint webhook_delivery_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text])))
);
CREATE INDEX webhook_delivery_due ON campanile.webhook_delivery USING btree (endpoint_id, due_at) WHERE (state = 'pending'::text);
CREATE INDEX webhook_delivery_leased ON campanile.webhook_delivery USING btree (endpoint_id, lease_until) WHERE (lease_until IS NOT NULL);
CREATE INDEX webhook_delivery_told ON campanile.webhook_delivery USING btree (endpoint_id, state, event_at, id);

create table webhook_endpoint (
  workspace_id uuid not null,
  id uuid not null,
  url text not null,
  events text[],
  secret bytea,
  previous_secret bytea,
  previous_secret_until timestamp with time zone,
  disabled_at timestamp with time zone,
  disabled_reason text,
  created_at timestamp with time zone not null default clock(),
  deleted_at timestamp with time zone,
  constraint webhook_endpoint_pkey PRIMARY KEY (workspace_id, id),
  constraint webhook_endpoint_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspace(id),
  constraint deleted_is_disabled CHECK (((deleted_at IS NULL) OR (disabled_at IS NOT NULL))),
  constraint enabled_can_sign CHECK (((disabled_at IS NOT NULL) OR (secret IS NOT NULL))),
  constraint previous_has_an_end CHECK (((previous_secret IS NULL) = (previous_secret_until IS NULL))),
  constraint webhook_endpoint_events_check CHECK ((cardinality(events) > 0))
);
CREATE INDEX webhook_endpoint_enabled ON campanile.webhook_endpoint USING btree (workspace_id) WHERE (disabled_at IS NULL);

create table workspace (
  id uuid not null,
  name text not null,
  created_at timestamp with time zone not null default clock(),
  constraint workspace_pkey PRIMARY KEY (id)
);
