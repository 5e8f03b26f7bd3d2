/** Tests of the first boot, in order. The guest then runs power_cut.ts, until its power is cut. */
import "./isolation_test.ts";
import "./limits_test.ts";
import "./usage_test.ts";
