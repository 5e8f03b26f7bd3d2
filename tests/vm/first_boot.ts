/** Tests of the first boot, in order. */
import "./isolation_test.ts";
import "./limits_test.ts";
import "./kill_test.ts";
import "./usage_test.ts";
import "./adoption_test.ts";
import "./stream_test.ts";
// The last one leaves a job running, over which the guest reboots.
import "./reboot_before_test.ts";
