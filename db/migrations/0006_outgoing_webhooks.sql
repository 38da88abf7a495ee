-- Outgoing webhooks: what happens to a campaign (event) is told to every address that asked for it. A delivery is made in the
-- transaction of its event: none is lost, none is invented.

create table webhook_endpoint (
  workspace_id uuid not null references workspace (id),
  id uuid not null,
  url text not null,
  events text[] check (cardinality(events) > 0),               -- null: all
  secret bytea,                                                -- sealed; null once it is deleted
  previous_secret bytea,                                       -- sealed; signs too, until
  previous_secret_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text,                                        -- null: by hand
  created_at timestamptz not null default campanile.clock(),
  deleted_at timestamptz,
  primary key (workspace_id, id),
  constraint deleted_is_disabled check (deleted_at is null or disabled_at is not null),
  constraint enabled_can_sign check (disabled_at is not null or secret is not null),
  constraint previous_has_an_end check ((previous_secret is null) = (previous_secret_until is null))
);
-- All that an event costs where nobody asked to be told.
create index webhook_endpoint_enabled on webhook_endpoint (workspace_id) where disabled_at is null;

-- One event on its way to one endpoint. What is said stands in the event, and so it is the same each time. An endpoint is never deleted
-- for good: these foreign keys lock no row against an update, and whoever writes an event waits for nobody.
create table webhook_delivery (
  id text primary key check (id like 'msg\_%'),                -- webhook-id: by it a receiver knows what it has seen
  workspace_id uuid not null,
  endpoint_id uuid not null,
  campaign_id uuid not null,
  seq bigint not null,
  event_at timestamptz not null,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
  attempts int not null default 0,
  due_at timestamptz not null,                                 -- while it is leased: when the lease ends
  token bigint not null default 0,                             -- raised by each lease; an answer under an older one is not recorded
  lease_until timestamptz,
  last_status int,
  last_cause text,
  delivered_at timestamptz,
  unique (endpoint_id, campaign_id, seq),
  foreign key (workspace_id, endpoint_id) references webhook_endpoint (workspace_id, id),
  foreign key (workspace_id, campaign_id) references campaign (workspace_id, id),
  foreign key (campaign_id, seq) references event (campaign_id, seq) on delete cascade,
  constraint delivered_says_when check ((state = 'delivered') = (delivered_at is not null))
);
create index webhook_delivery_due on webhook_delivery (endpoint_id, due_at) where state = 'pending';
create index webhook_delivery_leased on webhook_delivery (endpoint_id, lease_until) where lease_until is not null;
create index webhook_delivery_told on webhook_delivery (endpoint_id, state, event_at, id);

create function campanile.deliver_event() returns trigger language plpgsql as $$
begin
  insert into campanile.webhook_delivery (id, workspace_id, endpoint_id, campaign_id, seq, event_at, due_at)
    select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.workspace_id, w.id, new.campaign_id, new.seq, new.at, new.at
    from campanile.campaign c join campanile.webhook_endpoint w on w.workspace_id = c.workspace_id
    where c.id = new.campaign_id and w.disabled_at is null and (w.events is null or new.name = any (w.events));
  return null;
end $$;
create trigger event_is_delivered after insert on event for each row execute function campanile.deliver_event();
