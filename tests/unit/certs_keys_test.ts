import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { generateKey, isSameKey, KEY_BITS } from "../../certs/keys.ts";
import { testKey } from "../support/keys.ts";

Deno.test("generateKey: makes RSA keys of 4096 bits, each different", async () => {
  const keys = await Promise.all([generateKey(), generateKey()]);
  for (const key of keys) {
    assert.equal(key.asymmetricKeyType, "rsa");
    assert.equal(key.asymmetricKeyDetails?.modulusLength, KEY_BITS);
    assert.equal(key.asymmetricKeyDetails?.publicExponent, 65537n);
  }
  assert.equal(KEY_BITS, 4096);
  assert.equal(isSameKey(...keys), false);
});

Deno.test("isSameKey: compares keys, not how they are written", () => {
  const key = testKey("one");
  const pkcs1 = createPrivateKey(key.export({ type: "pkcs1", format: "pem" }).toString());
  assert.equal(isSameKey(key, pkcs1), true);
  assert.equal(isSameKey(key, testKey("two")), false);
});
