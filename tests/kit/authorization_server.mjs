// An authorization server (npm `oidc-provider`) with one client that signs in by private_key_jwt (SMART Backend Services).
// Arguments: the client's public keys (a JWK set file). Prints its issuer when it serves.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Provider } = createRequire(`${process.env.CART_TEST_NODE_MODULES}/`)("oidc-provider");
const jwks = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = createServer((request, response) => handle(request, response));
let handle;
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "cart-encounter",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "RS384",
        jwks,
      },
    ],
    clientAuthMethods: ["private_key_jwt"],
    enabledJWA: { clientAuthSigningAlgValues: ["RS384", "ES384"] },
    scopes: ["system/*.read"],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  });
  handle = provider.callback();
  console.log(issuer);
});
