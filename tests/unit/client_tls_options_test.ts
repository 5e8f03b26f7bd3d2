/** Whom the client trusts: the server's name, and the CA that signed its certificate. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { tlsOptions } from "../../client/connection/tls_options.ts";
import { parseAddress } from "../../client/endpoint/address.ts";
import { readIdentity } from "../../client/endpoint/identity.ts";
import { Authority } from "../support/client_certificates.ts";

const authority = await Authority.create();
const namesake = await Authority.create("test CA");
const alice = await authority.issue({ name: "alice" });
const server = await authority.issue({ name: "server" });
const impostor = await namesake.issue({ name: "server" });

/** A peer's certificate as node:tls hands it over. */
function peer(pem: string, subjectaltname: string): PeerCertificate {
  const { raw } = new X509Certificate(pem);
  return { raw, subjectaltname, subject: { CN: "server" } } as unknown as PeerCertificate;
}

/** What the check says of a server with these names; undefined: it is trusted. */
function check(host: string, names: string, { pem = server.cert, ca = authority.cert } = {}) {
  const text = alice.key + alice.cert + authority.cert;
  const identity = {
    ...readIdentity({ identity: "me" }, { nowMs: Date.now(), read: () => text }),
    ca,
  };
  const options = tlsOptions({ address: parseAddress(host), identity });
  // The runtime passes the name of the handshake, which is not the one that counts.
  const problem = options.checkServerIdentity("whatever", peer(pem, names)) as
    | Error & { code?: string }
    | undefined;
  return problem?.code;
}

const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
const WRONG_CA = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";

for (
  const [host, names] of [
    ["localhost:1", "DNS:localhost"],
    ["worker1.lan.example:1", "DNS:*.lan.example"],
    ["192.0.2.7:1", "IP Address:192.0.2.7"],
    ["[2001:db8::7]:1", "IP Address:2001:db8:0:0:0:0:0:7"],
    ["b.example:1", "DNS:a.example, DNS:b.example"],
  ] as const
) {
  Deno.test(`tlsOptions: a server with ${names} is trusted as ${host}`, () => {
    assert.equal(check(host, names), undefined);
  });
}

for (
  const [host, names] of [
    ["localhost:1", "DNS:elsewhere"],
    ["localhost:1", "DNS:localhost.example"],
    ["localhost:1", "IP Address:127.0.0.1"],
    ["127.0.0.1:1", "DNS:localhost"],
    ["127.0.0.1:1", "DNS:address.job-worker.invalid"],
    ["127.0.0.1:1", "IP Address:127.0.0.2"],
    ["a.b.lan.example:1", "DNS:*.lan.example"],
    ["worker1:1", "DNS:worker10"],
  ] as const
) {
  Deno.test(`tlsOptions: a server with ${names} is not trusted as ${host}`, () => {
    assert.equal(check(host, names), WRONG_NAME);
  });
}

Deno.test("tlsOptions: another CA's signature is not trusted, not even that of a namesake", () => {
  assert.equal(check("localhost:1", "DNS:localhost", { pem: impostor.cert }), WRONG_CA);
});

Deno.test("tlsOptions: any CA of the file may have signed it", () => {
  const ca = namesake.cert + authority.cert;
  assert.equal(check("localhost:1", "DNS:localhost", { ca }), undefined);
});

Deno.test("tlsOptions: an address is never sent as SNI, a name is", () => {
  const text = alice.key + alice.cert + authority.cert;
  const identity = readIdentity({ identity: "me" }, { nowMs: Date.now(), read: () => text });
  const servername = (address: string) =>
    tlsOptions({ address: parseAddress(address), identity }).servername;
  assert.equal(servername("worker1:1"), "worker1");
  assert.equal(servername("127.0.0.1:1"), "address.job-worker.invalid");
  assert.equal(servername("[::1]:1"), "address.job-worker.invalid");
});
