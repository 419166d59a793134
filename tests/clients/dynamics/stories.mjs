// What dynamics-web-api, which others wrote, finds of the simulated Dynamics 365.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { API, KIND, TOLD, order, refused, story, unique } from "./world.mjs";

const contacts = { collection: "contacts" };

async function made(client, count, fields = {}) {
  const targets = Array.from({ length: count }, (_, at) => ({
    "@odata.type": KIND, firstname: `${at}`, ...fields,
  }));
  const answer = await client.callAction({
    ...contacts, actionName: "Microsoft.Dynamics.CRM.CreateMultiple", action: { Targets: targets },
  });
  return answer.Ids;
}

story("the app is who it was announced to be", async (client) => {
  const who = await client.callFunction("WhoAmI");
  assert.equal(who.UserId, TOLD.user_id);
  assert.equal(who.OrganizationId, TOLD.org_id);
});

story("definitions tell what may be written", async (client) => {
  const entityKey = "LogicalName='contact'";
  const table = await client.retrieveEntity({ key: entityKey, select: ["EntitySetName", "ChangeTrackingEnabled"] });
  assert.deepEqual([table.EntitySetName, table.ChangeTrackingEnabled], ["contacts", true]);
  const columns = await client.retrieveAttributes({ entityKey });
  const named = (name) => columns.value.find((column) => column.LogicalName === name);
  assert.equal(named("lastname").MaxLength, 50);
  assert.equal(named("birthdate").DateTimeBehavior.Value, "DateOnly");
  assert.equal(named("new_healthnote").IsSecured, true);
  const cast = "Microsoft.Dynamics.CRM.MultiSelectPicklistAttributeMetadata";
  const multi = await client.retrieveAttributes({ entityKey, castType: cast, expand: [{ property: "OptionSet" }] });
  assert.equal(multi.value[0].OptionSet.Options.length, 9);
  const xml = await client.retrieveCsdlMetadata();
  assert.match(xml, /<EntityType Name="contact"/);
});

story("a record is made, read, changed under its version, deleted", async (client) => {
  const id = await client.create({ ...contacts, data: { lastname: "Bell", donotbulkemail: true } });
  const row = await client.retrieve({ ...contacts, key: id, select: ["fullname", "donotbulkemail", "followemail"] });
  assert.deepEqual([row.fullname, row.donotbulkemail, row.followemail], ["Bell", true, true]);
  const ifmatch = row["@odata.etag"];
  await client.update({ ...contacts, key: id, data: { firstname: "Ada" }, ifmatch });
  await refused(client.update({ ...contacts, key: id, data: { firstname: "Eve" }, ifmatch }), 412, "0x80060882");
  await refused(client.update({ ...contacts, key: randomUUID(), data: { firstname: "Eve" } }), 404, "0x80040217");
  assert.equal(await client.deleteRecord({ ...contacts, key: id }), true);
  await refused(client.retrieve({ ...contacts, key: id, select: ["fullname"] }), 404, "0x80040217");
});

story("an alternate key upserts, and a second record of it is refused", async (client) => {
  const value = unique();
  const key = `new_truceid='${value}'`;
  await client.upsert({ ...contacts, key, data: { lastname: "One" } });
  const first = await client.retrieve({ ...contacts, key, select: ["lastname", "new_truceid"] });
  await client.upsert({ ...contacts, key, data: { lastname: "Two" } });
  const second = await client.retrieve({ ...contacts, key, select: ["lastname"] });
  assert.deepEqual([second.contactid, second.lastname, first.new_truceid], [first.contactid, "Two", value]);
  await refused(client.create({ ...contacts, data: { new_truceid: value } }), 412, "0x80060892");
});

story("pages follow each other by their links", async (client) => {
  await made(client, 7, { jobtitle: "page" });
  const request = { ...contacts, select: ["firstname"], filter: "jobtitle eq 'page'", orderBy: ["firstname desc"], maxPageSize: 3 };
  const names = [];
  let page = await client.retrieveMultiple(request);
  for (;;) {
    names.push(...page.value.map((row) => row.firstname));
    if (!page.oDataNextLink) break;
    assert.ok(page.oDataNextLink.startsWith(API), page.oDataNextLink);
    page = await client.retrieveMultiple(request, page.oDataNextLink);
  }
  assert.deepEqual(names, ["6", "5", "4", "3", "2", "1", "0"]);
  const all = await client.retrieveAll(request);
  assert.equal(all.value.length, 7);
  assert.equal(await client.count({ ...contacts, filter: "firstname eq '3'" }), 1);
});

story("an address that is too long goes as a batch", async (client) => {
  const [id] = await made(client, 1);
  const filter = Array.from({ length: 60 }, () => `contactid eq ${id}`).join(" or ");
  const found = await client.retrieveMultiple({ ...contacts, select: ["firstname"], filter });
  assert.equal(found.value.length, 1);
});

story("changes and deletions come by delta links until they expire", async (client) => {
  const [kept, gone] = await made(client, 2);
  const request = { ...contacts, select: ["lastname"], trackChanges: true };
  const load = await client.retrieveAll({ ...request, maxPageSize: 1 });
  await client.update({ ...contacts, key: kept, data: { lastname: "New" } });
  await client.deleteRecord({ ...contacts, key: gone });
  const changes = await client.retrieveMultiple(request, load.oDataDeltaLink);
  assert.deepEqual(changes.value.map((row) => row.lastname ?? row.id), ["New", gone]);
  const quiet = await client.retrieveMultiple(request, changes.oDataDeltaLink);
  assert.equal(quiet.value.length, 0);
  await order("/tracking", { expire: true });
  await refused(client.retrieveMultiple(request, quiet.oDataDeltaLink), 400, "0x80044352");
});

story("lookups are bound, expanded and let go", async (client) => {
  const account = await client.create({ collection: "accounts", data: { name: "Acme" } });
  const bind = { "parentcustomerid_account@odata.bind": `/accounts(${account})` };
  const id = await client.create({ ...contacts, data: bind });
  const expand = [{ property: "parentcustomerid_account", select: ["name"] }];
  const row = await client.retrieve({ ...contacts, key: id, select: ["_parentcustomerid_value"], expand, includeAnnotations: "*" });
  assert.equal(row._parentcustomerid_value_LogicalName, "account");
  assert.equal(row.parentcustomerid_account.name, "Acme");
  await client.disassociateSingleValued({ ...contacts, primaryKey: id, navigationProperty: "parentcustomerid_account" });
  const free = await client.retrieve({ ...contacts, key: id, select: ["_parentcustomerid_value"] });
  assert.equal(free._parentcustomerid_value, null);
});

story("a change set refers to what it made, and happens whole or not at all", async (client) => {
  client.startBatch();
  client.create({ collection: "accounts", data: { name: "Acme" }, contentId: "1" });
  client.create({ ...contacts, data: { lastname: "Set", "parentcustomerid_account@odata.bind": "$1" } });
  const answers = await client.executeBatch();
  assert.equal(answers.length, 2);
  const [row] = (await client.retrieveMultiple({ ...contacts, filter: "lastname eq 'Set'" })).value;
  assert.equal(row._parentcustomerid_value, answers[0]);

  client.startBatch();
  client.create({ ...contacts, data: { lastname: "Half" } });
  client.update({ ...contacts, key: randomUUID(), data: { lastname: "x" } });
  await client.executeBatch().catch((errors) => errors);
  assert.equal(await client.count({ ...contacts, filter: "lastname eq 'Half'" }), 0);
});

story("a batch goes on behind an error where it is told to", async (client) => {
  client.startBatch();
  client.update({ ...contacts, key: randomUUID(), data: { fax: "1" }, inChangeSet: false });
  client.create({ ...contacts, data: { lastname: "On" }, inChangeSet: false });
  const answers = await client.executeBatch({ continueOnError: true });
  assert.equal(answers[0].status, 404);
  assert.match(answers[1], /^[0-9a-f-]{36}$/);
});

story("many records in one action are all written or none", async (client) => {
  const ids = await made(client, 3);
  const targets = ids.map((contactid) => ({ "@odata.type": KIND, contactid, jobtitle: "x".repeat(101) }));
  const action = { ...contacts, actionName: "Microsoft.Dynamics.CRM.UpdateMultiple", action: { Targets: targets } };
  targets[0].jobtitle = "Dr";
  await refused(client.callAction(action), 400, "0x80044331");
  assert.equal(await client.count({ ...contacts, filter: "jobtitle eq 'Dr'" }), 0);
});

story("who asks too much is told when to come again", async (client) => {
  await client.callFunction("WhoAmI");
  await order("/limits", { used: 6000 });
  const error = await refused(client.callFunction("WhoAmI"), 429, "0x80072322");
  assert.ok(0 < Number(error.headers["retry-after"]), JSON.stringify(error.headers));
});
