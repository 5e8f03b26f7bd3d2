/** The executor of a cluster holds what every executor does (tests/conformance/). */
import { registerSuite } from "../conformance/suite.ts";
import { openSite, whyNoSite } from "../support/cluster/given_site.ts";
import { testUnless } from "../support/skip.ts";

const reason = await whyNoSite();
if (reason === undefined) registerSuite("a cluster", await openSite());
else testUnless(reason, { name: "conformance: a cluster", fn: () => {} });
