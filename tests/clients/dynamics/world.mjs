// The simulated environment that the tests of this folder are clients of.
//
// `TRUCE_SIMULATOR` holds the line that `truce simulate dynamics` prints, and `TRUCE_NODE_HOME` the
// folder with the packages of package.json. The certificate to trust is Node's own matter:
// NODE_EXTRA_CA_CERTS names it, since the library makes connections of its own.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

const require = createRequire(join(process.env.TRUCE_NODE_HOME, "package.json"));
const { DynamicsWebApi } = require("dynamics-web-api");

export const TOLD = JSON.parse(process.env.TRUCE_SIMULATOR);
export const API = `${TOLD.base_url}/api/data/v9.2/`;
export const KIND = "Microsoft.Dynamics.CRM.contact";

let numbers = 0;

/** A value that no other record has. */
export const unique = () => `client-${(numbers += 1)}`;

/** Gives an order at the control address. */
export async function order(path, what = {}) {
  const answer = await fetch(TOLD.control_url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(what),
  });
  assert.equal(answer.status, 200, `${path}: ${await answer.clone().text()}`);
  return answer.json();
}

/** A token for the app. */
export async function token() {
  const answer = await fetch(TOLD.token_url, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: TOLD.client_id,
      client_secret: TOLD.client_secret,
      scope: TOLD.scope,
    }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).access_token;
}

/** A client of its own, which asks for a token when it is refused one. */
export function connect() {
  let known;
  return new DynamicsWebApi({
    serverUrl: `${TOLD.base_url}/`,
    dataApi: { version: "9.2" },
    onTokenRefresh: async () => (known ??= await token()),
    propagateErrors: true,
  });
}

/** The call must fail with this status and code. */
export async function refused(call, status, code) {
  const error = await call.then(
    () => assert.fail(`expected ${status}, and the call succeeded`),
    (error) => error,
  );
  assert.equal(error.status, status, error.message);
  if (code) assert.equal(error.code.toLowerCase(), code.toLowerCase());
  return error;
}

/** A test with a fresh environment. */
export function story(claim, tell) {
  test(claim, async () => {
    await order("/reset");
    await order("/clock", { offset_s: 0, scale: 1 });
    await tell(connect());
  });
}
