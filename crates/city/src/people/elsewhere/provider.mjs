// A provider of OpenID Connect for the tests: npm's oidc-provider with its own pages for logging in. It prints its issuer.
// Arguments: the address that people are sent back to. The login name is the subject; the groups of each stand below.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const groups = { anna: ["listeners"], bo: ["gardeners"], carla: ["listeners", "bosses"] };
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "hub", client_secret: "between us two", redirect_uris: [process.argv[2]] }],
    claims: { openid: ["sub", "groups"], profile: ["name", "preferred_username"], email: ["email"] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} æøå`, preferred_username: id, email: `${id}@city.example`, groups: groups[id] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
// Ends with whoever started it.
process.stdin.on("end", () => process.exit(0)).resume();
