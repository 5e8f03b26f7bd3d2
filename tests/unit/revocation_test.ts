import assert from "node:assert/strict";
import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { Extension } from "../../certs/x509.ts";
import { toPem } from "../../common/pem.ts";
import { readRevocationFile, Revocations } from "../../lib/tls/revocation_file.ts";
import {
  formatRevocationLists,
  parseRevocationLists,
  replaceLists,
  type RevocationList,
} from "../../lib/tls/revocation_list.ts";
import { FIRST_SERIAL, rawList } from "../support/raw_list.ts";
import { DAY_MS, TestAuthority } from "../support/tls_certificates.ts";

const NOW_MS = Date.now();
const HOUR_MS = 3_600_000;
const ca = await TestAuthority.create();
const other = await TestAuthority.create({ name: "other CA" });
const namesake = await TestAuthority.create();
const authorities = [ca.certificate, other.certificate];
const context = { authorities, nowMs: NOW_MS };

function parse(pem: string): RevocationList[] {
  return parseRevocationLists(pem, context);
}

function serialsOf(lists: readonly RevocationList[]): string[][] {
  return lists.map(({ serials }) => [...serials].sort());
}

const hourAgo = (serials: readonly string[]) => ca.revoke(serials, { madeAtMs: NOW_MS - HOUR_MS });

Deno.test("parseRevocationLists: gives serials, times and the list itself", async () => {
  const madeAtMs = 1_700_000_000_000;
  const nextAtMs = 1_700_086_400_000;
  const pem = await ca.revoke(["00ab", "01", "7f00ff"], { madeAtMs, nextAtMs });
  const [list] = parse(pem);
  assert.deepEqual([...list?.serials ?? []].sort(), ["1", "7F00FF", "AB"]);
  assert.deepEqual([list?.thisUpdateMs, list?.nextUpdateMs], [madeAtMs, nextAtMs]);
  assert.equal(list && formatRevocationLists([list]), pem);
});

Deno.test("parseRevocationLists: a list need not name the time of the next one", async () => {
  assert.equal(parse(await ca.revoke([], { nextAtMs: null }))[0]?.nextUpdateMs, undefined);
});

Deno.test("parseRevocationLists: reads one list of each CA, and skips other blocks", async () => {
  const pem = ca.cert + await ca.revoke(["01"]) + "text\n" + await other.revoke(["02"]);
  assert.deepEqual(serialsOf(parse(pem)), [["1"], ["2"]]);
});

Deno.test("parseRevocationLists: of two lists of one CA the newer one counts, in any order", async () => {
  const [older, newer] = [await hourAgo(["01"]), await ca.revoke(["02"])];
  for (const pem of [older + newer, newer + older]) {
    assert.deepEqual(serialsOf(parse(pem)), [["2"]]);
  }
});

Deno.test("parseRevocationLists: leaves out lists of unknown issuers", async () => {
  assert.deepEqual(parse(await namesake.revoke(["01"])), []);
  assert.deepEqual(serialsOf(parse(await namesake.revoke(["01"]) + await ca.revoke(["02"]))), [[
    "2",
  ]]);
});

Deno.test("parseRevocationLists: finds the issuer among CAs with other kinds of keys", async () => {
  const rsa = await TestAuthority.create({ kind: "rsa" });
  const mixed = [rsa.certificate, ca.certificate];
  for (const nowMs of [NOW_MS]) {
    const pem = await ca.revoke(["01"]) + await rsa.revoke(["02"]);
    assert.deepEqual(
      serialsOf(parseRevocationLists(pem, { authorities: mixed, nowMs })),
      [["1"], ["2"]],
    );
  }
});

Deno.test("parseRevocationLists: leaves out a list that was changed after it was signed", async () => {
  const [list] = parse(await ca.revoke(["0badcafe"]));
  const hex = list?.der.toHex() ?? "";
  assert.equal(hex.split("0badcafe").length, 2);
  const changed = Uint8Array.fromHex(hex.replace("0badcafe", "0badcaff"));
  assert.deepEqual(parse(toPem("X509 CRL", changed)), []);
});

Deno.test("parseRevocationLists: reads twenty thousand entries, and keeps the thread for a moment", () => {
  const pem = rawList(ca, { count: 20_000 });
  const tries = Array.from({ length: 3 }, () => {
    const beganMs = performance.now();
    const [list] = parse(pem);
    assert.equal(list?.serials.size, 20_000);
    assert(list.serials.has((FIRST_SERIAL + 19_999n).toString(16).toUpperCase()));
    return performance.now() - beganMs;
  });
  // The library took 600 ms for so many, where it was made to take them.
  assert(Math.min(...tries) < 200, `it took ${tries.map(Math.round)} ms`);
});

Deno.test("parseRevocationLists: a list may have no entries, and entries may have extensions", async () => {
  assert.deepEqual(serialsOf(parse(await ca.revoke([]))), [[]]);
  // The reason keyCompromise (RFC 5280, 5.3.1), which is never critical.
  const [list] = parse(rawList(ca, { count: 2, entryEnd: "300c300a0603551d1504030a0101" }));
  assert.equal(list?.serials.size, 2);
});

Deno.test("parseRevocationLists: extensions count where no next list is promised, too", async () => {
  const delta = [new Extension("2.5.29.27", true, new Uint8Array([2, 1, 1]))];
  const number = [new Extension("2.5.29.20", false, new Uint8Array([2, 1, 7]))];
  for (const serials of [[], ["01"]]) {
    const incomplete = await ca.revoke(serials, { nextAtMs: null, extensions: delta });
    assert.throws(() => parse(incomplete), /it is not a complete list \(extension 2\.5\.29\.27\)/);
    const [list] = parse(await ca.revoke(serials, { nextAtMs: null, extensions: number }));
    assert.deepEqual([list?.number, list?.serials.size], [7n, serials.length]);
  }
});

Deno.test("parseRevocationLists: a list that is changed anywhere says nothing else", () => {
  const [list] = parse(rawList(ca, { count: 2 }));
  assert(list);
  const { der: _own, ...content } = list;
  for (const [index, byte] of list.der.entries()) {
    for (const wrong of [byte ^ 0x01, byte ^ 0x80, 0x00, 0xff]) {
      if (wrong === byte) continue;
      let read: RevocationList[];
      try {
        read = parse(toPem("X509 CRL", list.der.with(index, wrong)));
      } catch (error) {
        assert.match(String(error), /holds a list that cannot be decoded/);
        continue;
      }
      // Outside of what is signed the library takes more than one form.
      for (const { der: _changed, ...other } of read) {
        assert.deepEqual(other, content, `byte ${index} is ${wrong}`);
      }
    }
    assert.throws(
      () => parse(toPem("X509 CRL", list.der.slice(0, index))),
      /cannot be decoded/,
      `it ends at byte ${index}`,
    );
  }
});

const good = await ca.revoke(["01"]);

const REFUSED: readonly (readonly [what: string, pem: string, reason: RegExp])[] = [
  ["nothing", "", /holds no list in PEM .*convert other forms with openssl crl/],
  ["a text", "hello", /holds no list in PEM/],
  ["a certificate", ca.cert, /holds no list in PEM/],
  [
    "a list that is cut off",
    good.slice(0, -20),
    /it is cut off, "-----END X509 CRL-----" is missing/,
  ],
  ["a good list and one that is cut off", good + good.slice(0, -20), /it is cut off/],
  ["junk", toPem("X509 CRL", new Uint8Array(40)), /holds a list that cannot be decoded/],
  [
    "a certificate with the label of a list",
    ca.cert.replaceAll("CERTIFICATE", "X509 CRL"),
    /decoded/,
  ],
  [
    // The certificate's issuer, which is another one than the list's (RFC 5280, 5.3.3).
    "a list of certificates of other CAs",
    rawList(ca, { count: 2, entryEnd: "300e300c0603551d1d0101ff04023000" }),
    /it is not a complete list \(extension 2\.5\.29\.29\); give a complete one/,
  ],
  ["a good list and junk", good + toPem("X509 CRL", new Uint8Array(40)), /cannot be decoded/],
  [
    "a list from the future",
    await ca.revoke([], { madeAtMs: NOW_MS + HOUR_MS }),
    /it was made at \S+Z, which is in the future: check the clock/,
  ],
  [
    "a delta list",
    await ca.revoke([], {
      extensions: [new Extension("2.5.29.27", true, new Uint8Array([2, 1, 1]))],
    }),
    /it is not a complete list \(extension 2\.5\.29\.27\); give a complete one/,
  ],
];

for (const [what, pem, reason] of REFUSED) {
  Deno.test(`parseRevocationLists: refuses ${what}`, () => {
    assert.throws(() => parse(pem), reason);
  });
}

Deno.test("parseRevocationLists: an extension that is not critical changes nothing", async () => {
  const extensions = [new Extension("2.5.29.20", false, new Uint8Array([2, 1, 1]))];
  assert.deepEqual(serialsOf(parse(await ca.revoke(["01"], { extensions }))), [["1"]]);
});

Deno.test("replaceLists: a newer list replaces that of its CA alone", async () => {
  const inForce = [...parse(await hourAgo(["01"])), ...parse(await other.revoke(["02"]))];
  const found = parse(await ca.revoke(["03"]));
  assert.deepEqual(serialsOf(replaceLists(inForce, found)), [["3"], ["2"]]);
  assert.deepEqual(serialsOf(replaceLists([], found)), [["3"]]);
  assert.deepEqual(serialsOf(replaceLists(inForce, [])), [["1"], ["2"]]);
});

Deno.test("replaceLists: an older list is an error that names both times", async () => {
  const [older] = parse(await ca.revoke([], { madeAtMs: 1_700_000_000_000 }));
  const [newer] = parse(await ca.revoke(["01"], { madeAtMs: 1_700_000_001_000 }));
  assert.ok(older !== undefined && newer !== undefined);
  assert.throws(
    () => replaceLists([newer], [older]),
    /it was made at 2023-11-14T22:13:20\.000Z, before the one in force, made at 2023-11-14T22:13:21/,
  );
  assert.deepEqual(serialsOf(replaceLists([older], [newer])), [["1"]]);
  assert.deepEqual(serialsOf(replaceLists([newer], [newer])), [["1"]]);
});

/** A list of a fixed second, with a number unless it is undefined. */
async function numbered(serials: readonly string[], number?: string): Promise<RevocationList> {
  const extensions = number === undefined
    ? []
    : [new Extension("2.5.29.20", false, Uint8Array.fromHex(number))];
  const [list] = parse(await ca.revoke(serials, { madeAtMs: 1_700_000_000_000, extensions }));
  assert.ok(list !== undefined);
  return list;
}

Deno.test("replaceLists: of lists of one second the higher number counts, whatever its length", async () => {
  // DER integers: 1, 2, 200, 2^31, 2^64.
  const numbers = [
    undefined,
    "020101",
    "020102",
    "020200c8",
    "02050080000000",
    "0209010000000000000000",
  ];
  const lists = await Promise.all(numbers.map((number, index) => numbered([`0${index}`], number)));
  const sorted = lists.map(({ number }) => number);
  assert.deepEqual(sorted, [-1n, 1n, 2n, 200n, 2n ** 31n, 2n ** 64n]);
  for (const [index, newer] of lists.entries()) {
    for (const older of lists.slice(0, index)) {
      assert.deepEqual(replaceLists([older], [newer]), [newer]);
      assert.throws(
        () => replaceLists([newer], [older]),
        /its number is not higher: make a new one/,
      );
      const pems = [older, newer].map((list) => formatRevocationLists([list]));
      for (const pem of [pems.join(""), pems.toReversed().join("")]) {
        assert.deepEqual(serialsOf(parse(pem)), serialsOf([newer]));
      }
    }
  }
});

Deno.test("replaceLists: a list of the same second and number lets nobody in again", async () => {
  for (const number of [undefined, "020107"]) {
    const [none, one, both] = [
      await numbered([], number),
      await numbered(["01"], number),
      await numbered(["01", "02"], number),
    ];
    assert.deepEqual(replaceLists([none], [both]), [both]);
    assert.deepEqual(replaceLists([one], [both]), [both]);
    assert.deepEqual(replaceLists([both], [both]), [both]);
    assert.throws(() => replaceLists([both], [one]), /its number is not higher/);
    assert.throws(() => replaceLists([one], [none]), /its number is not higher/);
  }
});

Deno.test("parseRevocationLists: a number that is none is refused", async () => {
  await assert.rejects(numbered([], "040101"), /a list whose number cannot be decoded/);
});

/** A folder with a file of lists and the folder of the server's copy. */
function testFolder() {
  const folder = Deno.makeTempDirSync({ prefix: "revocation-" });
  const file = join(folder, "ca.crl");
  return {
    folder,
    file,
    copy: join(folder, "revoked.crl"),
    put: (pem: string) => Deno.writeTextFileSync(file, pem),
    open: () => Revocations.open(file, { ...context, logFolder: folder }),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

Deno.test("readRevocationFile: a file that does not exist is not an error", async () => {
  using world = testFolder();
  assert.equal(await readRevocationFile(world.file, context), undefined);
});

Deno.test("readRevocationFile: names the file and the problem", async () => {
  using world = testFolder();
  world.put("garbage");
  const rejects = (reason: RegExp, file = world.file) =>
    assert.rejects(readRevocationFile(file, context), reason);
  await rejects(/^Error: cannot use the revocation list \S+ca\.crl: it holds no list in PEM/);
  world.put(await namesake.revoke([]));
  await rejects(/the revocation list \S+ca\.crl is not signed by a CA that is trusted here$/);
  await rejects(/^Error: cannot read the revocation list /, world.folder);
  Deno.truncateSync(world.file, 1024 ** 2 + 1);
  await rejects(/cannot read the revocation list \S+: it is longer than 1 MiB/);
});

Deno.test("Revocations: nothing is in force without a file and a copy", async () => {
  using world = testFolder();
  const revocations = await world.open();
  assert.equal(await revocations.refresh(context), false);
  assert.deepEqual(revocations.lists, []);
});

Deno.test("Revocations: puts a list in force once, and keeps a copy for its owner alone", async () => {
  using world = testFolder();
  const revocations = await world.open();
  world.put(await ca.revoke(["01"]));
  assert.equal(await revocations.refresh(context), true);
  assert.equal(await revocations.refresh(context), false);
  assert.deepEqual(serialsOf(revocations.lists), [["1"]]);
  assert.equal(Deno.readTextFileSync(world.copy), Deno.readTextFileSync(world.file));
  assert.equal((Deno.statSync(world.copy).mode ?? 0) & 0o777, 0o600);
});

Deno.test("Revocations: what has not changed is not looked at again, unless another CA is trusted", async () => {
  using world = testFolder();
  const revocations = await world.open();
  let looks = 0;
  const counted = {
    get publicKey() {
      looks++;
      return ca.certificate.publicKey;
    },
  } as X509Certificate;
  const alone = { authorities: [counted], nowMs: NOW_MS };
  world.put(good + await other.revoke(["02"]));
  assert.equal(await revocations.refresh(alone), true);
  const before = looks;
  assert.equal(await revocations.refresh(alone), false);
  assert.equal(looks, before);
  const both = { authorities: [counted, other.certificate], nowMs: NOW_MS };
  assert.equal(await revocations.refresh(both), true);
  assert.deepEqual(serialsOf(revocations.lists), [["1"], ["2"]]);
  // A file that was put back holds again what is in force, and is not taken for what stood between.
  world.put("junk");
  await assert.rejects(revocations.refresh(both), /holds no list/);
  world.put(await ca.revoke(["03"]));
  assert.equal(await revocations.refresh(both), true);
});

const BROKEN: readonly (readonly [what: string, pem: string | undefined, reason: RegExp])[] = [
  ["a deleted file", undefined, /ca\.crl no longer exists; put it back/],
  ["an empty file", "", /holds no list in PEM/],
  ["half a file", good.slice(0, good.length / 2), /it is cut off/],
  [
    "a list of an unknown issuer",
    await namesake.revoke([]),
    /is not signed by a CA that is trusted/,
  ],
  ["an older list", await hourAgo([]), /before the one in force/],
];

for (const [what, pem, reason] of BROKEN) {
  Deno.test(`Revocations: ${what} changes nothing, also after a restart`, async () => {
    using world = testFolder();
    const revocations = await world.open();
    world.put(good);
    await revocations.refresh(context);
    if (pem === undefined) Deno.removeSync(world.file);
    else world.put(pem);
    await assert.rejects(revocations.refresh(context), reason);
    assert.deepEqual(serialsOf(revocations.lists), [["1"]]);
    const restarted = await world.open();
    assert.deepEqual(serialsOf(restarted.lists), [["1"]]);
    await assert.rejects(restarted.refresh(context), reason);
    assert.deepEqual(serialsOf(restarted.lists), [["1"]]);
  });
}

Deno.test("Revocations: a newer list without a serial ends its revocation", async () => {
  using world = testFolder();
  const revocations = await world.open();
  world.put(await hourAgo(["01"]));
  await revocations.refresh(context);
  world.put(await ca.revoke(["02"]));
  assert.equal(await revocations.refresh(context), true);
  assert.deepEqual(serialsOf(revocations.lists), [["2"]]);
  assert.deepEqual(serialsOf((await world.open()).lists), [["2"]]);
});

Deno.test("Revocations: the list of a CA stays in force when the file has another CA's only", async () => {
  using world = testFolder();
  const revocations = await world.open();
  world.put(await ca.revoke(["01"]));
  await revocations.refresh(context);
  world.put(await other.revoke(["02"]));
  assert.equal(await revocations.refresh(context), true);
  assert.deepEqual(serialsOf(revocations.lists), [["1"], ["2"]]);
});

Deno.test("Revocations: a list that cannot be copied is not in force", async () => {
  using world = testFolder();
  const revocations = await world.open();
  world.put(good);
  Deno.mkdirSync(world.copy);
  await assert.rejects(revocations.refresh(context), /cannot keep a copy of the revocation list: /);
  assert.deepEqual(revocations.lists, []);
  Deno.removeSync(world.copy);
  assert.equal(await revocations.refresh(context), true);
});

Deno.test("Revocations: a damaged copy is an error, one of a removed CA is left out", async () => {
  using world = testFolder();
  Deno.writeTextFileSync(world.copy, await namesake.revoke(["01"]));
  assert.deepEqual((await world.open()).lists, []);
  Deno.writeTextFileSync(world.copy, "garbage");
  await assert.rejects(world.open(), /cannot use the revocation list \S+revoked\.crl: it holds no/);
});

Deno.test("Revocations: a list that is late stays in force", async () => {
  using world = testFolder();
  const revocations = await world.open();
  world.put(await ca.revoke(["01"], { madeAtMs: NOW_MS - 2 * DAY_MS, nextAtMs: NOW_MS - DAY_MS }));
  assert.equal(await revocations.refresh(context), true);
  assert.deepEqual(serialsOf(revocations.lists), [["1"]]);
});
