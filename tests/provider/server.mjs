// A real OpenID provider (oidc-provider, certified) for the tests: node server.mjs PORT REDIRECT_URI LOGOUT_URI
import { Provider } from 'oidc-provider';

const [port, back, out] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const people = {
  ada: { preferred_username: 'Ada', name: 'Ada Lovelace', email: 'ada@example.org', email_verified: true, groups: ['aen'] },
  grace: { preferred_username: 'grace.hopper', name: 'Grace Hopper', email: 'grace@example.org', email_verified: true, groups: ['aen', 'bosses'] },
  eve: { preferred_username: 'eve', name: 'Eve', email: 'eve@elsewhere.example', email_verified: false, groups: [] },
};
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'aen', client_secret: 'a secret of the tests, long enough', redirect_uris: [back], post_logout_redirect_uris: [out],
  }],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['of the tests'] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('up'));
