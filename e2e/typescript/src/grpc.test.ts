// Calls over gRPC with the code that protobuf-es generates.
import assert from "node:assert/strict";
import { test } from "node:test";

import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { apiKey, authURL, checkerToken, workspaceId } from "./environment.js";
import { CheckService } from "./gen/keytrail/auth/v1/check_service_pb.js";

function client(token: string) {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createClient(CheckService, createGrpcTransport({ baseUrl: authURL, interceptors: [withToken] }));
}

// reasonOf returns the reason, field 1, of the first error detail, a google.rpc.ErrorInfo.
function reasonOf(error: ConnectError): string {
  const [info] = error.details;
  assert.ok(info && "type" in info);
  assert.equal(info.type, "google.rpc.ErrorInfo");
  const reader = new BinaryReader(info.value);
  assert.equal(reader.tag()[0], 1);
  return reader.string();
}

const call = { agentType: "agent", agentId: "support-bot", method: "POST", endpoint: "/v1/agents/support-bot", workspaceId };

test("a call with a key is allowed and can be reported", async () => {
  const checks = client(checkerToken);
  const decision = await checks.check({ ...call, apiKey });
  assert.equal(decision.allowed, true);
  assert.equal(decision.httpStatus, 200);
  assert.equal(decision.denial, undefined);
  assert.equal(decision.workspaceId, workspaceId);
  assert.equal(decision.keyLast4, apiKey.slice(-4));
  const { refused } = await checks.report({
    outcomes: [
      { reportToken: decision.reportToken, status: 200, latencyMs: 12.5 },
      { reportToken: "forged", status: 200, latencyMs: 12.5 },
    ],
  });
  assert.deepEqual(refused.map(({ index, reason }) => ({ index, reason })), [{ index: 1, reason: "invalid" }]);
});

test("a call without a key is denied with code, message and fix", async () => {
  const decision = await client(checkerToken).check(call);
  assert.equal(decision.allowed, false);
  assert.equal(decision.httpStatus, 401);
  assert.equal(decision.denial?.code, "missing_token");
  assert.equal(decision.denial.message, "No api-key header was sent on the request");
  assert.equal(decision.denial.fix, "Add the header — api-key: sk_<your-secret>");
});

test("a caller without a valid token gets an error with its code and reason", async () => {
  await assert.rejects(client("none").check(call), (thrown) => {
    const error = ConnectError.from(thrown);
    assert.equal(error.code, Code.Unauthenticated);
    assert.equal(reasonOf(error), "TOKEN_INVALID");
    return true;
  });
});

test("a misspelt field does not compile", () => {
  // @ts-expect-error: it is apiKey
  const request: Parameters<ReturnType<typeof client>["check"]>[0] = { ...call, apiToken: "" };
  assert.ok(request);
});
