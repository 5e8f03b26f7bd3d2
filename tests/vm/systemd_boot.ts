/**
 * The boot with systemd as the guest's init, and what of the other guest's tests it has the time for:
 * the guests run beside each other.
 */
import "./systemd_test.ts";
import "./package_test.ts";
import "./kill_test.ts";
import "./adoption_test.ts";
import "./stream_test.ts";
