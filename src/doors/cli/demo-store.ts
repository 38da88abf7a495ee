import { connect } from "../../runtime/postgres.ts";

/** A database of its own on the server that DATABASE_URL names, so that the demo leaves nothing behind in yours. */
export async function borrowDatabase(server: string, name: string): Promise<{ url: string; giveBack(): Promise<void> }> {
  const admin = connect(server, { max: 1, applicationName: "campanile demo" });
  await admin`create database ${admin(name)} template template0 encoding 'UTF8'`;
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    giveBack: async () => {
      await admin`drop database if exists ${admin(name)} with (force)`;
      await admin.end({ timeout: 1 });
    },
  };
}
