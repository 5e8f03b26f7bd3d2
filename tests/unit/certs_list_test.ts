/** The CA's list of revoked certificates, as the certificate tool goes on from it. */
import { strict as assert } from "node:assert";
import { CertsError } from "../../certs/errors.ts";
import { numberOf, parseList, serialsOf } from "../../certs/revocation_list.ts";
import { Extension } from "../../certs/x509.ts";
import { pemBlocks, toPem } from "../../common/pem.ts";
import { FIRST_SERIAL, rawList } from "../support/raw_list.ts";
import { TestAuthority } from "../support/tls_certificates.ts";

const ca = await TestAuthority.create();

function parse(pem: string) {
  const [block] = pemBlocks(pem);
  assert(block);
  return parseList(block, "ca.crl");
}

Deno.test("parseList: reads thousands of entries, which the CA has signed", async () => {
  const list = parse(rawList(ca, { count: 4_000 }));
  const serials = serialsOf(list);
  assert.equal(serials.size, 4_000);
  assert(serials.has((FIRST_SERIAL + 3_999n).toString(16).toUpperCase()));
  assert(await list.verify({ publicKey: ca.keys.publicKey }));
  const namesake = await TestAuthority.create();
  assert(!await list.verify({ publicKey: namesake.keys.publicKey }));
});

Deno.test("parseList: a list without a number has the number 0", async () => {
  assert.equal(numberOf(parse(await ca.revoke(["01"]))), 0);
  assert.equal(numberOf(undefined), 0);
});

Deno.test("parseList: a list that promises no next one has its number", async () => {
  const extensions = [new Extension("2.5.29.20", false, new Uint8Array([2, 1, 7]))];
  for (const serials of [[], ["01"]]) {
    const list = parse(await ca.revoke(serials, { nextAtMs: null, extensions }));
    assert.deepEqual([numberOf(list), serialsOf(list).size], [7, serials.length]);
    assert(await list.verify({ publicKey: ca.keys.publicKey }));
  }
});

for (const [what, pem] of [["junk", toPem("X509 CRL", new Uint8Array(40))], ["no list", ca.cert]]) {
  Deno.test(`parseList: ${what} is damaged`, () => {
    assert.throws(
      () => parse(pem ?? ""),
      (error) =>
        error instanceof CertsError && /^cannot read ca\.crl: .*damaged$/.test(error.message),
    );
  });
}
