// The certified OpenID provider `oidc-provider` on loopback, as the stories need it.
//
// Settings are environment variables: AT_TTL and RT_TTL (seconds), ROTATE (0: refresh tokens stay), MAX_LIFE
// (seconds). Ends when stdin closes. On stdout one JSON line says {"ready":true,"issuer","version"}, then one
// line an event, with the true cause of an error, which the provider does not tell clients.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const setting = (name, fallback) => Number(process.env[name] ?? fallback);
const accessTokenTtl = setting('AT_TTL', 60);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const LOGIN_GRANTS = ['authorization_code', 'refresh_token', DEVICE_CODE];
const CALLBACKS = ['/callback', '/_ccproxy/callback'];
const REDIRECTS = ['127.0.0.1', 'localhost', '[::1]'].flatMap((host) => CALLBACKS.map((path) => `http://${host}${path}`));

/** A client that logs people in; `native` lets any loopback port pass (RFC 8252 section 7.3). */
const login = (id, method, more = {}) => ({
  client_id: id,
  token_endpoint_auth_method: method,
  application_type: 'native',
  grant_types: LOGIN_GRANTS,
  response_types: ['code'],
  redirect_uris: REDIRECTS,
  ...more,
});

/** A client that acts for itself. */
const service = (id, secret, grants) => ({
  client_id: id,
  client_secret: secret,
  grant_types: grants,
  response_types: [],
  redirect_uris: [],
});

const withService = { grant_types: [...LOGIN_GRANTS, 'client_credentials'] };
const clients = [
  login('native', 'none'),
  login('web', 'client_secret_basic', { client_secret: 'web-secret', ...withService }),
  login('webpost', 'client_secret_post', { client_secret: 'webpost-secret', ...withService }),
  // Every character that form-urlencoding changes (RFC 6749 section 2.3.1).
  service('svc', 'svc:se+cr/et %', ['client_credentials']),
  service('rs', 'rs-secret', []),
];

const findAccount = async (_ctx, id) => ({
  accountId: id,
  claims: async () => ({ sub: id, name: `User ${id}`, email: `${id}@example.test`, email_verified: true }),
});

const signingKey = (type, options, alg) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: alg };
};

const anyone = async () => true;
const configuration = {
  clients,
  findAccount,
  jwks: {
    keys: [signingKey('rsa', { modulusLength: 2048 }, 'RS256'), signingKey('ec', { namedCurve: 'P-256' }, 'ES256')],
  },
  cookies: { keys: ['a key for tests'] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'api:read', 'api:write'],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  // With an access token in the same answer, the claims would be at userinfo only.
  conformIdTokenClaims: false,
  pkce: { required: (_ctx, client) => client.clientAuthMethod === 'none' },
  issueRefreshToken: async (_ctx, client, code) =>
    client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: setting('ROTATE', 1) !== 0,
  ttl: {
    AccessToken: accessTokenTtl,
    ClientCredentials: accessTokenTtl,
    RefreshToken: setting('RT_TTL', 3600),
    DeviceCode: 300,
    AuthorizationCode: 60,
    IdToken: 3600,
    Grant: 86400,
    Session: 86400,
    Interaction: 3600,
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    userinfo: { enabled: true },
    revocation: { enabled: true, allowedPolicy: anyone },
    introspection: { enabled: true, allowedPolicy: anyone },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        audience: resource,
        scope: 'api:read api:write',
        accessTokenTTL: accessTokenTtl,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
};

const EVENTS = [
  'authorization.error',
  'device_authorization.error',
  'grant.success',
  'grant.error',
  'grant.revoked',
  'refresh_token.consumed',
  'server_error',
];

/** One line an event: what was asked for, by whom, and what truly went wrong. */
function report(provider) {
  for (const event of EVENTS) {
    provider.on(event, (...args) => {
      const oidc = args.find((arg) => arg?.oidc)?.oidc;
      const error = args.find((arg) => arg instanceof Error);
      say({
        event,
        at_ms: Date.now(),
        grant_type: oidc?.params?.grant_type,
        client: oidc?.client?.clientId,
        error: error?.error,
        detail: error?.error_detail ?? error?.message,
      });
    });
  }
}

function version() {
  const manifest = new URL('./node_modules/oidc-provider/package.json', import.meta.url);
  return JSON.parse(readFileSync(manifest)).version;
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  // The issuer's name is `localhost`: with 127.0.0.1 configured, a client must notice the mismatch.
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  report(provider);
  server.on('request', provider.callback());
  say({ ready: true, issuer, version: version(), node: process.version });
});
process.stdin.on('end', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
setTimeout(() => process.exit(0), setting('MAX_LIFE', 3600) * 1000);
