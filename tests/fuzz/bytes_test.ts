/** What comes over the wire or lies in files: certificates, lists, messages, frames, the store. */
// Attacks: the parsers of what comes over the wire or lies in files.
import * as fc from "fast-check";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { AnswerReader, FrameError } from "../../client/connection/bulk/answer_reader.ts";
import { CertsError } from "../../certs/errors.ts";
import { isCertificate, isPrivateKey } from "../../common/pem.ts";
import { parsePem } from "../../certs/files.ts";
import { frameMessage, MessageError, MessageReader } from "../../client/connection/messages.ts";
import { ClientTrust } from "../../lib/tls/client_trust.ts";
import { FrameReader } from "../../common/http2_frames.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { TimeIndex } from "../../lib/logs/time_index.ts";
import { parseRevocationLists } from "../../lib/tls/revocation_list.ts";
import {
  decodeRoles,
  encodeRoles,
  RoleError,
  ROLES,
  rolesOfCertificate,
} from "../../lib/tls/role.ts";
import { DEFAULT_ROLE_OID as OID, readRoles } from "../../lib/rbac.ts";
import { JobStore } from "../../lib/store.ts";
import { jobService } from "../../proto/contract.ts";
import { Authority } from "../support/client_certificates.ts";
import { fuzz, mutated, mutatedText, succeeds } from "./fuzz.ts";

const authority = await Authority.create();
const { cert } = await authority.issue({ name: "alice", purposes: ["client"] });
const certificate = new X509Certificate(cert);
const trust = new ClientTrust([new X509Certificate(authority.cert)], []);

/** All that the server goes by. */
function factsOf(one: X509Certificate) {
  const { subject, issuer, serialNumber, validFrom, validTo } = one;
  const key = one.publicKey.export({ type: "spki", format: "der" }).toString("hex");
  return { subject, issuer, serialNumber, validFrom, validTo, key, roles: readRoles(one.raw, OID) };
}

fuzz("role extensions", {
  inputs: fc.oneof(mutated(encodeRoles(["reader", "writer"])), fc.uint8Array({ maxLength: 64 })),
  holds: (der) => {
    succeeds(() => {
      const roles = decodeRoles(Uint8Array.from(der));
      assert(roles.length > 0 && roles.every((role) => ROLES.includes(role)));
    }, (error) => error instanceof RoleError);
  },
});

fuzz("roles of certificates", {
  inputs: mutated(certificate.raw),
  holds: (der) => {
    succeeds(() => rolesOfCertificate(der), (error) => error instanceof RoleError);
  },
});

fuzz("a changed certificate is never good", {
  inputs: mutated(certificate.raw),
  holds: (der) => {
    const standing = trust.standing(der, Date.now());
    if (standing.kind !== "good") return;
    // A signature can be written in more than one way, and what is behind it is no part of it.
    assert.deepEqual(factsOf(new X509Certificate(der)), factsOf(certificate));
  },
});

/** A list that the CA has really signed, with serials in it. */
const goodList = await authority.revoke(["01", "7f00ff", "0123456789abcdef"]);

const authorities = [new X509Certificate(authority.cert)];

function pemOf(der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64");
  return `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`;
}

Deno.test("fuzz: the list that is changed is a good one before", () => {
  const lists = parseRevocationLists(pemOf(goodList), { authorities, nowMs: Date.now() });
  assert.equal(lists[0]?.serials.size, 3);
});

fuzz("revocation lists that the CA has signed, changed", {
  inputs: fc.oneof(mutated(goodList), fc.uint8Array({ maxLength: 200 })),
  holds: (der) => {
    succeeds(() => {
      const nowMs = Date.now();
      const lists = parseRevocationLists(pemOf(der), { authorities, nowMs });
      // What is believed says what the CA has said: a signature may be written in another way.
      for (const { serials } of lists) {
        assert.deepEqual([...serials].sort(), ["123456789ABCDEF", "1", "7F00FF"].toSorted());
      }
    }, (error) => error instanceof Error && error.message !== "");
  },
});

fuzz("files of the certificate tool", {
  inputs: mutatedText(cert, authority.cert + cert, pemOf(goodList)),
  holds: (text) => {
    succeeds(() => {
      for (const block of parsePem(new TextEncoder().encode(text), "file.pem")) {
        assert(text.toWellFormed().includes(block.text.slice(0, -1)));
        assert(!(isCertificate(block) && isPrivateKey(block)));
      }
    }, (error) => error instanceof CertsError);
  },
});

fuzz("roles are read as they were written", {
  inputs: fc.subarray([...ROLES], { minLength: 1 }),
  holds: (roles) => assert.deepEqual(decodeRoles(encodeRoles(roles)), roles),
});

fuzz("requests are read as they were written", {
  inputs: fc.record({
    name: fc.string({ unit: "grapheme" }),
    args: fc.array(fc.string({ unit: "grapheme" })),
    env: fc.dictionary(fc.string({ unit: "grapheme" }), fc.string(), { noNullPrototype: true }),
    timeoutMs: fc.maxSafeNat(),
    umask: fc.nat({ max: 2 ** 32 - 1 }),
    stdin: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  }).filter(({ env }) => !Object.keys(env).includes("__proto__")),
  holds: (request) => {
    const { requestSerialize, requestDeserialize } = jobService.Start;
    const { name, args, env, timeoutMs, umask, stdin } = requestDeserialize(
      requestSerialize(request),
    );
    assert.deepEqual(
      { name, args, env: { ...env }, timeoutMs, umask, stdin: Buffer.from(stdin) },
      { ...request },
    );
  },
});

for (const [name, method] of Object.entries(jobService)) {
  const { requestDeserialize, responseDeserialize } = method as unknown as {
    requestDeserialize: (bytes: Buffer) => object;
    responseDeserialize: (bytes: Buffer) => object;
  };
  const start = jobService.Start.requestSerialize({
    name: "ls",
    args: ["/", "ä"],
    env: { A: "b" },
    limits: { cpuCores: 0.5 },
    isolation: { privateTmp: true },
    umask: 18,
  });
  fuzz(`messages of ${name}`, {
    inputs: fc.oneof(fc.uint8Array({ maxLength: 100 }), mutated(start)),
    holds: (bytes) => {
      for (const decode of [requestDeserialize, responseDeserialize]) {
        succeeds(
          () => assert(Object.getPrototypeOf(decode(Buffer.from(bytes))) !== null),
          (error) => error instanceof Error,
        );
      }
      assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    },
  });
}

/** Some bytes, and where they are cut into pieces. */
function inPieces(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array[]> {
  return fc.tuple(bytes, fc.array(fc.nat({ max: 50 }), { maxLength: 30 })).map(
    ([whole, lengths]) => {
      const pieces: Uint8Array[] = [];
      let offset = 0;
      for (const length of lengths) pieces.push(whole.subarray(offset, offset += length));
      return [...pieces, whole.subarray(offset)];
    },
  );
}

const HEADER = Uint8Array.of(0, 0, 4, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4);

fuzz("frames of an answer", {
  inputs: inPieces(fc.oneof(mutated(HEADER), fc.uint8Array({ maxLength: 400 }))),
  holds: (pieces) => {
    const reader = new AnswerReader({ onData: () => {}, onReply: () => {}, onEnd: () => {} });
    succeeds(() => {
      for (const piece of pieces) reader.take(piece);
    }, (error) => error instanceof FrameError);
  },
});

fuzz("frames are the same however they are cut", {
  inputs: inPieces(fc.uint8Array({ maxLength: 400 })),
  holds: (pieces) => {
    const framesOf = (parts: readonly Uint8Array[]) => {
      const frames: number[][] = [];
      const reader = new FrameReader({
        onHeader: ({ type, flags, streamId, payloadBytes }) => {
          frames.push([type, flags, streamId, payloadBytes]);
        },
        onPayload: (bytes) => frames.at(-1)?.push(...bytes),
      });
      for (const part of parts) reader.take(part);
      return frames;
    };
    assert.deepEqual(framesOf(pieces), framesOf([Buffer.concat(pieces)]));
  },
});

fuzz("messages of a stream", {
  inputs: inPieces(fc.oneof(mutated(frameMessage(new Uint8Array(40))), fc.uint8Array())),
  holds: (pieces) => {
    const reader = new MessageReader(1000, (message) => assert(message.length <= 1000));
    succeeds(() => {
      for (const piece of pieces) reader.take(piece);
    }, (error) => error instanceof MessageError);
  },
});

/** A store's file with some jobs in it. */
async function storeFile(): Promise<Uint8Array> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-fuzz-" });
  try {
    const store = new JobStore(folder);
    for (let index = 0; index < 20; index++) {
      store.insert({
        id: crypto.randomUUID(),
        command: { name: "ls", args: [`${index}`] },
        settings: { ...DEFAULT_SETTINGS, title: `job-${index}` },
        owner: "alice",
        idempotencyKey: "",
        createdAtMs: index,
        limits: {},
        handle: { groups: [], tracker: "", populatedFile: "", counters: [] },
        state: { kind: "running", pid: 1, startedAtMs: 1 },
        firstOffset: 0,
      });
    }
    store.close();
    return await Deno.readFile(join(folder, "jobs.db"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

fuzz("records with flipped bits", {
  inputs: mutated(await storeFile()),
  share: 0.2,
  holds: async (bytes) => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-fuzz-" });
    try {
      await Deno.writeFile(join(folder, "jobs.db"), bytes);
      succeeds(
        () => {
          const store = new JobStore(folder);
          try {
            for (const { id } of store.active()) store.get(id);
            store.endedTotals();
            store.getByTitle("job-1");
          } finally {
            store.close();
          }
        },
        (error) =>
          error instanceof Error && /cannot (open|read) the records of jobs/.test(error.message),
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

fuzz("times of outputs with flipped bits", {
  inputs: mutated(
    TimeIndex.of([1, 2, 3, 4].map((step) => ({ bytes: 100 * step, timeMs: 1000 * step }))).format(),
  ),
  holds: (file) => {
    const index = TimeIndex.parse(file);
    let last = { bytes: 0, timeMs: 0 };
    for (let entry = index.entryOf(0); entry !== undefined; entry = index.entryOf(entry.bytes)) {
      assert(entry.bytes > last.bytes && entry.timeMs >= last.timeMs);
      assert(index.offsetSince(entry.timeMs) <= last.bytes);
      assert(index.offsetUntil(entry.timeMs) >= entry.bytes);
      last = entry;
    }
    assert.deepEqual(last, index.last ?? last);
  },
});
