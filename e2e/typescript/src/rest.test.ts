// Calls over REST with the types that openapi-typescript generates from /openapi.json.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";

import createClient from "openapi-fetch";

import { apiKey, checkerToken, gatewayURL, viewerToken, workspaceId } from "./environment.js";
import type { paths } from "./gen/openapi.js";

const client = (token: string) => createClient<paths>({ baseUrl: gatewayURL, headers: { Authorization: `Bearer ${token}` } });

// listOnce lists the rows of an endpoint. It waits up to ten seconds for the first.
async function listOnce(endpoint: string) {
  for (let attempt = 0; attempt < 100; attempt++) {
    const { data, error } = await client(viewerToken).GET("/v1/workspaces/{workspaceId}/request-logs", {
      params: { path: { workspaceId }, query: { endpoint } },
    });
    assert.equal(error, undefined);
    if (data.requestLogs.length > 0) {
      return data.requestLogs;
    }
    await setTimeout(100);
  }
  throw new Error(`no row of ${endpoint} after ten seconds`);
}

test("a call that was checked over REST is listed", async () => {
  const endpoint = `/v1/agents/rest-${process.pid}`;
  const { data, error } = await client(checkerToken).POST("/v1/check", {
    body: { apiKey, agentType: "agent", method: "GET", endpoint, workspaceId },
  });
  assert.equal(error, undefined);
  assert.equal(data.allowed, true);
  const [row, ...others] = await listOnce(endpoint);
  assert.deepEqual(others, []);
  assert.equal(row?.id, data.requestLogId);
  assert.equal(row.status, 0);
  assert.equal(row.callCount, 1);
});

test("required fields are not optional in the types", async () => {
  const { data: checked, error } = await client(checkerToken).POST("/v1/check", {
    body: { apiKey, agentType: "agent", method: "GET", endpoint: `/v1/agents/present-${process.pid}`, workspaceId },
  });
  assert.equal(error, undefined);
  const { keyId, requestLogId } = checked;
  const key = await client(viewerToken).GET("/v1/workspaces/{workspaceId}/keys/{keyId}", { params: { path: { workspaceId, keyId } } });
  assert.equal(key.error, undefined);
  assert.ok(Date.parse(key.data.key.createTime) <= Date.now());
  assert.equal(key.data.key.expireTime?.length, undefined);
  await listOnce(`/v1/agents/present-${process.pid}`);
  const row = await client(viewerToken).GET("/v1/workspaces/{workspaceId}/request-logs/{requestLogId}", {
    params: { path: { workspaceId, requestLogId } },
  });
  assert.equal(row.error, undefined);
  assert.ok(Date.parse(row.data.requestLog.time) <= Date.now());
  assert.equal(row.data.requestLog.latencyMs, undefined);
});

test("an error has its code and reason", async () => {
  const { error, response } = await client("none").GET("/v1/workspaces/{workspaceId}/request-logs", {
    params: { path: { workspaceId } },
  });
  assert.equal(response.status, 401);
  assert.equal(error?.code, 16);
  assert.equal(error.details[0]?.reason, "TOKEN_INVALID");
});

test("requests outside the document do not compile", () => {
  const unused = () => [
    // @ts-expect-error: agentType is required
    client(checkerToken).POST("/v1/check", { body: { apiKey } }),
    // @ts-expect-error: a page size is a number
    client(viewerToken).GET("/v1/workspaces/{workspaceId}/request-logs", { params: { path: { workspaceId }, query: { pageSize: "10" } } }),
    // @ts-expect-error: there is no such path
    client(viewerToken).GET("/v1/nothing"),
  ];
  assert.ok(unused);
});
