// The addresses and credentials that ./run passes to the tests.

function variable(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run ./run`);
  }
  return value;
}

export const authURL = `http://${variable("AUTH_ADDR")}`;
export const gatewayURL = variable("GATEWAY_URL");
export const apiKey = variable("API_KEY");
export const checkerToken = variable("CHECKER_TOKEN");
export const viewerToken = variable("VIEWER_TOKEN");
export const workspaceId = "acme";
