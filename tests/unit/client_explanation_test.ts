/** Why no connection could be made, and whether another try may help. */
import assert from "node:assert/strict";
import { diagnose } from "../../client/connection/diagnosis.ts";
import {
  type DialResult,
  explain,
  explainDistrust,
  isUntrusted,
  type Stage,
} from "../../client/connection/explanation.ts";
import type { Endpoint } from "../../client/endpoint/endpoint.ts";

const ENDPOINT = {
  address: { host: "worker1", port: 1, text: "worker1:1" },
  identity: { holder: "CN=alice, me.pem", caFile: "ca.crt" },
} as Endpoint;

function errorWith(code: string, message = "x"): Error {
  return Object.assign(new Error(message), { code });
}

interface Verdict {
  /** Whether every further attempt fails. */
  readonly final: boolean;
  readonly isTemporary?: boolean;
  readonly exitStatus?: number;
}

const CASES: readonly (readonly [
  end: DialResult["end"],
  stage: Stage,
  message: RegExp,
  verdict: Verdict,
])[] = [
  [errorWith("ECONNREFUSED"), "dialing", /^Cannot reach worker1:1: connection refused\. /, {
    final: false,
    isTemporary: true,
  }],
  [
    new AggregateError([errorWith("ECONNREFUSED"), errorWith("EHOSTUNREACH")]),
    "dialing",
    /connection refused/,
    { final: false, isTemporary: true },
  ],
  [errorWith("ENOTFOUND"), "dialing", /^Cannot find the host worker1: /, { final: false }],
  [errorWith("EAI_AGAIN"), "dialing", /^Cannot find the host worker1: /, { final: false }],
  [errorWith("EHOSTUNREACH", "no route"), "dialing", /^Cannot reach worker1:1: no route\. /, {
    final: false,
  }],
  ["timeout", "dialing", /no answer\. Check the address and any firewall/, { final: false }],
  ["timeout", "connected", /it accepts connections but does not answer/, { final: false }],
  ["closed", "connected", /it closes every connection immediately/, { final: false }],
  [errorWith("ECONNRESET"), "connected", /it closes every connection immediately/, {
    final: false,
  }],
  ["served", "secure", /^Lost the connection to worker1:1 before/, {
    final: false,
    isTemporary: true,
  }],
  ["closed", "secure", /the server rejects this client's certificate \(CN=alice, me\.pem\)/, {
    final: false,
    exitStatus: 4,
  }],
  [
    errorWith("", "received fatal alert: UnknownCA"),
    "secure",
    /the server rejects this client's certificate/,
    { final: true, exitStatus: 4 },
  ],
  [
    errorWith("ERR_TLS_CERT_ALTNAME_INVALID", "not in the list\n of names"),
    "connected",
    /its certificate is for another name \(not in the list of names\)\. .* issue one for worker1\.$/,
    { final: true },
  ],
  [
    errorWith("", "received fatal alert: ProtocolVersion"),
    "connected",
    /it does not speak HTTP\/2 over TLS 1\.3/,
    { final: true },
  ],
  [errorWith("", "odd"), "connected", /the TLS handshake failed \(odd\)/, { final: false }],
];

for (const [end, stage, message, { final, isTemporary = false, exitStatus = 3 }] of CASES) {
  const what = end instanceof Error ? `${end.message} ${(end as { code?: string }).code}` : end;
  Deno.test(`explain: ${what} when ${stage}`, () => {
    const failure = explain({ stage, end }, ENDPOINT);
    assert.match(failure.message, message);
    assert.doesNotMatch(failure.message, /\n/);
    assert.deepEqual([failure.final, failure.isTemporary, failure.exitStatus], [
      final,
      isTemporary,
      exitStatus,
    ]);
  });
}

for (
  const [reason, message] of [
    ["invalid peer certificate: NotValidYet", /is not valid yet\. Check the clocks/],
    ["invalid peer certificate: certificate expired: since", /has expired\. Issue a new one/],
    ["invalid peer certificate: InvalidPurpose", /is not a server certificate\. Issue one/],
    ["invalid peer certificate: UnknownIssuer", /was not signed by the CA in ca\.crt\. Name the/],
    ["", /was not signed by the CA in ca\.crt/],
  ] as const
) {
  Deno.test(`explainDistrust: "${reason}" is final`, () => {
    const failure = explainDistrust(reason, ENDPOINT);
    assert.match(failure.message, /^Cannot trust the server at worker1:1: its certificate /);
    assert.match(failure.message, message);
    assert.deepEqual([failure.final, failure.exitStatus], [true, 3]);
  });
}

Deno.test("isUntrusted: only where the server's certificate was not accepted", () => {
  const untrusted = errorWith("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  assert.equal(isUntrusted({ stage: "connected", end: untrusted }), true);
  assert.equal(isUntrusted({ stage: "connected", end: new AggregateError([untrusted]) }), true);
  assert.equal(isUntrusted({ stage: "connected", end: errorWith("ECONNRESET") }), false);
  assert.equal(isUntrusted({ stage: "secure", end: "closed" }), false);
});

Deno.test("diagnose: a connection that is closed in silence once is no refusal; one that always is, is", async () => {
  const refusal: DialResult = { stage: "secure", end: "closed" };
  const served: DialResult = { stage: "secure", end: "served" };
  const gone: DialResult = { stage: "dialing", end: errorWith("ECONNREFUSED") };
  for (
    const [dials, message] of [
      [[refusal, served], /^Lost the connection/],
      [[refusal, refusal, gone], /connection refused/],
      [[refusal, refusal, refusal], /rejects this client's certificate/],
    ] as const
  ) {
    const left: DialResult[] = [...dials];
    const failure = await diagnose(ENDPOINT, () => {
      const dial = left.shift();
      assert(dial, "it dials too often");
      return Promise.resolve(dial);
    });
    assert.match(failure.message, message);
    assert.deepEqual(left, []);
  }
});
